"""Record every attempt to reach another machine, as the kernel sees it.

`bpftrace` watches the system calls that name a peer (connect, sendto, sendmsg, sendmmsg) in every network
namespace but this machine's own, from before a host boots.  An attempt counts when the call is made, whether
or not it could succeed: without a network all of them fail, and that is the point.  A recorder that lost
events, died, or misses a planted attempt raises instead of answering "none".
"""

from __future__ import annotations

import ipaddress
import json
import os
import signal
import subprocess
import sys
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from types import TracebackType

from .tools import HarnessError, run_here

MARK = "attempt"
PROBE_ADDRESS = "203.0.113.77"  # RFC 5737: no such machine anywhere
DNS_PORT = 53
UNROLLED = 8  # messages of one sendmmsg call that are looked at; a longer call is recorded as unreadable

_CALLS = (
    ("connect", "args->uservaddr", "1"),
    ("sendto", "args->addr", "args->addr != 0"),
    ("sendmsg", "args->msg->msg_name", "args->msg->msg_name != 0"),
)

PLANTED = Path(__file__).with_name("planted.py")
PLANTED_CALLS = 6  # per processor: connect, sendto, sendmsg, two messages of sendmmsg, io_uring


@dataclass(frozen=True)
class Attempt:
    """One call that named a peer."""

    call: str
    pid: int
    command: str
    parent: str
    family: int
    address: str
    port: int
    network: int
    processes: int

    @property
    def is_outbound(self) -> bool:
        """Whether the peer is another machine: not loopback, or a name server wherever it is said to be."""
        if not self.address:
            return True
        peer: ipaddress.IPv4Address | ipaddress.IPv6Address = ipaddress.ip_address(self.address)
        if isinstance(peer, ipaddress.IPv6Address) and peer.ipv4_mapped is not None:
            peer = peer.ipv4_mapped
        here = peer.is_loopback or peer.is_unspecified
        return not here or self.port == DNS_PORT

    def __str__(self) -> str:
        """Read as one line of a report."""
        peer = f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"
        return f"{self.call} to {peer} by {self.command} (pid {self.pid}, started by {self.parent})"


def program(own_network: int) -> str:
    """Return the bpftrace program; processes in the namespace `own_network` are left out."""
    elsewhere = f"curtask->nsproxy->net_ns->ns.inum != {own_network}"
    parts = []
    for call, name, given in _CALLS:
        parts.append(
            f"tracepoint:syscalls:sys_enter_{call} /{elsewhere}/ {{ if ({given}) {{ {_read(call, name)} }} }}"
        )
    messages = "\n".join(_read_message(i) for i in range(UNROLLED))
    unread = f"  if (args->vlen > {UNROLLED}) {{ {_emit('sendmmsg+', '0', '0')} }}"
    parts.append(f"tracepoint:syscalls:sys_enter_sendmmsg /{elsewhere}/ {{\n{messages}\n{unread} }}")
    # Through io_uring a program could connect without any of these calls: opening one is recorded as well.
    parts.append(
        f"tracepoint:syscalls:sys_enter_io_uring_setup /{elsewhere}/ {{ {_emit('io_uring', '0', '0')} }}"
    )
    return "\n".join(parts)


def _read_message(index: int) -> str:
    """Program text that reads the address of one message of a sendmmsg call."""
    return (
        f"if (args->vlen > {index}) {{ "
        f"$m = (struct mmsghdr *)((uint64)args->mmsg + {index} * sizeof(struct mmsghdr)); "
        f"if ($m->msg_hdr.msg_name != 0) {{ {_read('sendmmsg', '$m->msg_hdr.msg_name')} }} }}"
    )


def _read(call: str, name: str) -> str:
    """Program text that reads a socket address and prints it when it is an internet or a raw packet one."""
    v4, v6 = "((struct sockaddr_in *)$name)", "((struct sockaddr_in6 *)$name)"
    v4_fields = (f"ntop({v4}->sin_addr.s_addr)", f"bswap({v4}->sin_port)")
    v6_fields = (f"ntop({v6}->sin6_addr.in6_u.u6_addr8)", f"bswap({v6}->sin6_port)")
    return (
        f"$name = (struct sockaddr *)uptr({name}); $family = $name->sa_family; "
        f"if ($family == 2) {{ {_emit(call, *v4_fields, 2)} }} "
        f"if ($family == 10) {{ {_emit(call, *v6_fields, 10)} }} "
        f"if ($family == 17) {{ {_emit(call, '0', '0', 17)} }}"
    )


def _emit(call: str, address: str, port: str, family: int = 0) -> str:
    """Program text that prints one attempt; an address of `0` means that there is none to print."""
    kind = "%d" if address == "0" else "%s"
    return (
        f'printf("{MARK}\\t{call}\\t%d\\t{family}\\t{kind}\\t%d\\t%u\\t%u\\t%s\\t%s\\n", '
        f"pid, {address}, {port}, "
        "curtask->nsproxy->net_ns->ns.inum, curtask->nsproxy->pid_ns_for_children->ns.inum, "
        "curtask->real_parent->comm, comm);"
    )


@dataclass(frozen=True)
class Recording:
    """What bpftrace has said so far."""

    lost: int
    attempts: tuple[Attempt, ...]


def parse_recording(lines: Iterable[str]) -> Recording:
    """Read bpftrace's JSON lines; a last line that is still being written is left for the next time."""
    lost = 0
    attempts: list[Attempt] = []
    for line in lines:
        if not line.endswith("\n") or not line.strip():
            continue
        message = json.loads(line)
        if message["type"] == "lost_events":
            lost += int(message["data"]["events"])
        elif message["type"] == "printf":
            text = str(message["data"])
            if text.startswith(f"{MARK}\t"):
                attempts.append(_parse_attempt(text))
    return Recording(lost, tuple(attempts))


def _parse_attempt(text: str) -> Attempt:
    """Read one printed attempt."""
    fields = text.rstrip("\n").split("\t")
    call, pid, family, address, port, network, processes, parent = fields[1:9]
    return Attempt(
        call=call,
        pid=int(pid),
        command="\t".join(fields[9:]),
        parent=parent,
        family=int(family),
        address="" if address == "0" else address,
        port=int(port),
        network=int(network),
        processes=int(processes),
    )


class OutboundRecorder:
    """Record from `start` to `stop`; ask for the attempts of a host by its namespaces at any time between."""

    def __init__(self, folder: Path) -> None:
        """Take the folder that receives the program and the recording."""
        self._program = folder / "outbound.bt"
        self._recording = folder / "outbound.jsonl"
        self._errors = folder / "outbound.err"
        self._tracer: subprocess.Popen[str] | None = None
        self._planted: set[int] = set()

    def __enter__(self) -> OutboundRecorder:
        """Start."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()

    @property
    def tracer(self) -> int:
        """Process id of the running bpftrace."""
        if self._tracer is None:
            raise HarnessError("the recorder is not running")
        return self._tracer.pid

    def start(self, timeout: float = 60) -> None:
        """Attach to the kernel; return only when planted attempts by every call are caught."""
        self._program.write_text(program(Path("/proc/self/ns/net").stat().st_ino), encoding="utf-8")
        self._recording.write_text("")
        argv = ["setpriv", "--pdeathsig", "KILL", "bpftrace", "-f", "json", "-B", "line"]
        with self._recording.open("a") as out, self._errors.open("w") as err:
            self._tracer = subprocess.Popen(
                [*argv, str(self._program)], stdout=out, stderr=err, text=True, start_new_session=True
            )
        deadline = monotonic() + timeout
        try:
            while not self._plant_and_wait(1):
                self._distrust_at(deadline, "planted attempts are not caught")
        except BaseException:
            self.stop()
            raise

    def checkpoint(self, timeout: float = 30) -> Recording:
        """Plant an attempt on every processor; when all are recorded, so is everything that came before."""
        recording = self._plant_and_wait(timeout)
        if recording is None:
            raise HarnessError(f"a planted attempt was not caught: nothing can be said. {self._said()}")
        return recording

    def _plant_and_wait(self, timeout: float) -> Recording | None:
        """Plant once; return the recording that holds it all, or nothing when it does not come in time."""
        argv = ["unshare", "-n", sys.executable, str(PLANTED), PROBE_ADDRESS, "9"]
        pid = int(run_here(argv, timeout=60).expect().stdout)
        self._planted.add(pid)
        wanted = PLANTED_CALLS * len(os.sched_getaffinity(0))
        deadline = monotonic() + timeout
        while monotonic() < deadline:
            recording = self._read()
            if sum(self._is_planted(seen) and seen.pid == pid for seen in recording.attempts) >= wanted:
                return recording
            sleep(0.05)
        return None

    def _is_planted(self, attempt: Attempt) -> bool:
        """Whether this attempt was planted by this recorder."""
        return attempt.pid in self._planted and attempt.address in (PROBE_ADDRESS, "")

    def mark(self) -> int:
        """Return the present place in the recording, to ask only for what comes after it."""
        return len(self.checkpoint().attempts)

    def attempts(self, namespaces: Collection[int], since: int) -> list[Attempt]:
        """Return the outbound attempts of all processes in these network or process namespaces.

        `since` is a `mark` from before the namespaces came to be: the kernel gives the number of a namespace
        that is gone to the next one, so older entries with the same number are somebody else's.  For the same
        reason the namespaces must still exist, or be held open.

        Raises:
            HarnessError: the recorder is not running, lost events, or misses a planted attempt.
        """
        recording = self.checkpoint()
        if recording.lost:
            raise HarnessError(f"the recorder lost {recording.lost} events: nothing can be said")
        return [
            attempt
            for attempt in recording.attempts[since:]
            if (attempt.network in namespaces or attempt.processes in namespaces)
            and attempt.is_outbound
            and not self._is_planted(attempt)
        ]

    def _read(self) -> Recording:
        """Read the recording so far; raise when bpftrace has ended by itself."""
        if self._tracer is None or self._tracer.poll() is not None:
            raise HarnessError(f"the recorder is not running. {self._said()}")
        with self._recording.open(encoding="utf-8", errors="replace") as lines:
            return parse_recording(lines)

    def _said(self) -> str:
        """What bpftrace complained about."""
        return self._errors.read_text(errors="replace").strip() if self._errors.exists() else ""

    def _distrust_at(self, deadline: float, why: str) -> None:
        """Raise when time is up."""
        if monotonic() > deadline:
            raise HarnessError(
                f"the recorder of outbound attempts is not to be trusted: {why}. {self._said()}"
            )

    def stop(self) -> None:
        """Detach from the kernel; a second call does nothing."""
        if self._tracer is None:
            return
        self._tracer.send_signal(signal.SIGINT)
        try:
            self._tracer.wait(10)
        except subprocess.TimeoutExpired:
            self._tracer.kill()
            self._tracer.wait()
        self._tracer = None
