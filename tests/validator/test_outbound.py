"""SEC-009: attempts to reach another host are caught in a start, in a question, in Python and in native code."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.validator.fakes import Installation, run, status
from validator.checks import outbound as checks
from validator.host import netns, outbound, procfs, tracers
from validator.model import Status

HOOK = tracers.AUDIT_HOOK
WAYS = ("call_out", "call_out_at_start", "call_out_at_question")
# Methods whose trace is taken, and whether native code can hide from it.
TRACERS = {
    "strace": (tracers.STRACE, HOOK),
    "namespace": (tracers.NAMESPACE, HOOK),
    "both": (tracers.STRACE, tracers.NAMESPACE, HOOK),
    "hook": (HOOK,),
}


def restrict(monkeypatch: pytest.MonkeyPatch, wanted: tuple[str, ...]) -> None:
    """Leave only the wanted means; skip where this host does not let us use them."""
    real = shutil.which
    if tracers.STRACE not in wanted:
        monkeypatch.setattr(shutil, "which", lambda name: None if name == "strace" else real(name))
    elif real("strace") is None:
        pytest.skip("strace is not on this host")
    if tracers.NAMESPACE not in wanted:
        monkeypatch.setattr(tracers, "_namespace", lambda owner: ("false",))
    elif subprocess.run([sys.executable, netns.__file__, "-", "-", "true"], capture_output=True).returncode:
        pytest.skip("this host does not give us a network namespace")


@pytest.fixture(params=TRACERS)
def methods(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    """Run a test with each combination of tracers."""
    wanted = TRACERS[request.param]
    restrict(monkeypatch, wanted)
    return wanted


def test_a_start_and_a_question_that_stay_at_home_pass(
    running: Installation, methods: tuple[str, ...]
) -> None:
    outcome = run(checks.no_outbound, running.subject())
    assert outcome.status is Status.PASS, outcome
    assert outcome.measured.startswith(" + ".join(methods) + ": 0 attempts; start ready after ")
    assert "question HTTP 200, command line exit 0" in outcome.measured
    assert ("native code was not" in outcome.details.en) == (methods == (HOOK,))


@pytest.mark.parametrize("where", WAYS)
def test_an_attempt_in_python_is_caught_wherever_it_is(
    installation: Installation, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    restrict(monkeypatch, TRACERS["hook"])
    installation.facts(**{where: "python"})
    outcome = run(checks.no_outbound, installation.subject())
    assert outcome.status is Status.FAIL, outcome
    assert "connect 192.0.2.7 443" in outcome.details.en


def test_an_attempt_in_native_code_is_caught_by_the_kernel_and_by_strace(
    installation: Installation, methods: tuple[str, ...]
) -> None:
    how = "native-udp" if len(methods) > 2 else "native"
    installation.facts(call_out_at_start=how)
    outcome = run(checks.no_outbound, installation.subject())
    if methods == (HOOK,):
        assert outcome.status is Status.PASS
        assert "native code was not" in outcome.details.en
        return
    assert outcome.status is Status.FAIL, outcome
    if tracers.STRACE in methods:
        assert ("sendto" if how == "native-udp" else "connect") + " 192.0.2.7 443" in outcome.details.en
    if tracers.NAMESPACE in methods:
        assert "1 packets without a route" in outcome.details.en


def test_what_runs_at_every_start_of_the_interpreter_is_caught(
    installation: Installation, methods: tuple[str, ...]
) -> None:
    call = "import socket; socket.socket(2, 2).connect_ex(('192.0.2.44', 443))"
    (installation.site / "helper.pth").write_text(call + "\n")
    outcome = run(checks.no_outbound, installation.subject())
    assert outcome.status is Status.FAIL, outcome
    assert "192.0.2.44 443" in outcome.details.en
    if tracers.NAMESPACE in methods:
        assert "packets without a route" in outcome.details.en


def test_nothing_of_the_installation_is_written(running: Installation) -> None:
    def everything() -> dict[str, tuple[int, int]]:
        return {
            str(path): (path.lstat().st_mtime_ns, path.lstat().st_size) for path in running.root.rglob("*")
        }

    before = everything()
    assert status(checks.no_outbound, running.subject()) is Status.PASS
    assert everything() == before


def test_the_second_service_is_not_taken_for_the_installations_own(
    running: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    real = tracers.start

    def start(*words: object, **options: object) -> object:
        process = subprocess.Popen(
            [sys.executable, "-c", WATCH, str(running.root)], stdout=subprocess.PIPE, text=True
        )
        try:
            return real(*words, **options)  # type: ignore[arg-type]
        finally:
            seen.append(int(process.communicate(input=None, timeout=30)[0]))

    monkeypatch.setattr(tracers, "start", start)
    monkeypatch.setattr(tracers, "choose", lambda *_, **__: tracers.Tracer((), (HOOK,)))
    assert status(checks.no_outbound, running.subject()) is Status.PASS
    assert seen == [1]


WATCH = f"""
import sys, time
sys.path.insert(0, {str(Path(__file__).parent.parent.parent)!r})
from pathlib import Path
from validator.host import procfs
from validator.subject import Subject
most, end = 0, time.monotonic() + 1.5
while time.monotonic() < end:
    most = max(most, len(procfs.service_processes(Subject(Path(sys.argv[1])))))
    time.sleep(0.02)
print(most)
"""


def test_a_question_that_fails_is_unknown_not_passed(running: Installation, methods: tuple[str, ...]) -> None:
    (running.site / "ragtrace" / "__main__.py").write_text("raise SystemExit('out of order')\n")
    outcome = run(checks.no_outbound, running.subject())
    assert outcome.status is Status.UNKNOWN
    assert "did not become ready: out of order" in outcome.details.en


def test_an_answer_that_is_no_answer_is_unknown(running: Installation) -> None:
    running.facts(query_status=503)
    outcome = run(checks.no_outbound, running.subject())
    assert outcome.status is Status.UNKNOWN
    assert "HTTP 503" in outcome.measured


def test_without_an_interpreter_it_is_unknown(installation: Installation) -> None:
    (installation.generation / "venv" / "bin" / "python").unlink()
    assert status(checks.no_outbound, installation.subject()) is Status.UNKNOWN


def test_a_network_that_the_operator_allows_does_not_count_and_is_named(installation: Installation) -> None:
    if shutil.which("strace") is None:
        pytest.skip("strace is not on this host")
    installation.facts(call_out_at_start="native")
    with installation.settings.open("a") as settings:
        settings.write("RAGTRACE_NETWORK_ALLOW=192.0.2.0/24\n")
    outcome = run(checks.no_outbound, installation.subject())
    assert outcome.status is Status.PASS, outcome
    assert outcome.measured.endswith("; allowed: 192.0.2.0/24")
    assert tracers.NAMESPACE not in outcome.measured


def test_only_a_service_known_to_keep_to_its_home_is_started_a_second_time(tmp_path: Path) -> None:
    from bundle.manifest import ServiceSpec

    foreign = ServiceSpec("stranger", ("serve",), "127.0.0.1", 1, "/", 20)
    subject = Installation(tmp_path / "prefix", service=foreign).subject()
    traced = outbound.traced_rehearsal(subject, "?")
    assert not traced.started
    assert traced.complaint


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start it as somebody else")
def test_root_traces_as_the_owner_of_the_data(methods: tuple[str, ...]) -> None:
    owner = (65534, 65534)
    with tempfile.TemporaryDirectory() as name:
        os.chown(name, *owner)
        tracer = tracers.choose(Path(name), owner, isolate=True)
        assert tracer.methods == methods
        done = tracers.start(tracer, ["id"], owner, timeout_s=20, environment={"PATH": os.environ["PATH"]})
    assert done.output.startswith("uid=65534") and "groups=0" not in done.output


def test_a_tracer_that_does_not_work_gives_way_to_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "strace"
    broken.write_text("#!/bin/sh\necho 'ptrace: Operation not permitted' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setattr(shutil, "which", lambda name: str(broken))
    monkeypatch.setattr(tracers, "_namespace", lambda owner: (sys.executable, "-c", "raise SystemExit(125)"))
    assert tracers.choose(tmp_path, None, isolate=True).methods == (HOOK,)


def test_traced_calls_are_told_apart() -> None:
    lines = [
        '7 connect(3, {sa_family=AF_INET, sin_port=htons(53), sin_addr=inet_addr("10.0.0.2")}, 16) = -1',
        '7 connect(3, {sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("127.0.0.1")}, 16) = 0',
        '7 connect(3, {sa_family=AF_INET, sin_port=htons(53), sin_addr=inet_addr("127.0.0.53")}, 16) = 0',
        '7 connect(3, {sa_family=AF_UNIX, sun_path="/run/nscd"}, 110) = -1',
        "7 connect(3, {sa_family=AF_INET6, sin6_port=htons(443), sin6_flowinfo=htonl(0), "
        'inet_pton(AF_INET6, "2001:db8::1", &sin6_addr), sin6_scope_id=0}, 28 <unfinished ...>',
        '7 sendto(3, "x", 1, 0, {sa_family=AF_INET, sin_port=htons(53), sin_addr=inet_addr("9.9.9.9")}, 16) = 1',
        '7 sendto(3, "x", 1, 0, NULL, 0) = 1',
        '7 connect(3, {sa_family=AF_INET6, sin6_port=htons(80), inet_pton(AF_INET6, "::ffff:127.0.0.1", &s)',
    ]
    assert tracers.outbound_calls(lines) == [
        "connect 10.0.0.2 53",
        "connect 127.0.0.53 53",
        "connect 2001:db8::1 443",
        "sendto 9.9.9.9 53",
    ]


def test_events_that_stay_here_are_told_from_those_that_do_not() -> None:
    here = ['["connect", "127.0.0.1", "80"]', '["lookup of", "localhost", ""]', '["connect", "::", "1"]']
    away = ['["lookup of", "huggingface.co", ""]', '["sendto", "::ffff:10.0.0.1", "9"]', "torn"]
    assert tracers.outbound_events(here) == []
    assert tracers.outbound_events(here + away) == [
        "lookup of huggingface.co",
        "sendto ::ffff:10.0.0.1 9",
        "unreadable event",
    ]


def test_a_trace_that_was_replaced_by_a_link_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "events").symlink_to("/etc/passwd")
    with pytest.raises(OSError):
        tracers.read_log(tmp_path / "events")


NATIVE_PROBES = {
    "tcp": "s=l.socket(2,1,0); l.connect(s,a,16)",
    "udp": "s=l.socket(2,2,0); l.sendto(s,b'x',1,0,a,16)",
    "connected udp": "s=l.socket(2,2,0); l.connect(s,a,16)",
    "lookup": "l.gethostbyname(b'example.com')",
    "ipv6": "s=l.socket(10,2,0); l.connect(s,b,28)",
}


@pytest.mark.parametrize("probe", NATIVE_PROBES)
def test_the_kernel_counts_every_kind_of_native_attempt(probe: str, monkeypatch: pytest.MonkeyPatch) -> None:
    restrict(monkeypatch, (tracers.NAMESPACE,))
    code = (
        "import ctypes,struct\nl=ctypes.CDLL(None)\n"
        "a=struct.pack('=H',2)+struct.pack('!H',443)+bytes([192,0,2,7])+bytes(8)\n"
        "b=struct.pack('=H',10)+struct.pack('!HI',443,0)+bytes([0x20,1,0xd,0xb8])+bytes(11)+b'\\1'+bytes(4)\n"
    ) + NATIVE_PROBES[probe]
    done = subprocess.run(
        [sys.executable, netns.__file__, "-", "-", sys.executable, "-c", code], capture_output=True, text=True
    )
    counted = tracers.packets(done.stdout)
    assert counted is not None and sum(counted.values()) >= 1, done


def test_loopback_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    restrict(monkeypatch, (tracers.NAMESPACE,))
    code = (
        "import socket\ns=socket.create_server(('127.0.0.1',0))\n"
        "c=socket.create_connection(s.getsockname()); c.send(b'x'); socket.getaddrinfo('localhost',80)\n"
        "u=socket.socket(2,2); u.bind(('127.0.0.1',0)); socket.socket(2,2).sendto(b'x',u.getsockname())\n"
    )
    done = subprocess.run(
        [sys.executable, netns.__file__, "-", "-", sys.executable, "-c", code], capture_output=True, text=True
    )
    counted = tracers.packets(done.stdout)
    assert counted and not any(counted.values()), done


def test_an_open_connection_to_another_host_is_seen(
    running: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The listener's: a connection that is being closed has one too, and may be gone when it is looked for.
    inode = next(
        each.inode
        for each in procfs.sockets()
        if each.local_port == running.port and each.state == procfs.LISTEN
    )
    planted = procfs.Socket("10.0.0.1", 40000, "10.0.0.2", 443, procfs.SYN_SENT, inode)
    monkeypatch.setattr(procfs, "sockets", lambda proc=None: [planted])
    assert outbound.foreign_sockets(running.subject())[2][0].startswith("10.0.0.2 443")
    with running.settings.open("a") as settings:
        settings.write("RAGTRACE_NETWORK_ALLOW='10.0.0.0/30, fd00::/8'\n")
    assert outbound.foreign_sockets(running.subject())[2] == []
