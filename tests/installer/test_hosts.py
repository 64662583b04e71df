"""Every service host passes the same contract; the systemd unit says what it must."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from installer.hosts.interface import ServiceDefinition, ServiceError, ServiceHost
from installer.hosts.process import ProcessHost, lock_holder
from installer.hosts.systemd import SystemdHost, allowed_networks, sysusers_text, unit_text
from installer.signals import shielded
from installer.testing import MemoryHost

FIRST, SECOND = "000001-0123456789ab", "000002-0123456789ab"


def definition_in(
    folder: Path, generation: str = FIRST, script: str = "import time; time.sleep(600)"
) -> ServiceDefinition:
    """Return a definition whose service is a line of Python."""
    data = folder / "data 자료"
    data.mkdir(exist_ok=True)
    return ServiceDefinition(
        name="ragtrace",
        generation=generation,
        command=(sys.executable, "-c", script),
        environment={"A": "100% $HOME"},
        settings_file=folder / ".env",
        user="",
        home=folder,
        data=data,
        log=data / "service.log",
        lock=folder / "service.lock",
        host="127.0.0.1",
        port=8400,
        health_path="/readyz",
        ready_timeout_s=5,
    )


@pytest.fixture
def definition(tmp_path: Path) -> Iterator[ServiceDefinition]:
    made = definition_in(tmp_path)
    yield made
    ProcessHost().stop(made)


@pytest.fixture(params=("memory", "process"))
def host(request: pytest.FixtureRequest) -> ServiceHost:
    return MemoryHost() if request.param == "memory" else ProcessHost()


def test_contract_a_started_service_runs_as_its_generation(
    host: ServiceHost, definition: ServiceDefinition
) -> None:
    assert not host.status(definition).running
    host.prepare_user(definition)
    host.install_unit(definition)
    host.start(definition)
    status = host.status(definition)
    assert (status.running, status.generation) == (True, FIRST)
    assert status.pid > 0


def test_contract_starting_twice_keeps_the_process(host: ServiceHost, definition: ServiceDefinition) -> None:
    host.start(definition)
    pid = host.status(definition).pid
    host.start(definition)
    assert host.status(definition).pid == pid


def test_contract_starting_another_generation_replaces_the_process(
    host: ServiceHost, definition: ServiceDefinition
) -> None:
    host.start(definition)
    pid = host.status(definition).pid
    host.start(replace(definition, generation=SECOND))
    status = host.status(definition)
    assert (status.running, status.generation) == (True, SECOND)
    assert status.pid != pid


def test_contract_stopping_is_complete_and_idempotent(
    host: ServiceHost, definition: ServiceDefinition
) -> None:
    host.start(definition)
    host.stop(definition)
    assert not host.status(definition).running
    host.stop(definition)
    host.remove_unit(definition.name)
    host.remove_unit(definition.name)


def test_a_process_that_cannot_be_started_is_an_error(definition: ServiceDefinition) -> None:
    broken = replace(
        definition, command=(sys.executable, "-c", ""), lock=definition.home / "missing" / "lock"
    )
    with pytest.raises(ServiceError, match="cannot start"):
        ProcessHost().start(broken)


def test_a_process_that_ignores_sigterm_is_killed(
    definition: ServiceDefinition, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("installer.hosts.process.STOP_TIMEOUT_S", 0.3)
    stubborn = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(600)"
    definition = replace(definition, command=(sys.executable, "-c", stubborn))
    host = ProcessHost()
    host.start(definition)
    while "ready" not in host.logs(definition):
        pass
    host.stop(definition)
    assert not host.status(definition).running


def test_a_service_started_while_signals_are_shielded_can_be_stopped(definition: ServiceDefinition) -> None:
    report = "import signal, time; print(signal.getsignal(signal.SIGTERM) == signal.SIG_DFL, flush=True); time.sleep(600)"
    definition = replace(definition, command=(sys.executable, "-c", report))
    host = ProcessHost()
    with shielded():
        host.start(definition)
    while not host.logs(definition):
        pass
    assert host.logs(definition) == "True"


def test_settings_reach_the_process_and_nothing_of_the_shell_does(
    definition: ServiceDefinition, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", "/evil")
    monkeypatch.setenv("HTTPS_PROXY", "http://192.0.2.1")
    definition.settings_file.write_text("# comment\nTOKEN='한글 값'\nbroken line\n")
    script = "import os, time; print(*sorted(os.environ), os.environ['TOKEN'], flush=True); time.sleep(600)"
    host = ProcessHost()
    host.start(replace(definition, command=(sys.executable, "-c", script)))
    while not host.logs(definition):
        pass
    words = host.logs(definition).split()
    assert {"A", "TOKEN", "LANG", "한글", "값"} <= set(words)
    assert not {"PYTHONPATH", "HTTPS_PROXY"} & set(words)


def test_the_lock_is_found_by_nobody_once_its_holder_is_gone(tmp_path: Path) -> None:
    assert lock_holder(tmp_path / "missing") == 0
    (tmp_path / "stale").write_text(FIRST)
    assert lock_holder(tmp_path / "stale") == 0


class Commands:
    """A systemd that only notes its commands."""

    def __init__(self, fails: str = "") -> None:
        self.seen: list[list[str]] = []
        self.fails = fails

    def __call__(self, command: Sequence[str]) -> subprocess.CompletedProcess[bytes]:
        self.seen.append(list(command))
        failed = bool(self.fails) and self.fails in command
        return subprocess.CompletedProcess(list(command), int(failed), b"", b"refused" if failed else b"")


def test_the_unit_is_installed_once_enabled_and_removed(tmp_path: Path) -> None:
    commands = Commands()
    host = SystemdHost(commands, tmp_path / "units", tmp_path / "sysusers")
    definition = definition_in(tmp_path)
    host.install_unit(definition)
    unit = tmp_path / "units" / "ragtrace.service"
    first = unit.stat().st_ino
    host.install_unit(definition)
    assert unit.stat().st_ino == first, "an equal unit is not written again"
    assert ["systemctl", "enable", "--quiet", "ragtrace.service"] in commands.seen
    host.remove_unit("ragtrace")
    assert not unit.exists()


def test_what_systemd_says_becomes_the_error(tmp_path: Path) -> None:
    host = SystemdHost(Commands("daemon-reload"), tmp_path / "units", tmp_path / "sysusers")
    with pytest.raises(ServiceError, match="refused"):
        host.install_unit(definition_in(tmp_path))


def test_the_service_user_is_made_by_a_sysusers_drop_in(tmp_path: Path) -> None:
    commands = Commands()
    definition = replace(definition_in(tmp_path), user="ragtrace-test-nobody")
    SystemdHost(commands, tmp_path / "units", tmp_path / "sysusers").prepare_user(definition)
    drop_in = tmp_path / "sysusers" / "ragtrace.conf"
    assert drop_in.read_text() == sysusers_text(definition)
    assert commands.seen == [["systemd-sysusers", str(drop_in)]]


@pytest.mark.parametrize(
    ("host", "expected"), (("127.0.0.1", 1), ("::1", 1), ("localhost", 1), ("0.0.0.0", 7), ("10.1.2.3", 7))
)
def test_other_networks_are_open_only_to_a_service_that_listens_to_them(
    tmp_path: Path, host: str, expected: int
) -> None:
    assert len(allowed_networks(replace(definition_in(tmp_path), host=host))) == expected


def test_the_operator_decides_about_networks(tmp_path: Path) -> None:
    definition = definition_in(tmp_path)
    definition.settings_file.write_text("RAGTRACE_NETWORK_ALLOW=10.9.0.0/16, 10.8.0.1\n")
    assert allowed_networks(definition) == ("localhost", "10.9.0.0/16", "10.8.0.1/32")


def test_the_unit_is_hardened_and_names_the_generation_itself(tmp_path: Path) -> None:
    text = unit_text(replace(definition_in(tmp_path), user="ragtrace"), ("localhost",))
    for line in (
        "NoNewPrivileges=yes", "ProtectSystem=strict", "PrivateTmp=yes", "IPAddressDeny=any",
        "IPAddressAllow=localhost", "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX", "User=ragtrace",
        'Environment="A=100%% $HOME"', f'ReadWritePaths="{tmp_path}/data 자료"',
    ):  # fmt: skip
        assert line in text.splitlines()
    assert "/current/" not in text


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze on this machine")
def test_systemd_itself_accepts_the_unit(tmp_path: Path) -> None:
    unit = tmp_path / "ragtrace-check.service"
    definition = replace(
        definition_in(tmp_path), user="root", command=("/bin/sh", "-c", "echo 100% \"$HOME\" '한글'")
    )
    unit.write_text(unit_text(definition, ("localhost", "10.0.0.0/8")))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--recursive-errors=no", str(unit)],
        capture_output=True, text=True, check=False, env={**os.environ, "SYSTEMD_LOG_LEVEL": "warning"},
    )  # fmt: skip
    assert "ragtrace-check" not in done.stderr, done.stderr
