"""What can watch a process call out on this host: found by trying, combined as far as they work.

``strace`` sees the calls with their addresses. A network of its own (`netns`) sees every attempt, also of native
code and through io_uring, but not where it went. The interpreter's audit events see addresses and host names, but
nothing that native code does; they are always there.
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
import shutil
import socket
import sys
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Sequence, Set, Tuple, Union

from validator.host import commands, netns

STRACE = "strace"
NAMESPACE = "network namespace"
AUDIT_HOOK = "python audit hook"
TRACE_BYTES = 64 * 1024 * 1024
DNS_PORT = 53
_CALLS = ("connect", "sendto", "sendmsg", "sendmmsg")
_V4 = re.compile(r'sin_port=htons\((\d+)\), sin_addr=inet_addr\("([0-9.]+)"\)')
_V6 = re.compile(r'sin6_port=htons\((\d+)\).*?inet_pton\(AF_INET6, "([0-9a-fA-F:.]+)"')
_NAMED = re.compile(
    r"\b(connect|sendto|sendmsg|sendmmsg)\(|<\.\.\. (connect|sendto|sendmsg|sendmmsg) resumed>"
)

Network = Union[ipaddress.IPv4Network, ipaddress.IPv6Network]
Owner = Optional[Tuple[int, int]]

# Runs inside the service's interpreter, in place of ``-m module arguments``: so the process is not mistaken for the
# installation's own service either. Started with -S, so that what runs at every start (``.pth``, sitecustomize) is
# heard as well. Unbuffered writes: a killed process has told everything.
AUDITED = r"""
import json, os, runpy, sys
log = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
sends = {"socket.connect": "connect", "socket.sendto": "sendto", "socket.sendmsg": "sendmsg"}
names = ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr")
def watch(event, arguments):
    if event in sends and arguments[0].family.name in ("AF_INET", "AF_INET6"):
        place = arguments[1]
        if isinstance(place, tuple):
            os.write(log, (json.dumps([sends[event], str(place[0]), str(place[1])]) + "\n").encode())
    elif event in names and arguments[0] is not None:
        name = arguments[0].decode("utf-8", "replace") if isinstance(arguments[0], bytes) else arguments[0]
        os.write(log, (json.dumps(["lookup of", str(name), ""]) + "\n").encode())
sys.addaudithook(watch)
import site
site.main()
module = sys.argv[2]
sys.argv = [module] + sys.argv[3:]
runpy.run_module(module, run_name="__main__", alter_sys=True)
"""


class Tracer(NamedTuple):
    """A way to watch: the words that go before the command, and what is part of it."""

    words: Tuple[str, ...]
    methods: Tuple[str, ...]

    @property
    def in_namespace(self) -> bool:
        """Whether the command finds itself in a network of its own, started by us as we are."""
        return NAMESPACE in self.methods


def choose(folder: Path, owner: Owner, *, isolate: bool) -> Tracer:
    """Return the strongest tracer that works here; the audit hook is part of every one.

    Args:
        folder: where the trace goes; the owner may write there.
        owner: who the command runs as.
        isolate: whether an empty network is wanted: not where the service has peers it is allowed to reach.
    """
    program = shutil.which("strace")
    options = (
        "-f", "-qq", "-e", "trace=" + ",".join(_CALLS), "-e", "signal=none", "-s", "8", "-o",
        str(folder / "calls"),
    )  # fmt: skip
    # With --seccomp-bpf (strace 5.3) a process is stopped at these calls only, which is much faster.
    straces = [(program, "--seccomp-bpf", *options), (program, *options)] if program else []
    for namespace in ([_namespace(owner)] if isolate and sys.platform == "linux" else []) + [()]:
        for strace in [*straces, ()]:
            methods = (STRACE,) * bool(strace) + (NAMESPACE,) * bool(namespace)
            tracer = Tracer((*namespace, *strace), (*methods, AUDIT_HOOK))
            if not tracer.words or _works(tracer, folder, owner):
                return tracer
    raise AssertionError("the last of them has no words")


def _namespace(owner: Owner) -> Tuple[str, ...]:
    ids = ("-", "-") if owner is None else (str(owner[0]), str(owner[1]))
    return (sys.executable, "-I", "-S", "-B", str(Path(netns.__file__)), *ids)


def _works(tracer: Tracer, folder: Path, owner: Owner) -> bool:
    """Try it on a program that does nothing."""
    done = start(tracer, ["true"], owner, timeout_s=10, environment={"PATH": os.defpath})
    log = folder / "calls"
    seen = STRACE not in tracer.methods or log.exists()
    if log.exists():
        log.unlink()
    return seen and done.code == 0 and (not tracer.in_namespace or packets(done.output) is not None)


def start(
    tracer: Tracer, command: Sequence[str], owner: Owner, *, timeout_s: float, environment: Dict[str, str]
) -> commands.Finished:
    """Run *command* under the tracer as *owner*."""
    return commands.run(
        [*tracer.words, *command],
        timeout_s=timeout_s,
        environment=environment,
        # Only we may make the network; giving up rights is the first thing done in it.
        owner=None if tracer.in_namespace else owner,
        folder=Path("/"),
        tied=True,
    )


def packets(output: str) -> Optional[Dict[str, int]]:
    """Return what the namespace counted: the last line of the output."""
    lines = output.strip().splitlines()
    try:
        found = json.loads(lines[-1]) if lines else None
    except ValueError:
        return None
    known = (*netns.ROUTES, *netns.LOOKUPS)
    if not isinstance(found, dict) or not found or not set(found) <= set(known):
        return None
    return {str(name): int(count) for name, count in found.items()}


def read_log(path: Path) -> List[str]:
    """Return the lines of a trace; it lies where the traced user may write, so no link is followed.

    Raises:
        OSError: it is not there, or is no plain file.
    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    with open(descriptor, "rb") as stream:
        return stream.read(TRACE_BYTES).decode("utf-8", "replace").splitlines()


def outbound_calls(lines: Sequence[str], allowed: Sequence[Network] = ()) -> List[str]:
    """Return ``call address port`` of every traced call towards another host, or to a name server on this one."""
    found: Set[str] = set()
    for line in lines:
        call = _NAMED.search(line)
        if call is None:
            continue
        for pattern in (_V4, _V6):
            for port, address in pattern.findall(line):
                if is_foreign(address, allowed) or int(port) == DNS_PORT:
                    found.add(f"{call.group(1) or call.group(2)} {address} {port}")
    return sorted(found)


def outbound_events(lines: Sequence[str], allowed: Sequence[Network] = ()) -> List[str]:
    """Return the same of the interpreter's audit events; looking up a name of another host counts as well."""
    found: Set[str] = set()
    for line in lines:
        try:
            what, host, port = (str(part) for part in json.loads(line))
        except (ValueError, TypeError):
            found.add("unreadable event")
            continue
        if is_foreign(host, allowed) or port == str(DNS_PORT):
            found.add(f"{what} {host[:100]} {port}".strip())
    return sorted(found)


def is_foreign(host: str, allowed: Sequence[Network] = ()) -> bool:
    """Tell whether an address or a name stands for another host that the service is not allowed to reach."""
    if host.lower() in ("", "localhost", socket.gethostname().lower()):
        return False
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return True
    address = getattr(address, "ipv4_mapped", None) or address
    if address.is_loopback or address.is_unspecified:
        return False
    return not any(address.version == network.version and address in network for network in allowed)
