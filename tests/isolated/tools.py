"""Run the machine's own tools, and say exactly what is missing before anything starts."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

TOOLS = ("debootstrap", "systemd-nspawn", "bpftrace", "nsenter", "setpriv", "unshare", "dpkg-deb", "apt-get")
TRACEPOINTS = Path("/sys/kernel/tracing/events/syscalls")
KERNEL_TYPES = Path("/sys/kernel/btf/vmlinux")
PREPARE = "sudo sh tests/isolated/prepare.sh"


class HarnessError(Exception):
    """The harness itself could not do its work: this is never a finding about the product."""


@dataclass(frozen=True)
class Completed:
    """A command that ended: what was run, how it ended, what it said, how long it took."""

    argv: tuple[str, ...]
    returncode: int
    stdout: str
    stderr: str
    seconds: float

    @property
    def output(self) -> str:
        """Both streams, for showing to a person: how it went first, the result last."""
        return "\n".join(part for part in (self.stderr.rstrip(), self.stdout.rstrip()) if part)

    def expect(self, *codes: int) -> Completed:
        """Return itself when it ended with one of `codes` (default 0); else raise with all it said."""
        if self.returncode not in (codes or (0,)):
            raise HarnessError(
                f"exit {self.returncode} (expected {codes or (0,)}): {self.argv}\n{self.output}"
            )
        return self


def run_here(
    argv: Sequence[str],
    *,
    timeout: float = 600,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: str = "",
) -> Completed:
    """Run a command on this machine; a timeout or Ctrl-C ends its whole process group first."""
    began = monotonic()
    child = subprocess.Popen(
        list(argv),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        env=None if env is None else dict(env),
        cwd=cwd,
        start_new_session=True,
    )
    try:
        out, err = child.communicate(stdin, timeout=timeout)
    except subprocess.TimeoutExpired as stuck:
        kill_group(child)
        out, err = child.communicate()
        raise HarnessError(f"still running after {timeout:.0f} s: {list(argv)}\n{out}\n{err}") from stuck
    except BaseException:
        kill_group(child)
        child.wait()
        raise
    return Completed(tuple(argv), child.returncode, out, err, monotonic() - began)


def kill_group(child: subprocess.Popen[str]) -> None:
    """Kill a child started with its own session, and all it started in it."""
    try:
        os.killpg(child.pid, 9)
    except ProcessLookupError:
        return


def missing_prerequisites() -> list[str]:
    """Name everything that stands between this process and an isolated host; empty when it can boot one."""
    found = []
    if os.geteuid() != 0:
        found.append("not root")
    found += [f"{tool} is not installed" for tool in TOOLS if shutil.which(tool) is None]
    if not KERNEL_TYPES.is_file():
        found.append(f"the kernel has no {KERNEL_TYPES}")
    if os.geteuid() == 0 and not TRACEPOINTS.is_dir():
        found.append(f"{TRACEPOINTS} is not there (tracefs not mounted)")
    return found


def explain_missing(missing: Sequence[str]) -> str:
    """One readable line: what is missing and the command that provides it."""
    return f"no isolated host here: {'; '.join(missing)}. Run: {PREPARE}"


def cache_home() -> Path:
    """Return where the harness keeps what is expensive to fetch again."""
    configured = os.environ.get("RAGTRACE_CACHE_DIR")
    base = Path(configured) if configured else Path.home() / ".cache" / "ragtrace"
    return base / "isolated"
