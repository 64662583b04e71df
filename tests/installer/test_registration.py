"""The program that says what the installer would register, without registering it."""

from __future__ import annotations

import json
import os
import plistlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from installer import hosts, registration, settings
from installer.hosts.crontab import Crontab, line_for
from installer.hosts.launchd import LaunchdHost
from installer.hosts.process import ProcessHost
from installer.hosts.systemd import SystemdHost
from installer.paths import Prefix
from installer.service import define
from installer.settings import ServiceSettings
from tests.installer.managers import FakeCrontab
from tests.validator.fakes import Installation

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture
def prefix(tmp_path: Path) -> Prefix:
    """An installation whose service systemd runs as a user of its own."""
    made = Installation(tmp_path / "prefix")
    found = Prefix(made.root)
    settings.write(found, ServiceSettings("systemd", "ragtrace", "ragtrace", "127.0.0.1", made.port, True))
    return found


def ask(
    prefix: Prefix, script: Path = ROOT / "installer" / "registration.py"
) -> subprocess.CompletedProcess[str]:
    """Run it as the validator does."""
    command = [sys.executable, "-I", "-S", "-B", str(script), str(prefix.root)]
    return subprocess.run(command, capture_output=True, text=True, cwd="/", check=False)


def test_the_unit_is_told_as_it_is_written(prefix: Prefix, tmp_path: Path) -> None:
    told = json.loads(ask(prefix).stdout)
    assert (told["manager"], told["kind"]) == ("systemd", "file")
    assert told["place"] == "/etc/systemd/system/ragtrace.service"

    wanted = settings.read(prefix)
    name = next(prefix.generations.iterdir()).name
    definition = define(prefix, name, wanted)
    assert definition is not None

    def run(command: object, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return subprocess.CompletedProcess([], 0, b"", b"")

    SystemdHost(run, tmp_path / "units").install_unit(definition)
    assert (tmp_path / "units" / "ragtrace.service").read_text() == told["text"]


def test_the_operators_network_is_part_of_what_is_told(prefix: Prefix) -> None:
    with prefix.settings.open("a") as file:
        file.write("RAGTRACE_NETWORK_ALLOW=10.1.0.0/16\n")
    assert "IPAddressAllow=localhost 10.1.0.0/16\n" in json.loads(ask(prefix).stdout)["text"]
    with prefix.settings.open("a") as file:
        file.write("RAGTRACE_NETWORK_ALLOW=nonsense\n")
    refused = ask(prefix)
    assert refused.returncode == registration.FAILED
    assert "RAGTRACE_NETWORK_ALLOW" in refused.stderr


def test_nothing_is_told_of_an_installation_without_a_pointer_or_a_service(prefix: Prefix) -> None:
    prefix.pointer.unlink()
    assert ask(prefix).returncode == registration.NOTHING


def test_a_damaged_pointer_is_one_line_and_a_number(prefix: Prefix) -> None:
    prefix.pointer.write_text("{")
    done = ask(prefix)
    assert done.returncode in (registration.NOTHING, registration.FAILED)
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_registration_of_another_user_is_that_users_own(prefix: Prefix) -> None:
    service = settings.read(prefix)
    assert service is not None
    settings.write(prefix, ServiceSettings("systemd", "ragtrace", "", service.host, service.port, True))
    os.chown(prefix.root, 4242, 4242)
    done = ask(prefix)
    assert done.returncode == registration.FAILED
    assert "belongs to another user" in done.stderr


def definition_of(prefix: Prefix) -> object:
    wanted = settings.read(prefix)
    return define(prefix, next(prefix.generations.iterdir()).name, wanted)


def test_a_property_list_and_a_crontab_line_are_told(
    prefix: Prefix, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    definition = definition_of(prefix)
    launchd = LaunchdHost(lambda command, stdin=b"": subprocess.CompletedProcess([], 0), tmp_path, "system")
    monkeypatch.setattr(hosts, "choose", lambda manager, user: launchd)
    told = registration.describe("launchd", "ragtrace", definition)
    assert plistlib.loads(str(told["text"]).encode())["Label"] == "local.ragtrace"

    table = Crontab(FakeCrontab(), "/usr/bin/crontab")
    monkeypatch.setattr(hosts, "choose", lambda manager, user: ProcessHost(table, inside=""))
    told = registration.describe("process", "", definition)
    assert (told["kind"], told["found"]) == ("line", "")
    assert table.register(definition)  # type: ignore[arg-type]
    told = registration.describe("process", "", definition)
    assert told["found"] == told["text"] == line_for(definition)  # type: ignore[arg-type]


def test_a_container_and_a_user_without_a_crontab_have_nothing_registered(
    prefix: Prefix, monkeypatch: pytest.MonkeyPatch
) -> None:
    definition = definition_of(prefix)
    for host in (
        ProcessHost(Crontab(FakeCrontab(), "/usr/bin/crontab"), inside="docker"),
        ProcessHost(Crontab(FakeCrontab(), ""), inside=""),
    ):
        monkeypatch.setattr(hosts, "choose", lambda manager, user, host=host: host)
        assert registration.describe("process", "", definition)["kind"] == "none"


def test_it_runs_out_of_a_generations_tools(prefix: Prefix, tmp_path: Path) -> None:
    for name in ("installer", "bundle"):
        shutil.copytree(
            ROOT / name, tmp_path / "04_Scripts" / name, ignore=shutil.ignore_patterns("__pycache__")
        )
    done = ask(prefix, tmp_path / "04_Scripts" / "installer" / "registration.py")
    assert json.loads(done.stdout)["manager"] == "systemd", done.stderr
