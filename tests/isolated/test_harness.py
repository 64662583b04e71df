"""The harness is proven before it is believed: what it boots, what it catches, what it leaves behind."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from .control_group import MOUNT
from .host_root import DNS_SERVER, HostKind, fresh_root, run_directory
from .machine import IsolatedHost
from .outbound import PLANTED, OutboundRecorder
from .tools import HarnessError, missing_prerequisites, run_here

pytestmark = pytest.mark.isolated

UNIT = """
[Service]
ExecStart=/usr/bin/python3 -m http.server 8099 --bind 127.0.0.1 --directory /etc
PrivateNetwork={private}
IPAddressDeny=any
IPAddressAllow=localhost
[Install]
WantedBy=multi-user.target
"""


def attempts_after(recorder: OutboundRecorder, host: IsolatedHost, *argv: str) -> list[str]:
    """Run a command inside and return the outbound attempts it added."""
    before = recorder.mark()
    host.run(argv)
    return [str(attempt) for attempt in recorder.attempts(host.namespaces, since=before)]


def test_a_plain_boot_makes_no_outbound_attempt(run_folder: Path, recorder: OutboundRecorder) -> None:
    before = recorder.mark()
    host = IsolatedHost(fresh_root(HostKind(), run_folder / "plain"), run_folder / "plain.log")
    with host:
        assert recorder.attempts(host.namespaces, since=before) == []


def test_the_host_has_real_systemd_and_no_network_but_loopback(bare_host: IsolatedHost) -> None:
    assert bare_host.run(["systemctl", "is-system-running"]).stdout.strip() == "running"
    interfaces = bare_host.run(["sh", "-c", "tail -n +3 /proc/net/dev | cut -d: -f1"]).stdout.split()
    assert interfaces == ["lo"]


def test_commands_do_not_inherit_this_machines_environment(bare_host: IsolatedHost) -> None:
    seen = bare_host.run(["env"], env={"RAGTRACE_LANG": "ko"}).expect().stdout.splitlines()
    assert "RAGTRACE_LANG=ko" in seen
    assert {line.partition("=")[0] for line in seen} == {"PATH", "HOME", "LANG", "TERM", "RAGTRACE_LANG"}


def test_every_planted_attempt_is_caught(bare_host: IsolatedHost, recorder: OutboundRecorder) -> None:
    bare_host.copy_in(PLANTED, "/root/planted.py")
    caught = attempts_after(recorder, bare_host, "python3", "/root/planted.py", "192.0.2.7", "443")
    calls = [line.split()[0] for line in caught]
    processors = len(os.sched_getaffinity(0))
    expected = ["sendto", "sendmsg", "sendmmsg", "sendmmsg", "connect", "io_uring"]
    assert calls == expected * processors
    assert all("192.0.2.7:443" in line for line in caught if not line.startswith("io_uring"))


def test_a_name_lookup_is_caught(bare_host: IsolatedHost, recorder: OutboundRecorder) -> None:
    lookup = "import socket; socket.getaddrinfo('pypi.example', 443)"
    caught = attempts_after(recorder, bare_host, "python3", "-c", lookup)
    assert caught and all(f"{DNS_SERVER}:53" in line for line in caught)


def test_an_attempt_over_ipv6_is_caught(bare_host: IsolatedHost, recorder: OutboundRecorder) -> None:
    connect = "import socket; socket.socket(socket.AF_INET6).connect(('2001:db8::7', 443))"
    caught = attempts_after(recorder, bare_host, "python3", "-c", connect)
    assert len(caught) == 1 and "[2001:db8::7]:443" in caught[0]


def test_an_attempt_of_a_service_is_caught_even_in_a_network_of_its_own(
    bare_host: IsolatedHost, recorder: OutboundRecorder
) -> None:
    connect = "import socket; socket.socket().connect(('192.0.2.8', 80))"
    argv = ["systemd-run", "--wait", "--quiet", "-p", "PrivateNetwork=yes", "python3", "-c", connect]
    caught = attempts_after(recorder, bare_host, *argv)
    assert len(caught) == 1 and "192.0.2.8:80 by python3" in caught[0]


def test_talk_on_loopback_is_not_an_attempt(bare_host: IsolatedHost, recorder: OutboundRecorder) -> None:
    bare_host.inside("/etc/systemd/system/served.service").write_text(UNIT.format(private="no"))
    bare_host.run(["systemctl", "daemon-reload"]).expect()
    before = recorder.mark()
    bare_host.run(["systemctl", "start", "served"]).expect()
    answer = "import time, urllib.request\nfor _ in range(100):\n"
    answer += "    try:\n        urllib.request.urlopen('http://127.0.0.1:8099/'); break\n"
    answer += "    except OSError: time.sleep(0.1)\n"
    bare_host.run(["python3", "-c", answer]).expect()
    reply = bare_host.http("GET", "http://127.0.0.1:8099/hostname")
    assert (reply.status, reply.text.strip()) == (200, HostKind().hostname)
    assert bare_host.http("GET", "http://127.0.0.1:8099/nothing").status == 404
    assert bare_host.run(["systemctl", "is-active", "served"]).stdout.strip() == "active"
    bare_host.run(["systemctl", "stop", "served"]).expect()
    assert bare_host.http("GET", "http://127.0.0.1:8099/hostname").status == 0
    assert recorder.attempts(bare_host.namespaces, since=before) == []


def test_files_travel_in_and_out_and_never_past_the_root(bare_host: IsolatedHost, tmp_path: Path) -> None:
    (tmp_path / "carried").mkdir()
    (tmp_path / "carried/한글.txt").write_text("가나다", encoding="utf-8")
    bare_host.copy_in(tmp_path / "carried", "/srv/carried")
    assert bare_host.run(["cat", "/srv/carried/한글.txt"]).stdout == "가나다"
    bare_host.copy_out("/srv/carried/한글.txt", tmp_path / "back.txt")
    assert (tmp_path / "back.txt").read_text(encoding="utf-8") == "가나다"
    bare_host.run(["ln", "-s", "/../../../../../..", "/srv/out"]).expect()
    with pytest.raises(HarnessError, match="leads out"):
        bare_host.copy_in(tmp_path / "carried/한글.txt", "/srv/out/etc/carried.txt")


def test_a_command_that_hangs_is_ended_with_its_children(bare_host: IsolatedHost) -> None:
    with pytest.raises(HarnessError, match="still running"):
        bare_host.run(["sh", "-c", "sleep 4711 & sleep 4712"], timeout=1)
    processes = bare_host.run(["sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '"]).stdout
    assert "sleep 4711" not in processes and "sleep 4712" not in processes


def test_a_recorder_that_lost_events_says_nothing(run_folder: Path, recorder: OutboundRecorder) -> None:
    folder = run_folder / "lossy"
    folder.mkdir()
    with OutboundRecorder(folder) as lossy:
        os.kill(lossy.tracer, signal.SIGSTOP)
        flood = "import socket\nfor n in range(60000): socket.socket(2, 2).connect_ex(('192.0.2.1', 9))"
        run_here(["unshare", "-n", "python3", "-c", flood]).expect()
        os.kill(lossy.tracer, signal.SIGCONT)
        with pytest.raises(HarnessError, match=r"lost|not caught"):
            lossy.attempts(set(), since=0)


def test_a_recorder_that_died_says_nothing(run_folder: Path, recorder: OutboundRecorder) -> None:
    folder = run_folder / "dead"
    folder.mkdir()
    with OutboundRecorder(folder) as dead:
        os.kill(dead.tracer, signal.SIGKILL)
        os.waitpid(dead.tracer, 0)
        with pytest.raises(HarnessError, match="not running"):
            dead.attempts(set(), since=0)


def test_what_was_written_survives_a_power_cut_and_nothing_is_left_running(able: None) -> None:
    with run_directory() as folder:
        host = IsolatedHost(fresh_root(HostKind(hostname="cut"), folder / "root"), folder / "console.log")
        host.boot()
        host.run(["sh", "-c", "echo kept > /srv/note; sync; sleep 4713 >/dev/null 2>&1 &"]).expect()
        host.kill()
        assert not host.running and processes_mentioning("sleep\x004713") == []
        host.boot()
        assert host.run(["cat", "/srv/note"]).stdout == "kept\n"
        host.shutdown()
        host.close()
        assert not any(str(folder) in line for line in Path("/proc/self/mountinfo").read_text().splitlines())
        assert list(MOUNT.glob(f"*/ragtrace-{folder.name}")) == []
    assert not folder.exists() and processes_mentioning(folder.name) == []


def test_two_hosts_at_once_do_not_disturb_each_other(
    bare_host: IsolatedHost, recorder: OutboundRecorder, able: None
) -> None:
    state = bare_host.run(["systemctl", "is-system-running"]).stdout
    with run_directory() as folder:
        root = fresh_root(HostKind(hostname="second"), folder / "root")
        before = recorder.mark()
        with IsolatedHost(root, folder / "console.log") as second:
            second.run(["python3", "-c", "import socket; socket.socket().connect(('192.0.2.9', 80))"])
            assert len(recorder.attempts(second.namespaces, since=before)) == 1
            assert recorder.attempts(bare_host.namespaces, since=before) == []
            assert second.run(["cat", "/etc/hostname"]).stdout.strip() == "second"
    assert bare_host.run(["systemctl", "is-system-running"]).stdout == state


def test_a_machine_that_lacks_something_is_told_what(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert "bpftrace is not installed" in missing_prerequisites()


def processes_mentioning(text: str) -> list[str]:
    """Return the command lines on this machine that contain `text`."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().decode("utf-8", "replace")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if text in line:
            found.append(line)
    return found
