"""What is particular to each host: processes and their signals, the unit, the crontab, the property list, the task."""

from __future__ import annotations

import os
import plistlib
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from installer.hosts import crontab
from installer.hosts.crontab import Crontab, command_at_boot, line_for
from installer.hosts.interface import ServiceDefinition, ServiceError
from installer.hosts.launchd import LaunchdHost, parse_print
from installer.hosts.process import ProcessHost, lock_holder
from installer.hosts.systemd import SystemdHost, UserSystemdHost
from installer.hosts.systemd_unit import allowed_networks, memory_limit, sysusers_text, unit_text
from installer.hosts.windows import WindowsHost, task_text
from installer.signals import shielded

from .managers import FakeCrontab, FakeLaunchd, FakeScheduler
from .test_hosts_contract import FIRST, definition_in


def set_variables(definition: ServiceDefinition, text: str) -> None:
    """Write ``config/.env``."""
    definition.settings_file.parent.mkdir(exist_ok=True)
    definition.settings_file.write_text(text, encoding="utf-8")


@pytest.fixture
def definition(tmp_path: Path) -> Iterator[ServiceDefinition]:
    made = definition_in(tmp_path)
    yield made
    ProcessHost().stop(made)


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
    set_variables(definition, "# comment\nTOKEN='한글 값'\nbroken line\n")
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
    """A manager that only notes its commands."""

    def __init__(self) -> None:
        self.seen: list[list[str]] = []

    def __call__(self, command: Sequence[str], stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        self.seen.append(list(command))
        return subprocess.CompletedProcess(list(command), 0, b"", b"")


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
    set_variables(definition, "RAGTRACE_NETWORK_ALLOW=10.9.0.0/16, 10.8.0.1\n")
    assert allowed_networks(definition) == ("localhost", "10.9.0.0/16", "10.8.0.1/32")


def test_the_unit_is_hardened_and_names_the_generation_itself(tmp_path: Path) -> None:
    definition = replace(definition_in(tmp_path), user="ragtrace")
    lines = unit_text(definition, ("localhost",), 2048).splitlines()
    for line in (
        "NoNewPrivileges=yes", "ProtectSystem=strict", "PrivateTmp=yes", "IPAddressDeny=any",
        "IPAddressAllow=localhost", "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX", "User=ragtrace",
        'Environment="A=100%% $HOME"', f'ReadWritePaths="{definition.data}"', "MemoryMax=2048M", "MemorySwapMax=0",
        "TasksMax=512", "ProtectProc=invisible", "SocketBindAllow=tcp:8400", "WantedBy=multi-user.target",
    ):  # fmt: skip
        assert line in lines
    assert not any("/current/" in line for line in lines)


def test_a_users_own_unit_asks_for_nothing_that_a_users_systemd_cannot_give(tmp_path: Path) -> None:
    text = unit_text(definition_in(tmp_path), (), 512)
    assert {"NoNewPrivileges=yes", "SystemCallFilter=~@privileged", "MemoryMax=512M", "WantedBy=default.target"} <= set(
        text.splitlines()
    )  # fmt: skip
    for word in (
        "IPAddress",
        "ProtectSystem",
        "PrivateTmp",
        "PrivateDevices",
        "User=",
        "CapabilityBoundingSet",
    ):
        assert word not in text


def test_a_bundle_without_a_limit_sets_none(tmp_path: Path) -> None:
    assert "Memory" not in unit_text(definition_in(tmp_path), ("localhost",), 0)


@pytest.mark.parametrize(
    ("setting", "expected"),
    (("", 2048), ("RAGTRACE_MEMORY_MAX_MB=8192\n", 8192), ("RAGTRACE_MEMORY_MAX_MB=0", 0)),
)
def test_the_operator_decides_about_memory(tmp_path: Path, setting: str, expected: int) -> None:
    definition = replace(definition_in(tmp_path), memory_limit_mb=2048)
    set_variables(definition, setting)
    assert memory_limit(definition) == expected


@pytest.mark.parametrize("value", ("1G", "-1", "63", "²"))
def test_a_memory_limit_that_is_none_is_refused_before_anything_is_registered(
    tmp_path: Path, value: str
) -> None:
    definition = definition_in(tmp_path)
    set_variables(definition, f"RAGTRACE_MEMORY_MAX_MB={value}")
    commands = Commands()
    with pytest.raises(ServiceError, match="RAGTRACE_MEMORY_MAX_MB"):
        SystemdHost(commands, tmp_path / "units", tmp_path / "sysusers").install_unit(definition)
    assert commands.seen == [] and not (tmp_path / "units").exists()


def test_root_does_not_register_another_users_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: tmp_path.stat().st_uid + 1)
    with pytest.raises(ServiceError, match="another user"):
        UserSystemdHost(Commands(), tmp_path / "units", "somebody").install_unit(definition_in(tmp_path))


def test_a_user_without_lingering_is_told(tmp_path: Path) -> None:
    host = UserSystemdHost(Commands(), tmp_path / "units", "somebody", tmp_path)
    advice = host.advice(definition_in(tmp_path / "home"))
    assert advice is not None and "loginctl enable-linger somebody" in advice.ko
    (tmp_path / "somebody").touch()
    assert host.advice(definition_in(tmp_path / "home")) is None


needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="no systemd-analyze on this machine"
)


@needs_systemd
@pytest.mark.parametrize("networks", (("localhost", "10.0.0.0/8"), ()), ids=("system", "user"))
def test_systemd_itself_accepts_the_unit(tmp_path: Path, networks: tuple[str, ...]) -> None:
    unit = tmp_path / "ragtrace-check.service"
    definition = replace(
        definition_in(tmp_path),
        user="root" if networks else "",
        command=("/bin/sh", "-c", "echo 100% \"$HOME\" '한글'"),
    )
    unit.write_text(unit_text(definition, networks, 2048))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--recursive-errors=no", str(unit)],
        capture_output=True, text=True, check=False, env={**os.environ, "SYSTEMD_LOG_LEVEL": "warning"},
    )  # fmt: skip
    assert "ragtrace-check" not in done.stderr, done.stderr


@needs_systemd
def test_systemd_calls_the_unit_ok(tmp_path: Path) -> None:
    """Exposure from 0 (safe) to 10, as `systemd-analyze security` counts it; under 2 it says "OK"."""
    unit = tmp_path / "ragtrace-check.service"
    definition = replace(definition_in(tmp_path), user="ragtrace", command=("/bin/true",))
    unit.write_text(unit_text(definition, ("localhost",), 2048))
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", str(unit)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if "unrecognized option" in done.stderr:
        pytest.skip("this systemd cannot judge a file")
    found = re.search(r"exposure level for ragtrace-check.service: ([0-9.]+)", done.stdout)
    assert found, done.stdout + done.stderr
    print(found.group(0))
    assert float(found.group(1)) <= 1.5


BEFORE = "# mine\n5 4 * * * /bin/true\n"


@pytest.mark.parametrize("before", (None, BEFORE), ids=("no crontab", "a crontab"))
def test_the_crontab_gets_one_line_and_loses_it_again(tmp_path: Path, before: str | None) -> None:
    table = FakeCrontab(before)
    host = ProcessHost(Crontab(table, "crontab"), inside="")
    definition = definition_in(tmp_path / "자리 100%")
    for _ in range(2):
        host.install_unit(definition)
    assert table.text is not None
    added = table.text[len(before or "") :].splitlines()
    assert len(added) == 1 and added[0].startswith("@reboot ") and "100\\%" in added[0]
    assert table.text.startswith(before or "")
    writes = [words for words in table.seen if words[1] == "-"]
    assert len(writes) == 1, "an equal line is not written again"
    host.remove_unit(definition.name)
    assert table.text == before


def test_another_services_line_stays(tmp_path: Path) -> None:
    table = FakeCrontab()
    host = ProcessHost(Crontab(table, "crontab"), inside="")
    first = definition_in(tmp_path / "a")
    second = replace(definition_in(tmp_path / "b"), name="ragtrace-2")
    host.install_unit(first)
    host.install_unit(second)
    host.remove_unit("ragtrace")
    assert table.text == line_for(second) + "\n"


def test_the_line_for_boot_runs_as_a_shell_takes_it(tmp_path: Path) -> None:
    """cron takes off the backslashes before percent signs and gives the rest to sh."""
    definition = definition_in(tmp_path / "it's 100% 자리")
    tools = tmp_path / "it's 100% 자리" / "current"
    tools.symlink_to(definition.home / "generations" / definition.generation)
    (tools / "tools" / "04_Scripts" / "install.py").write_text(
        "import sys; print(sys.argv[1:], sys.flags.isolated)"
    )
    line = line_for(definition).removeprefix("@reboot ").replace("\\%", "%")
    subprocess.run(["/bin/sh", "-c", line], check=True, env={"PYTHONPATH": "/evil"})
    said = definition.log.with_name("boot.log").read_text()
    assert said.strip() == f"{['--prefix', str(definition.home), '--start']} 1"


def test_a_user_who_may_have_no_crontab_is_told_what_to_run(tmp_path: Path) -> None:
    def forbidden(command: Sequence[str], stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return subprocess.CompletedProcess(
            [], 1, b"", b"You (x) are not allowed to use this program (crontab)"
        )

    definition = definition_in(tmp_path)
    for table in (Crontab(forbidden, "crontab"), Crontab(Commands(), "")):
        host = ProcessHost(table, inside="")
        host.install_unit(definition)
        host.remove_unit(definition.name)
        advice = host.advice(definition)
        assert advice is not None and command_at_boot(definition) in advice.ko and "crontab" in advice.en


def test_a_container_is_told_what_to_run_and_gets_no_line(tmp_path: Path) -> None:
    table = FakeCrontab()
    host = ProcessHost(Crontab(table, "crontab"), inside="docker")
    definition = definition_in(tmp_path)
    host.install_unit(definition)
    advice = host.advice(definition)
    assert table.text is None
    assert advice is not None and "docker" in advice.ko and command_at_boot(definition) in advice.en


def test_no_test_reaches_the_crontab_of_whoever_runs_it() -> None:
    assert crontab.program() == ""


def test_a_daemon_is_sound_and_has_no_secret_in_its_property_list(tmp_path: Path) -> None:
    definition = replace(definition_in(tmp_path), user="_ragtrace")
    set_variables(definition, "TOKEN=secret")
    manager = FakeLaunchd()
    host = LaunchdHost(manager, tmp_path / "daemons", "system")
    host.prepare_user(definition)
    host.install_unit(definition)
    path = tmp_path / "daemons" / "local.ragtrace.plist"
    text = path.read_bytes()
    assert b"secret" not in text and path.stat().st_mode & 0o777 == 0o644
    job = plistlib.loads(text)
    assert (job["UserName"], job["GroupName"], job["RunAtLoad"]) == ("_ragtrace", "_ragtrace", True)
    assert job["KeepAlive"] == {"SuccessfulExit": False}
    made = [words for words in manager.seen if words[0] == "dscl" and "-create" in words]
    assert made[-1] == ["dscl", ".", "-create", "/Users/_ragtrace", "UniqueID", "400"]
    assert ["dscl", ".", "-create", "/Users/_ragtrace", "UserShell", "/usr/bin/false"] in made


def test_a_job_launchd_disabled_is_enabled_by_its_registration(tmp_path: Path) -> None:
    manager = FakeLaunchd()
    manager.disabled.add("system/local.ragtrace")
    host = LaunchdHost(manager, tmp_path / "daemons", "system")
    definition = definition_in(tmp_path)
    host.install_unit(definition)
    host.start(definition)
    assert host.status(definition).running
    host.stop(definition)
    manager.close()


def test_only_the_jobs_own_lines_are_read() -> None:
    text = "system/local.x = {\n\tstate = running\n\tinner = {\n\t\tpid = 1\n\t}\n\tpid = 512\n\tlast exit code = (never exited)\n}\n"
    assert parse_print(text) == {"state": "running", "pid": "512", "last exit code": "(never exited)"}


def test_an_agent_and_a_users_task_say_that_they_live_with_the_session(tmp_path: Path) -> None:
    definition = definition_in(tmp_path)
    assert LaunchdHost(Commands(), tmp_path, "system").advice(definition) is None
    assert LaunchdHost(Commands(), tmp_path, "gui/501").advice(definition) is not None
    assert WindowsHost(Commands(), administrator=True).advice(definition) is None
    assert WindowsHost(Commands(), administrator=False).advice(definition) is not None


def test_an_administrators_task_runs_at_boot_as_an_account_without_rights(tmp_path: Path) -> None:
    definition = replace(definition_in(tmp_path), environment={"A": '<&"'}, memory_limit_mb=2048)
    set_variables(definition, "TOKEN=secret")
    commands = Commands()
    WindowsHost(commands, administrator=True).install_unit(definition)
    text = (definition.lock.parent / "task.xml").read_bytes().decode("utf-16")
    root = ElementTree.fromstring(text.partition("?>")[2])
    assert root.find(".//{*}BootTrigger") is not None and "secret" not in text
    values = {element.tag.rpartition("}")[2]: element.text for element in root.iter()}
    assert (values["UserId"], values["RunLevel"]) == ("S-1-5-19", "LeastPrivilege")
    assert (values["ExecutionTimeLimit"], values["MultipleInstancesPolicy"]) == ("PT0S", "IgnoreNew")
    assert " 2048 " in (values["Arguments"] or "")
    granted = [words[1] for words in commands.seen if words[0] == "icacls"]
    assert granted == [str(definition.data), str(definition.settings_file.parent), str(definition.lock)]


def test_a_users_task_runs_at_logon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USERDOMAIN", "HOST&CO")
    monkeypatch.setenv("USERNAME", "김철수")
    text = task_text(definition_in(tmp_path), administrator=False)
    assert "<LogonTrigger>" in text and "HOST&amp;CO\\김철수" in text and "BootTrigger" not in text


def test_a_task_that_ignores_the_request_to_stop_is_killed(tmp_path: Path) -> None:
    manager = FakeScheduler()
    host = WindowsHost(manager, administrator=True, patience_s=1)
    stubborn = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(600)"
    definition = definition_in(tmp_path, script=stubborn)
    host.install_unit(definition)
    host.start(definition)
    while "ready" not in host.logs(definition):
        pass
    host.stop(definition)
    assert not host.status(definition).running
    assert ["schtasks", "/End", "/TN", "\\RAGTrace\\ragtrace"] in manager.seen
    manager.close()
