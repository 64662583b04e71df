"""An isolated host: real systemd in its own network with nothing but loopback, driven from outside."""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from types import TracebackType

from .control_group import ControlGroup, clear_up, group_name
from .tools import Completed, HarnessError, kill_group, run_here

PLAIN_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "TERM": "dumb",
}

# However this process ends, the kernel ends its commands with it.
WITH_US = ("setpriv", "--pdeathsig", "KILL")

# Runs inside the host on its own interpreter: one request, everything about the reply as JSON.
_HTTP_CLIENT = """
import base64, json, sys, time, urllib.error, urllib.request
ask = json.load(sys.stdin)
body = None if ask["body"] is None else base64.b64decode(ask["body"])
request = urllib.request.Request(ask["url"], data=body, headers=ask["headers"], method=ask["method"])
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
began = time.monotonic()
try:
    reply = opener.open(request, timeout=ask["timeout"])
    status, headers, data = reply.status, dict(reply.headers), reply.read()
except urllib.error.HTTPError as refused:
    status, headers, data = refused.code, dict(refused.headers), refused.read()
except OSError as error:
    status, headers, data = 0, {}, str(error).encode()
print(json.dumps({"status": status, "headers": headers, "seconds": time.monotonic() - began,
                  "body": base64.b64encode(data).decode()}))
"""


@dataclass(frozen=True)
class Reply:
    """An HTTP reply as seen inside the host; status 0 means that nobody answered, and `body` says why."""

    status: int
    headers: dict[str, str]
    body: bytes
    seconds: float

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode("utf-8", "replace")

    def json(self) -> object:
        """Parse the body as JSON."""
        parsed: object = json.loads(self.body)
        return parsed


class IsolatedHost:
    """Boot, use and stop one isolated host; as a context manager it leaves no process and no mount behind."""

    def __init__(self, root: Path, log: Path) -> None:
        """Take a prepared root folder and the file that receives the console of every boot."""
        self.root = root
        self.log = log
        self._held: dict[int, int] = {}
        self._nspawn: subprocess.Popen[str] | None = None
        self._leader = 0
        self._name = root.parent.name
        self._group = ControlGroup(group_name(self._name))

    def __enter__(self) -> IsolatedHost:
        """Boot."""
        self.boot()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop: in order when all went well, at once otherwise."""
        try:
            if kind is None:
                self.shutdown()
        finally:
            self.close()

    @property
    def namespaces(self) -> set[int]:
        """The network and process namespaces of all boots so far, held open: no other can get their numbers."""
        return set(self._held)

    @property
    def leader(self) -> int:
        """The host's first process as this machine numbers it: what `nsenter` wants to know; 0 while it is down."""
        return self._leader

    @property
    def running(self) -> bool:
        """Whether the host is up."""
        return self._nspawn is not None and self._nspawn.poll() is None

    def boot(self, timeout: float = 90) -> str:
        """Start systemd and wait until the boot is over; return its verdict (`running` or `degraded`)."""
        if self.running:
            raise HarnessError("the isolated host is already up")
        argv = [
            *self._group.create(),
            *("setpriv", "--pdeathsig", "TERM"),  # nspawn takes this as "power off"
            *("systemd-nspawn", "--quiet", "-D", str(self.root), "-b"),
        ]
        argv += ["--private-network", "--register=no", "--keep-unit", "--console=read-only"]
        argv += ["--resolv-conf=off", "--timezone=off", f"--machine={self._name}"]
        with self.log.open("a") as console:
            self._nspawn = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                text=True,
                start_new_session=True,
                env={**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
            )
        try:
            return self._wait_until_booted(monotonic() + timeout)
        except BaseException:
            self.kill()
            raise

    def _wait_until_booted(self, deadline: float) -> str:
        """Find the host's first process, remember its namespaces, and ask systemd until it has settled."""
        while not self._find_leader():
            self._give_up_at(deadline, "no first process")
        for kind in ("net", "pid"):
            self._held[_namespace(self._leader, kind)] = os.open(
                f"/proc/{self._leader}/ns/{kind}", os.O_RDONLY
            )
        while True:
            state = self.run(["systemctl", "is-system-running"], timeout=30)
            if state.stdout.strip() in ("running", "degraded"):
                return state.stdout.strip()
            self._give_up_at(deadline, f"systemd says {state.output!r}")

    def _give_up_at(self, deadline: float, why: str) -> None:
        """Wait a moment; raise with the console's last lines when the host died or time is up."""
        if self.running and monotonic() < deadline:
            sleep(0.1)
            return
        tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-30:])
        raise HarnessError(f"the isolated host did not boot: {why}\n{tail}")

    def _find_leader(self) -> bool:
        """Find the child of nspawn that is process 1 of a process namespace of its own."""
        if self._nspawn is None:
            return False
        ours = _namespace(os.getpid(), "pid")
        for child in _children(self._nspawn.pid):
            try:
                status = Path(f"/proc/{child}/status").read_text()
                inside = [line.split()[-1] for line in status.splitlines() if line.startswith("NSpid:")]
                network = _namespace(child, "net")
                if (
                    inside == ["1"]
                    and _namespace(child, "pid") != ours
                    and network != _namespace(os.getpid(), "net")
                ):
                    self._leader = child
                    return Path(f"/proc/{child}/comm").read_text().strip() == "systemd"
            except (FileNotFoundError, ProcessLookupError):
                continue
        return False

    def run(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        timeout: float = 300,
        stdin: str = "",
        cwd: str = "/root",
    ) -> Completed:
        """Run a command inside, with a plain environment of its own, and return how it ended."""
        if not self.running:
            raise HarnessError(f"the isolated host is not up: {list(argv)}")
        outside = [*WITH_US, "nsenter", "-t", str(self._leader), "-a", "env", "-i", "-C", cwd]
        outside += [f"{name}={value}" for name, value in {**PLAIN_ENVIRONMENT, **(env or {})}.items()]
        done = run_here([*outside, *argv], timeout=timeout, stdin=stdin)
        return Completed(tuple(argv), done.returncode, done.stdout, done.stderr, done.seconds)

    def http(
        self,
        method: str,
        url: str,
        body: object = None,
        *,
        headers: Mapping[str, str] | None = None,
        timeout: float = 60,
    ) -> Reply:
        """Ask from inside the host, with its own interpreter; `body` is sent as JSON."""
        data = None if body is None else base64.b64encode(json.dumps(body).encode()).decode()
        sent = {"Content-Type": "application/json", **(headers or {})}
        ask = json.dumps({"method": method, "url": url, "headers": sent, "body": data, "timeout": timeout})
        done = self.run(["python3", "-c", _HTTP_CLIENT], stdin=ask, timeout=timeout + 30).expect()
        told = json.loads(done.stdout)
        return Reply(told["status"], told["headers"], base64.b64decode(told["body"]), told["seconds"])

    def inside(self, path: str) -> Path:
        """Return where a path of the host lies on this machine; refuse one that leaves the root."""
        there = (self.root / path.lstrip("/")).parent.resolve() / Path(path).name
        if not there.is_relative_to(self.root.resolve()):
            raise HarnessError(f"{path} leads out of the isolated host")
        return there

    def copy_in(self, source: Path, destination: str) -> None:
        """Carry a file or folder in, as if from a stick; parents are made."""
        target = self.inside(destination)
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True)
        else:
            shutil.copy2(source, target)

    def copy_out(self, source: str, destination: Path) -> None:
        """Carry a file or folder out."""
        there = self.inside(source)
        if there.is_dir():
            shutil.copytree(there, destination, symlinks=True)
        else:
            shutil.copy2(there, destination, follow_symlinks=False)

    def shutdown(self, timeout: float = 60) -> None:
        """Power off in order and wait; pull the plug when the host does not end in time."""
        if self._nspawn is None:
            return
        if self.running:
            # SIGRTMIN+4 to process 1 is systemd's own "power off" signal.
            os.kill(self._leader, signal.SIGRTMIN + 4)
        try:
            self._nspawn.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
        self._forget()

    def kill(self) -> None:
        """Pull the plug: every process of the host dies at once, nothing is stopped in order."""
        if self._nspawn is None:
            return
        if self._leader and self.running:
            # With process 1 the kernel ends the whole process namespace at once, our own commands in it too.
            os.kill(self._leader, signal.SIGKILL)
        self._group.kill()
        try:
            self._nspawn.wait(10)
        except subprocess.TimeoutExpired:
            kill_group(self._nspawn)
            self._nspawn.wait()
        self._forget()

    def _forget(self) -> None:
        """Clear up after the ended boot; the root stays for the next one."""
        clear_up(self._name)
        self._nspawn = None
        self._leader = 0

    def close(self) -> None:
        """Pull the plug if need be and let go of the namespaces; the root stays."""
        self.kill()
        while self._held:
            os.close(self._held.popitem()[1])


def _namespace(pid: int, kind: str) -> int:
    """Return the inode number of a process's namespace."""
    return Path(f"/proc/{pid}/ns/{kind}").stat().st_ino


def _children(pid: int) -> list[int]:
    """Return the children of a process."""
    found = []
    for tasks in Path(f"/proc/{pid}/task").glob("*/children"):
        found += [int(word) for word in tasks.read_text().split()]
    return found
