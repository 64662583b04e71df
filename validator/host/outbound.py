"""Find attempts to reach another host: trace system calls with strace, or audit events of the interpreter."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import List, NamedTuple, Sequence, Set, Tuple

from validator.host import commands, procfs
from validator.subject import Subject

_V4 = re.compile(r'sin_port=htons\((\d+)\), sin_addr=inet_addr\("([0-9.]+)"\)')
_V6 = re.compile(r'sin6_port=htons\((\d+)\).*?inet_pton\(AF_INET6, "([0-9a-fA-F:.]+)"')
_NAMED = ("connect(", "sendto(", "sendmsg(", "sendmmsg(")

# Runs inside the service's interpreter. Unbuffered writes, so that a killed process has told everything.
_AUDITED = r"""
import os, runpy, sys
log = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
sends = ("socket.connect", "socket.sendto", "socket.sendmsg")
names = ("socket.getaddrinfo", "socket.gethostbyname")
def watch(event, arguments):
    if event in sends and arguments[0].family.name != "AF_UNIX":
        os.write(log, (event + " " + repr(arguments[1:]) + "\n").encode())
    elif event in names:
        os.write(log, (event + " " + repr(arguments[:2]) + "\n").encode())
sys.addaudithook(watch)
module = sys.argv[2]
sys.argv = [module] + sys.argv[3:]
runpy.run_module(module, run_name="__main__", alter_sys=True)
"""


class Traced(NamedTuple):
    """How a process was watched and the outbound attempts seen; ``method`` is empty when it was not."""

    method: str
    attempts: Sequence[str]
    code: int
    complaint: str


def traced_question(subject: Subject, question: str, *, timeout_s: float) -> Traced:
    """Ask one question through the service's command line under the best tracer at hand."""
    with tempfile.TemporaryDirectory(prefix="ragtrace-trace-") as name:
        folder = Path(name)
        owner = commands.data_owner(subject)
        if owner is not None:
            os.chown(folder, *owner)
        strace = shutil.which("strace")
        if strace is not None:
            traced = _with_strace(subject, strace, folder / "calls", question, timeout_s)
            if traced.method:
                return traced
        return _with_audit_hook(subject, folder / "events", question, timeout_s)


def _with_strace(subject: Subject, strace: str, log: Path, question: str, timeout_s: float) -> Traced:
    traced = ["-f", "-qq", "-e", "trace=connect,sendto,sendmsg,sendmmsg", "-e", "signal=none", "-o", str(log)]
    argv = [strace, *traced, *commands.service_command(subject, ["ask", question])]
    done = commands.run(
        argv,
        timeout_s=timeout_s,
        environment=commands.service_environment(subject),
        owner=commands.data_owner(subject),
        folder=Path("/"),
    )
    if not log.is_file() or "ptrace" in done.errors.lower():
        return Traced("", (), done.code, done.complaint)
    attempts = outbound_calls(log.read_text("utf-8", "replace").splitlines())
    return Traced("strace", attempts, done.code, done.complaint)


def _with_audit_hook(subject: Subject, log: Path, question: str, timeout_s: float) -> Traced:
    arguments = ["-c", _AUDITED, str(log), subject.service.module, "ask", question]
    done = commands.run_python(subject, arguments, timeout_s=timeout_s)
    if not log.is_file():
        return Traced("", (), done.code, done.complaint)
    events = log.read_text("utf-8", "replace").splitlines()
    return Traced(
        "python audit hook",
        [line[:200] for line in events if not _local_event(line)],
        done.code,
        done.complaint,
    )


def _local_event(line: str) -> bool:
    return any(f"'{host}'" in line for host in ("127.0.0.1", "::1", "localhost"))


def outbound_calls(lines: Sequence[str]) -> List[str]:
    """Return ``call address port`` of every traced call towards an address that is not loopback."""
    found: Set[str] = set()
    for line in lines:
        call = next((name for name in _NAMED if name in line), None)
        if call is None:
            continue
        for pattern in (_V4, _V6):
            for port, address in pattern.findall(line):
                if not procfs.is_loopback(address):
                    found.add(f"{call[:-1]} {address} {port}")
    return sorted(found)


def foreign_sockets(subject: Subject, proc: Path = procfs.PROC) -> Tuple[int, int, List[str]]:
    """Return processes seen, processes not permitted to see, and connections they opened to other hosts.

    A connection whose local port is one the process listens on came from outside and is no attempt of ours.
    """
    running = procfs.service_processes(subject, proc)
    every = procfs.sockets(proc)
    hidden, found = 0, []
    for process in running:
        inodes = procfs.socket_inodes(process.pid, proc)
        if inodes is None:
            hidden += 1
            continue
        mine = [item for item in every if item.inode in inodes]
        listening = {item.local_port for item in mine if item.state == procfs.LISTEN}
        found += [
            f"{item.remote} {item.remote_port} (pid {process.pid})"
            for item in mine
            if item.state in (procfs.ESTABLISHED, procfs.SYN_SENT)
            and item.local_port not in listening
            and not procfs.is_loopback(item.remote)
        ]
    return len(running), hidden, found
