"""Run one command in a network of its own, where only loopback exists, and count what found no way out.

Run as a script by `outbound`: arguments are a user and a group to become (``-`` for none) and the command. In such
a network the kernel has no route to any other address, so an attempt to reach one fails at once, whoever makes it
and in whatever language, and is counted: ``OutNoRoutes`` of ``/proc/net/snmp`` and ``snmp6`` (RFC 4293,
``ipSystemStatsOutNoRoutes``). Tried with TCP connect, UDP sendto, connected UDP, multicast, broadcast, a lookup
through the C library, IPv4, IPv6 and mapped addresses, from Python and from C. Packets of raw sockets are not
counted, and need a right that the service does not have. A name server on loopback is asked in vain: ``NoPorts``.

The last line of standard output is the count as JSON; the exit status is the command's, or 125 for "no such network".
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import socket
import struct
import sys
from typing import Dict, List, NoReturn, Sequence

NO_NETWORK = 125
# The kernel's counters that tell of an attempt, and what each stands for.
ROUTES = ("IpOutNoRoutes", "Ip6OutNoRoutes")
LOOKUPS = ("UdpNoPorts", "Udp6NoPorts")
_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
_SIOCSIFFLAGS, _IFF_UP_RUNNING = 0x8914, 0x41
_PR_SET_PDEATHSIG, _SIGKILL = 1, 9


def enter() -> str:
    """Move this process into an empty network with loopback up; return why it could not, or nothing.

    Root may; an ordinary user first takes a user namespace, in which it stays the user it is.
    """
    unshare = ctypes.CDLL(None, use_errno=True).unshare
    if unshare(_CLONE_NEWNET) != 0:
        user, group = os.geteuid(), os.getegid()
        if unshare(_CLONE_NEWUSER | _CLONE_NEWNET) != 0:
            return os.strerror(ctypes.get_errno())
        try:
            for name, text in (
                ("setgroups", "deny"),
                ("uid_map", f"{user} {user} 1"),
                ("gid_map", f"{group} {group} 1"),
            ):
                with open("/proc/self/" + name, "w", encoding="ascii") as stream:
                    stream.write(text)
        except OSError as error:
            return f"{error.filename}: {error.strerror}"
    return _loopback_up()


def _loopback_up() -> str:
    import fcntl

    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
            fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sH14s", b"lo", _IFF_UP_RUNNING, b""))
    except OSError as error:
        return error.strerror or str(error)
    return ""


def counters(folder: str = "/proc/self/net") -> Dict[str, int]:
    """Return the kernel's counters of this network; without IPv6 there are none of it."""
    found: Dict[str, int] = {}
    with open(folder + "/snmp", encoding="ascii") as stream:
        lines = stream.read().splitlines()
    for names, values in zip(lines[::2], lines[1::2]):
        kind, _, rest = names.partition(":")
        found.update(
            (kind + name, int(value)) for name, value in zip(rest.split(), values.partition(":")[2].split())
        )
    with contextlib.suppress(FileNotFoundError), open(folder + "/snmp6", encoding="ascii") as stream:
        found.update((name, int(value)) for name, value in (line.split() for line in stream))
    return {name: found[name] for name in (*ROUTES, *LOOKUPS) if name in found}


def main(arguments: Sequence[str]) -> int:
    """Run the command and say what was counted meanwhile."""
    problem = enter()
    if problem:
        sys.stderr.write(f"no network namespace: {problem}\n")
        return NO_NETWORK
    before = counters()
    pid = os.fork()
    if pid == 0:
        _become(arguments[0], arguments[1], list(arguments[2:]))
    _, status = os.waitpid(pid, 0)
    after = counters()
    sys.stdout.write(json.dumps({name: after[name] - before.get(name, 0) for name in after}) + "\n")
    return os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)


def _become(user: str, group: str, command: List[str]) -> NoReturn:
    """Give up root's rights and execute; it ends when this process does, so that nothing is left behind."""
    try:
        if user != "-":
            os.setgroups([])
            os.setgid(int(group))
            os.setuid(int(user))
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, _SIGKILL)
        os.execvp(command[0], command)
    except OSError as error:
        sys.stderr.write(f"{command[0]}: {error}\n")
    os._exit(NO_NETWORK)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
