"""Find attempts to reach another host: of a traced start and question, and in the sockets of the running service."""

from __future__ import annotations

import ipaddress
import json
import os
import tempfile
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Tuple

from validator.host import commands, netns, procfs, rehearsal, tracers
from validator.host.tracers import Network
from validator.subject import Subject, Unreadable, read_limited

# The operator's word for the networks that the service may talk with (the installer limits the unit to them).
NETWORK_VARIABLE = "RAGTRACE_NETWORK_ALLOW"
# Only of this service it is known that a second one, with a home of its own, keeps off the data of the first.
REHEARSED = "ragtrace"
READY_S, ANSWER_S, COMMAND_S = 45.0, 15.0, 20.0
LIMIT_S = READY_S + ANSWER_S + COMMAND_S + rehearsal.STOP_S
NOT_READY = "the traced service did not become ready"


class Traced(NamedTuple):
    """How start and question were watched, what was seen, and how far they came."""

    methods: Tuple[str, ...]
    attempts: Tuple[str, ...]
    facts: str
    complaint: str
    started: bool


def traced_rehearsal(subject: Subject, question: str) -> Traced:
    """Start the service in a scratch home and ask it, then ask through the command line, all under a tracer.

    Nothing of the installation is written: home, configuration, data and port of that service are its own. The
    command line's question reads the real data, as an operator's would.
    """
    with tempfile.TemporaryDirectory(prefix="ragtrace-trace-") as name:
        folder, owner = Path(name), commands.data_owner(subject)
        if owner is not None:
            os.chown(folder, *owner)
        allowed = allowed_networks(subject)
        tracer = tracers.choose(folder, owner, isolate=not allowed)
        plan = _plan(subject, folder, owner, question)
        words = [str(subject.python), "-I", "-B", "-c", _program(), json.dumps(plan)]
        environment = commands.service_environment(subject)
        done = tracers.start(tracer, words, owner, timeout_s=LIMIT_S, environment=environment)
        attempts, unseen = _attempts(tracer, folder, done, allowed)
        facts, complaint = _told(done, plan["service"] is not None)
        log = Path(plan["log"])
        if complaint == NOT_READY and log.exists():
            complaint += _last_line(log)
        return Traced(tracer.methods, attempts, facts, complaint or unseen, plan["service"] is not None)


def _program() -> str:
    return Path(rehearsal.__file__).read_text("utf-8")


def _plan(subject: Subject, folder: Path, owner: tracers.Owner, question: str) -> Dict[str, Any]:
    """Make the scratch home and return what `rehearsal` is to do in it."""
    home = folder / "home"
    places = {name: home / name for name in ("config", "data")}
    for place in (home, *places.values()):
        place.mkdir(mode=0o700)
    configuration = places["config"] / "ragtrace.yaml"
    try:
        configuration.write_bytes(read_limited(subject.prefix / "config" / "ragtrace.yaml"))
    except Unreadable:
        configuration.write_bytes(b"")
    # Where a release looks for its models beside its home, it finds them, and may not write there.
    (home / "generations").symlink_to(subject.prefix / "generations")
    if owner is not None:
        for place in (home, configuration, *places.values()):
            os.chown(place, *owner)
    events = str(folder / "events")
    hooked = [str(subject.python), "-S", "-B", "-c", tracers.AUDITED, events, subject.service.module]
    names = {"{home}": home, "{config}": configuration, "{data}": places["data"]}
    return {
        "service": [*hooked, *(_filled(word, names) for word in subject.service.arguments)]
        if subject.service.module == REHEARSED
        else None,
        "environment": {
            "RAGTRACE_HOME": str(home),
            "RAGTRACE_CONFIG": str(configuration),
            "RAGTRACE_DATA_FOLDER": str(places["data"]),
            "RAGTRACE_SERVER_HOST": "127.0.0.1",
            "RAGTRACE_SERVER_PORT": rehearsal.PORT,
        },
        "log": str(folder / "log"),
        "health": subject.service.health_path,
        "question": {
            "qry_id": "validator-trace",
            "user_id": "validator",
            "page_id": "validator",
            "qry_contents": question,
            "qry_time": "2026-01-01 00:00:00",
        },
        "ready_s": READY_S,
        "answer_s": ANSWER_S,
        "command": [*hooked, "ask", question],
        "command_s": COMMAND_S,
    }


def _filled(word: str, places: Dict[str, Path]) -> str:
    for name, place in places.items():
        word = word.replace(name, str(place))
    return word


def _attempts(
    tracer: tracers.Tracer, folder: Path, done: commands.Finished, allowed: Tuple[Network, ...]
) -> Tuple[Tuple[str, ...], str]:
    """Return every attempt that was seen, and what could not be looked at."""
    found: List[str] = []
    unseen = ""
    try:
        found += tracers.outbound_events(tracers.read_log(folder / "events"), allowed)
    except OSError as error:
        unseen = f"no audit events: {error.strerror}"
    if tracers.STRACE in tracer.methods:
        try:
            found += tracers.outbound_calls(tracers.read_log(folder / "calls"), allowed)
        except OSError as error:
            unseen = f"no trace: {error.strerror}"
    if tracer.in_namespace:
        counted = tracers.packets(done.output)
        if counted is None:
            return tuple(dict.fromkeys(found)), "the namespace did not say what it counted"
        lost = sum(counted.get(name, 0) for name in netns.ROUTES)
        asked = sum(counted.get(name, 0) for name in netns.LOOKUPS)
        found += [f"{lost} packets without a route"] * min(lost, 1)
        found += [f"{asked} packets to a name server of this host"] * min(asked, 1)
    return tuple(dict.fromkeys(found)), unseen


def _told(done: commands.Finished, started: bool) -> Tuple[str, str]:
    """Return the evidence of how far it came, and the complaint when it did not come through."""
    told: Dict[str, Any] = {}
    for line in done.output.splitlines():
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict) and "command" in value:
            told = value
    if not told:
        return "nothing told", done.complaint or "the rehearsal did not end"
    service, command = told.get("service") or {}, told["command"]
    facts = f"command line exit {command.get('code')}"
    if started:
        facts = (
            f"start ready after {service.get('ready_s')} s, question HTTP {service.get('status')}, " + facts
        )
        if not service.get("ready"):
            return facts, NOT_READY
        if service.get("status") != 200:
            return facts, f"HTTP {service.get('status')}: {str(service.get('said'))[:200]}"
    return facts, "" if command.get("code") == 0 else str(command.get("said"))[:300]


def _last_line(log: Path) -> str:
    try:
        lines = tracers.read_log(log)
    except OSError:
        return ""
    return ": " + lines[-1][:200] if lines else ""


def allowed_networks(subject: Subject) -> Tuple[Network, ...]:
    """Return the networks that the operator lets the service reach (a wrong list is the installer's to refuse)."""
    words = subject.settings.get(NETWORK_VARIABLE, "").replace(",", " ").split()
    try:
        return tuple(ipaddress.ip_network(word, strict=False) for word in words)
    except ValueError:
        return ()


def foreign_sockets(subject: Subject, proc: Path = procfs.PROC) -> Tuple[int, int, List[str]]:
    """Return processes seen, processes not permitted to see, and connections they opened to other hosts.

    A connection whose local port is one the process listens on came from outside and is no attempt of ours.
    """
    running = procfs.service_processes(subject, proc)
    every = procfs.sockets(proc)
    allowed = allowed_networks(subject)
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
            and tracers.is_foreign(item.remote, allowed)
        ]
    return len(running), hidden, found
