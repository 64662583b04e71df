"""One contract for everything that can keep the service running: the twin, the real processes, and the three service
managers, each behind a program that answers as the real one does. launchd and Windows were not run themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from installer.hosts.crontab import Crontab
from installer.hosts.interface import ServiceDefinition, ServiceError, ServiceHost
from installer.hosts.launchd import LaunchdHost
from installer.hosts.process import ProcessHost
from installer.hosts.systemd import SystemdHost, UserSystemdHost
from installer.hosts.unmanaged import UnmanagedHost
from installer.hosts.windows import WindowsHost
from installer.testing import MemoryHost

from .managers import FakeCrontab, FakeLaunchd, FakeScheduler, FakeSystemd, Manager, interpreter_in

FIRST, SECOND = "000001-0123456789ab", "000002-0123456789ab"
SLEEP = "import time; time.sleep(600)"


def definition_in(home: Path, generation: str = FIRST, script: str = SLEEP) -> ServiceDefinition:
    """Return a definition whose service is a line of Python, run by the generation's own interpreter."""
    data = home / "data 자료"
    data.mkdir(parents=True, exist_ok=True)
    (home / "state").mkdir(exist_ok=True)
    python = interpreter_in(home / "generations" / generation)
    return ServiceDefinition(
        name="ragtrace",
        generation=generation,
        command=(python, "-c", script),
        environment={"A": "100% $HOME"},
        settings_file=home / "config" / ".env",
        user="",
        home=home,
        data=data,
        log=data / "service.log",
        lock=home / "state" / "service.lock",
        host="127.0.0.1",
        port=8400,
        health_path="/readyz",
        ready_timeout_s=5,
    )


@dataclass
class Played:
    """A host, and the manager behind it where that is not real."""

    host: ServiceHost
    manager: Manager | None = None


def _systemd(folder: Path) -> Played:
    manager = FakeSystemd(folder / "units")
    return Played(SystemdHost(manager, folder / "units", folder / "sysusers"), manager)


def _user_systemd(folder: Path) -> Played:
    manager = FakeSystemd(folder / "units")
    return Played(UserSystemdHost(manager, folder / "units", "somebody", folder / "linger"), manager)


def _launchd(folder: Path) -> Played:
    manager = FakeLaunchd()
    return Played(LaunchdHost(manager, folder / "LaunchDaemons", "system"), manager)


def _windows(folder: Path) -> Played:
    manager = FakeScheduler()
    return Played(WindowsHost(manager, administrator=True), manager)


def _process(folder: Path) -> Played:
    return Played(ProcessHost(Crontab(FakeCrontab(), "crontab"), inside=""))


MAKE: dict[str, Callable[[Path], Played]] = {
    "memory": lambda folder: Played(MemoryHost()),
    "process": _process,
    "systemd": _systemd,
    "systemd --user": _user_systemd,
    "launchd": _launchd,
    "windows": _windows,
}


@pytest.fixture(params=sorted(MAKE))
def played(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Played]:
    made = MAKE[request.param](tmp_path / "manager")
    yield made
    made.host.stop(definition_in(tmp_path / "설치 위치"))
    if made.manager is not None:
        made.manager.close()


@pytest.fixture
def host(played: Played) -> ServiceHost:
    return played.host


@pytest.fixture
def definition(tmp_path: Path) -> ServiceDefinition:
    return definition_in(tmp_path / "설치 위치")


def run(host: ServiceHost, definition: ServiceDefinition) -> int:
    """Register, start, and return the process."""
    host.prepare_user(definition)
    host.install_unit(definition)
    host.start(definition)
    return host.status(definition).pid


def test_registering_does_not_start(host: ServiceHost, definition: ServiceDefinition) -> None:
    assert not host.status(definition).running
    host.prepare_user(definition)
    host.install_unit(definition)
    assert not host.status(definition).running


def test_a_started_service_runs_as_its_generation(host: ServiceHost, definition: ServiceDefinition) -> None:
    pid = run(host, definition)
    status = host.status(definition)
    assert (status.running, status.generation, status.pid) == (True, FIRST, pid)
    assert pid > 0


def test_starting_twice_keeps_the_process(host: ServiceHost, definition: ServiceDefinition) -> None:
    assert run(host, definition) == run(host, definition)


def test_registering_another_generation_leaves_the_running_one_alone(
    host: ServiceHost, definition: ServiceDefinition
) -> None:
    pid = run(host, definition)
    host.install_unit(definition_in(definition.home, SECOND))
    status = host.status(definition)
    assert (status.generation, status.pid) == (FIRST, pid)


def test_starting_another_generation_replaces_the_process(
    host: ServiceHost, definition: ServiceDefinition
) -> None:
    first = run(host, definition)
    second = run(host, definition_in(definition.home, SECOND))
    assert host.status(definition).generation == SECOND
    assert first != second


def test_going_back_runs_the_first_one_again(host: ServiceHost, definition: ServiceDefinition) -> None:
    for each in (definition, definition_in(definition.home, SECOND), definition):
        run(host, each)
    assert host.status(definition).generation == FIRST


def test_stopping_is_complete_and_idempotent(host: ServiceHost, definition: ServiceDefinition) -> None:
    run(host, definition)
    for _ in range(2):
        host.stop(definition)
        assert not host.status(definition).running


def test_a_stopped_service_can_be_started_again(host: ServiceHost, definition: ServiceDefinition) -> None:
    run(host, definition)
    host.stop(definition)
    host.start(definition)
    assert host.status(definition).generation == FIRST


def test_a_registration_is_taken_back_as_often_as_wanted(
    host: ServiceHost, definition: ServiceDefinition
) -> None:
    run(host, definition)
    host.stop(definition)
    for _ in range(2):
        host.remove_unit(definition.name)
    run(host, definition)
    assert host.status(definition).running


def test_what_was_never_there_can_be_stopped_and_removed(
    host: ServiceHost, definition: ServiceDefinition
) -> None:
    host.stop(definition)
    host.remove_unit(definition.name)
    assert not host.status(definition).running


def test_a_service_that_ends_is_seen_to_have_ended(
    played: Played, host: ServiceHost, definition: ServiceDefinition
) -> None:
    if isinstance(host, MemoryHost):
        pytest.skip("the twin has no processes")
    brief = replace(definition, command=(*definition.command[:2], "raise SystemExit(7)"))
    host.install_unit(brief)
    host.start(brief)
    for process in played.manager.processes.values() if played.manager else ():
        assert process.wait(20) == 7
    while host.status(brief).running:
        pass


def test_the_environment_arrives_literally_with_the_operators_settings(
    played: Played, host: ServiceHost, definition: ServiceDefinition
) -> None:
    if isinstance(host, (MemoryHost, SystemdHost)):
        pytest.skip(
            "the twin starts nothing; EnvironmentFile= is read by the real systemd only (test_whole_way)"
        )
    definition.settings_file.parent.mkdir()
    definition.settings_file.write_text("TOKEN='한글 값'\n", encoding="utf-8")
    script = "import os, time; print(os.environ['A'], os.environ['TOKEN'], os.getcwd(), flush=True); time.sleep(600)"
    run(host, replace(definition, command=(definition.command[0], "-X", "utf8", "-c", script)))
    while "\n" not in definition.log.read_text(encoding="utf-8"):
        pass
    assert host.logs(definition) == f"100% $HOME 한글 값 {definition.data}"


@pytest.mark.parametrize(
    ("made", "word"),
    ((_systemd, "daemon-reload"), (_launchd, "enable"), (_windows, "/Create")),
    ids=lambda value: getattr(value, "__name__", value),
)
def test_what_the_manager_says_becomes_the_error(
    made: Callable[[Path], Played], word: str, tmp_path: Path, definition: ServiceDefinition
) -> None:
    played = made(tmp_path / "manager")
    assert played.manager is not None
    played.manager.fails = word
    with pytest.raises(ServiceError, match="refused"):
        played.host.install_unit(definition)


@pytest.mark.parametrize("made", (_systemd, _launchd, _windows), ids=lambda made: made.__name__)
def test_an_equal_registration_is_not_written_again(
    made: Callable[[Path], Played], tmp_path: Path, definition: ServiceDefinition
) -> None:
    played = made(tmp_path / "manager")
    played.host.install_unit(definition)
    written = {p: p.stat().st_ino for p in tmp_path.rglob("*") if p.suffix in (".service", ".plist", ".xml")}
    played.host.install_unit(definition)
    assert len(written) == 1
    assert {path: path.stat().st_ino for path in written} == written


def test_nobody_manages_what_nobody_manages(definition: ServiceDefinition) -> None:
    host = UnmanagedHost()
    run(host, definition)
    assert not host.status(definition).running
    advice = host.advice(definition)
    assert advice is not None and "/current/venv/bin/python" in advice.ko and FIRST not in advice.en
