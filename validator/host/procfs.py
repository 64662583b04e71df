"""Read processes and sockets from ``/proc``; every function also works on a folder that looks like it."""

from __future__ import annotations

import ipaddress
import os
import re
import time
from pathlib import Path
from typing import Dict, FrozenSet, Iterator, List, NamedTuple, Optional, Tuple

from validator.subject import Subject

PROC = Path("/proc")
LISTEN = "0A"
ESTABLISHED = "01"
SYN_SENT = "02"
_SOCKET = re.compile(r"^socket:\[(\d+)\]$")


class Socket(NamedTuple):
    """One line of ``/proc/net/tcp``."""

    local: str
    local_port: int
    remote: str
    remote_port: int
    state: str
    inode: int


class Process(NamedTuple):
    """One process: its number and command line."""

    pid: int
    command: Tuple[str, ...]


def processes(proc: Path = PROC) -> Iterator[Process]:
    """Yield every process whose command line can be read."""
    for entry in proc.iterdir():
        if entry.name.isdigit():
            try:
                raw = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            yield Process(int(entry.name), tuple(raw.decode("utf-8", "replace").rstrip("\0").split("\0")))


def service_processes(subject: Subject, proc: Path = PROC) -> List[Process]:
    """Return the processes of this installation's service, not the commands that checks start beside it."""
    service = subject.service
    first = [word for word in service.arguments[:1] if "{" not in word]
    wanted = ("-m", service.module, *first)
    found = []
    for process in processes(proc):
        words = process.command
        inside = _inside(words[0], subject.prefix) if words else False
        if inside and _contains(words, wanted) and (first or not _known_command(words)):
            found.append(process)
    return found


def _inside(program: str, prefix: Path) -> bool:
    return any(program.startswith(str(root) + os.sep) for root in {prefix, Path(os.path.realpath(prefix))})


def _contains(words: Tuple[str, ...], wanted: Tuple[str, ...]) -> bool:
    return any(words[at : at + len(wanted)] == wanted for at in range(len(words)))


def _known_command(words: Tuple[str, ...]) -> bool:
    return bool({"--help", "status", "ask", "config"} & set(words))


def environment(pid: int, proc: Path = PROC) -> Optional[Dict[str, str]]:
    """Return the environment a process was started with, or nothing when that is not permitted."""
    try:
        raw = (proc / str(pid) / "environ").read_bytes()
    except OSError:
        return None
    pairs = (entry.partition("=") for entry in raw.decode("utf-8", "replace").split("\0") if entry)
    return {name: value for name, _, value in pairs}


def sockets(proc: Path = PROC) -> List[Socket]:
    """Return every TCP socket of this network namespace."""
    found: List[Socket] = []
    for name in ("tcp", "tcp6"):
        try:
            lines = (proc / "net" / name).read_text("ascii").splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            local, local_port = address(fields[1])
            remote, remote_port = address(fields[2])
            found.append(Socket(local, local_port, remote, remote_port, fields[3], int(fields[9])))
    return found


def address(text: str) -> Tuple[str, int]:
    """Return address and port of the kernel's ``0100007F:20D0`` notation (words in host byte order)."""
    digits, _, port = text.partition(":")
    raw = bytes.fromhex(digits)
    swapped = b"".join(raw[at : at + 4][::-1] for at in range(0, len(raw), 4))
    parsed = ipaddress.ip_address(swapped)
    mapped = getattr(parsed, "ipv4_mapped", None)
    return str(mapped or parsed), int(port, 16)


def is_loopback(text: str) -> bool:
    """Tell whether an address can only be reached from this host."""
    return ipaddress.ip_address(text).is_loopback


def socket_inodes(pid: int, proc: Path = PROC) -> Optional[FrozenSet[int]]:
    """Return the sockets a process holds, or nothing when that is not permitted."""
    found = set()
    try:
        names = os.listdir(proc / str(pid) / "fd")
    except OSError:
        return None
    for name in names:
        try:
            match = _SOCKET.match(os.readlink(proc / str(pid) / "fd" / name))
        except OSError:
            continue
        if match:
            found.add(int(match.group(1)))
    return frozenset(found)


def parent(pid: int, proc: Path = PROC) -> int:
    """Return a process's parent, or 0 when it is gone."""
    try:
        text = (proc / str(pid) / "stat").read_text("ascii", "replace")
    except OSError:
        return 0
    return int(text.rpartition(")")[2].split()[1])


def age_s(pid: int, proc: Path = PROC) -> Optional[float]:
    """Return for how many seconds a process has run, or nothing when it is gone or the clock cannot be read."""
    try:
        text = (proc / str(pid) / "stat").read_text("ascii", "replace")
        now = time.clock_gettime(time.CLOCK_BOOTTIME)
        ticks = os.sysconf("SC_CLK_TCK")
    except (OSError, AttributeError, ValueError):
        return None
    # proc(5): the 22nd field; the second one, in brackets, may hold anything.
    return now - int(text.rpartition(")")[2].split()[19]) / ticks


def exists(pid: int, proc: Path = PROC) -> bool:
    """Tell whether a process is still there: one that has ended in between says nothing about rights."""
    return (proc / str(pid)).exists()


def link(pid: int, name: str, proc: Path = PROC) -> str:
    """Return where a process's ``exe`` or ``cwd`` points to, or nothing when that is not permitted."""
    try:
        return os.readlink(proc / str(pid) / name)
    except OSError:
        return ""


def started(pid: int, proc: Path = PROC) -> float:
    """Return when a process began, in seconds since the epoch (proc(5): field 22 of ``stat``, ``btime``).

    Raises:
        OSError: it is gone, or this is not Linux.
    """
    ticks = int((proc / str(pid) / "stat").read_text("ascii", "replace").rpartition(")")[2].split()[19])
    for line in (proc / "stat").read_text("ascii").splitlines():
        if line.startswith("btime "):
            return int(line.split()[1]) + ticks / os.sysconf("SC_CLK_TCK")
    raise FileNotFoundError(str(proc / "stat"))
