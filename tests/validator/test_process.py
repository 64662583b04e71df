"""RAG-009 and SEC-013: the running service and its registration are what the installer makes of them."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path

import pytest

from tests.validator.fakes import Installation, run
from validator.checks import process
from validator.host import procfs, unit
from validator.model import Outcome, Status

UNIT = """\
# Written by the RAGTrace installer
[Service]
ExecStart="/p/venv/bin/python" "-m" "ragtrace"
Environment="HF_HUB_OFFLINE=1"
ProtectHome=yes
IPAddressDeny=any
"""


def test_the_service_as_the_installer_starts_it_passes(running: Installation) -> None:
    assert run(process.as_installed, running.subject()).status is Status.PASS


def test_without_a_process_there_is_nothing_to_compare(installation: Installation) -> None:
    assert run(process.as_installed, installation.subject()).status is Status.SKIP


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("PYTHONPATH", "/tmp/secret-place"),
        ("LD_LIBRARY_PATH", "/tmp/secret-place"),
        ("https_proxy", "http://user:secret-place@10.0.0.1:3128"),
        ("RAGTRACE_HOME", "/secret-place"),
        ("RAGTRACE_CONFIG", "/secret-place"),
        ("RAGTRACE_GENERATION", "secret-place"),
        ("RAGTRACE_SEARCH_TOP_N", "secret-place"),
        ("PYTHONNOUSERSITE", ""),
    ],
)
def test_a_variable_that_the_installer_does_not_give_fails_by_name_only(
    installation: Installation, variable: str, value: str
) -> None:
    with installation.serving(**{variable: value}):
        outcome = run(process.as_installed, installation.subject())
    assert outcome.status is Status.FAIL
    assert variable in outcome.details.en
    assert "secret-place" not in str(outcome)


def test_a_setting_that_the_process_does_not_have_fails_and_one_edited_later_warns(
    installation: Installation,
) -> None:
    text = installation.settings.read_text() + "RAGTRACE_SEARCH_TOP_N=7\n"
    installation.settings.write_text(text)
    os.utime(installation.settings, (time.time() - 3600,) * 2)
    with installation.serving():
        outcome = run(process.as_installed, installation.subject())
        assert outcome.status is Status.FAIL
        assert "RAGTRACE_SEARCH_TOP_N" in outcome.measured
        os.utime(installation.settings, (time.time() + 5,) * 2)
        assert run(process.as_installed, installation.subject()).status is Status.WARN


def test_a_proxy_or_a_quoted_value_that_the_operator_set_is_the_operators(installation: Installation) -> None:
    text = installation.settings.read_text() + "HTTPS_PROXY=http://10.0.0.1:1\nNOTE='a \"b\"'\n"
    installation.settings.write_text(text)
    with installation.serving(HTTPS_PROXY="http://10.0.0.1:1", NOTE='a "b"'):
        assert run(process.as_installed, installation.subject()).status is Status.PASS


def test_another_command_line_and_another_folder_fail(installation: Installation) -> None:
    python = str(installation.generation / "venv" / "bin" / "python")
    with installation.serving():
        environment = procfs.environment(procfs.service_processes(installation.subject())[0].pid) or {}
    environment["RAGTRACE_SERVER_PORT"] = "0"
    stray = subprocess.Popen([python, "-m", "ragtrace", "serve", "--debug"], env=environment, cwd="/")
    try:
        outcome = _wait_for(installation, Status.FAIL)
    finally:
        stray.kill()
        stray.wait()
    assert "command line" in outcome.measured
    assert "working directory" in outcome.measured


def _wait_for(installation: Installation, wanted: Status) -> Outcome:
    """A process that is just being executed has no command line yet."""
    for _ in range(200):
        outcome = run(process.as_installed, installation.subject())
        if outcome.status is wanted:
            return outcome
        time.sleep(0.02)
    raise AssertionError(outcome)


def test_an_interpreter_replaced_meanwhile_warns(
    running: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = procfs.link
    monkeypatch.setattr(
        procfs, "link", lambda pid, name: real(pid, name) + (" (deleted)" if name == "exe" else "")
    )
    outcome = run(process.as_installed, running.subject())
    assert outcome.status is Status.WARN
    assert "replaced" in outcome.measured


def test_a_process_that_may_not_be_seen_is_unknown(
    running: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(procfs, "environment", lambda pid: None)
    assert run(process.as_installed, running.subject()).status is Status.UNKNOWN


def test_a_service_that_others_start_is_not_judged(running: Installation) -> None:
    (running.root / "state" / "service.json").write_text(json.dumps({"manager": "none"}))
    assert run(process.as_installed, running.subject()).status is Status.SKIP


def test_the_time_of_a_start_is_read() -> None:
    assert abs(procfs.started(os.getpid()) - time.time()) < 86400
    child = subprocess.Popen(["sleep", "30"])
    try:
        assert abs(procfs.started(child.pid) - time.time()) < 5
    finally:
        child.kill()
        child.wait()


def told(monkeypatch: pytest.MonkeyPatch, **changes: str) -> None:
    """Let the installer say what it registers."""
    facts = {"manager": "systemd", "kind": "file", "place": "", "text": UNIT, "found": "", **changes}
    monkeypatch.setattr(unit, "expected", lambda subject: unit.Registration(**facts))


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A unit as the installer wrote it."""
    place = tmp_path / "system" / "ragtrace.service"
    place.parent.mkdir()
    place.write_text(UNIT)
    told(monkeypatch, place=str(place))
    return place


def drop_in(place: Path, text: str) -> None:
    folder = place.with_name(place.name + ".d")
    folder.mkdir(exist_ok=True)
    (folder / "override.conf").write_text(text)


def test_a_unit_as_written_passes(installation: Installation, written: Path) -> None:
    assert run(process.unit_as_written, installation.subject()).status is Status.PASS


def test_a_missing_a_changed_and_a_replaced_unit_fail(installation: Installation, written: Path) -> None:
    written.write_text(UNIT.replace("ProtectHome=yes\n", "") + "Environment=TOKEN=secret\n")
    outcome = run(process.unit_as_written, installation.subject())
    assert outcome.status is Status.FAIL and outcome.remedy == "restore-unit"
    assert "Environment, ProtectHome" in outcome.details.en
    assert "secret" not in str(outcome)
    written.unlink()
    assert "missing" in run(process.unit_as_written, installation.subject()).details.en
    written.symlink_to("/dev/zero")
    assert "cannot be read" in run(process.unit_as_written, installation.subject()).details.en


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("[Service]\nMemoryMax=4G\nNice=5\n", ""),
        ("[Service]\nProtectHome=yes\n", ""),
        ("# ProtectHome=no\n[Unit]\nAfter=postgresql.service\n", ""),
        ("[Service]\nProtectHome=no\n", "ProtectHome"),
        ("[Service]\nIPAddressDeny=\n", "IPAddressDeny"),
        ("[Service]\nIPAddressAllow=any\n", "IPAddressAllow"),
        ("[Service]\nEnvironment=HTTPS_PROXY=http://secret\n", "Environment"),
        ("[Service]\nExecStart=\nExecStart=/bin/secret\n", "ExecStart"),
        ("[Service]\nNice=5 \\\n  1\nUser=root\n", "User"),
    ],
)
def test_a_drop_in_fails_when_it_changes_more_than_resources(
    installation: Installation, written: Path, text: str, found: str
) -> None:
    drop_in(written, text)
    outcome = run(process.unit_as_written, installation.subject())
    assert outcome.status is (Status.FAIL if found else Status.PASS), outcome
    assert found in outcome.details.en
    assert "secret" not in str(outcome)


def test_a_drop_in_of_set_property_is_looked_for_as_well(tmp_path: Path) -> None:
    folders = (tmp_path / "control", tmp_path / "system")
    (folders[0] / "a.service.d").mkdir(parents=True)
    (folders[0] / "a.service.d" / "50-IPAddressAllow.conf").write_text("[Service]\nIPAddressAllow=any\n")
    assert unit.read_drop_ins(folders[1] / "a.service", UNIT, folders) == {
        str(folders[0] / "a.service.d" / "50-IPAddressAllow.conf"): ["IPAddressAllow"]
    }
    assert unit.read_drop_ins(tmp_path / "user" / "a.service", UNIT, folders) == {}


@pytest.mark.parametrize(
    ("found", "status"), [("@reboot x", Status.PASS), ("", Status.FAIL), ("@reboot y", Status.FAIL)]
)
def test_a_crontab_line_is_compared(
    installation: Installation, monkeypatch: pytest.MonkeyPatch, found: str, status: Status
) -> None:
    told(monkeypatch, manager="process", kind="line", place="crontab", text="@reboot x", found=found)
    assert run(process.unit_as_written, installation.subject()).status is status


def test_where_nothing_is_registered_there_is_nothing_to_compare(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(process.unit_as_written, installation.subject()).status is Status.SKIP
    told(monkeypatch, manager="none", kind="none")
    assert run(process.unit_as_written, installation.subject()).status is Status.SKIP


@pytest.mark.parametrize(
    ("code", "status", "word"),
    [
        ("import sys; sys.exit(3)", Status.SKIP, "no service"),
        ("import sys; sys.exit('not yours')", Status.UNKNOWN, "not yours"),
        ("print('{}')", Status.UNKNOWN, "unreadable answer"),
        ("print('no json')", Status.UNKNOWN, "unreadable answer"),
    ],
)
def test_an_installer_that_does_not_say_is_no_pass(
    installation: Installation, code: str, status: Status, word: str
) -> None:
    script = installation.generation / "tools" / unit.SCRIPT
    script.parent.mkdir(parents=True)
    script.write_text(code)
    outcome = run(process.unit_as_written, installation.subject())
    assert outcome.status is status
    assert word in outcome.details.en
