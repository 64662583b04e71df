"""Tools: the programs that installation, service and review lean on."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Iterator, Optional, Tuple

from bundle import layout
from bundle.errors import IntegrityError
from bundle.text import Text
from bundle.wheelscript import take_script, uv_name
from validator.host import commands
from validator.model import Category, Check, Outcome, Severity, Status, check, passed, skipped, unknown
from validator.subject import Subject, Unreadable, read_limited

TOOLS = Category.TOOLS


def _uv_places(subject: Subject) -> Iterator[Path]:
    name = uv_name()
    folders = [subject.bundle]
    if subject.generation is not None:
        folders += [subject.generation / "tools", subject.generation]
    for folder in folders:
        if folder is not None and (folder / layout.PREREQUISITES / name).is_file():
            yield folder / layout.PREREQUISITES / name
        if folder is not None:
            yield from sorted((folder / layout.PREREQUISITES).glob("uv-*.whl"))
    if subject.generation is not None and (subject.generation / "venv" / "bin" / name).is_file():
        yield subject.generation / "venv" / "bin" / name


@check("TOOL-001", TOOLS, Text("번들의 uv", "uv of the bundle"), severity=Severity.HIGH, timeout_s=10)
def uv_runs(subject: Subject) -> Outcome:
    """The uv binary that was carried in starts on this host."""
    place = next(_uv_places(subject), None)
    if place is None:
        return skipped(
            Text(
                "uv는 번들 안에 있습니다: --bundle로 지정하면 검사합니다",
                "uv lies in the bundle: it is checked when --bundle names one",
            )
        )
    try:
        done = _start_tool(place)
    except IntegrityError as error:
        done = commands.Finished(-1, "", error.summary.en)
    if done.code == 0 and done.output.startswith("uv "):
        return passed(Text("실행됩니다", "it runs"), measured=done.output.strip(), expected=str(place))
    return Outcome(
        Status.FAIL,
        Text("번들의 uv가 실행되지 않습니다", "the bundle's uv does not run"),
        done.complaint or f"exit {done.code}",
        f"{place} --version",
        Text("파일이 손상되었거나 다른 플랫폼용입니다", "the file is damaged or made for another platform"),
        "carry-again",
    )


def _start_tool(place: Path) -> commands.Finished:
    """Run ``--version``; a medium without execute bits (USB, DVD) is no fault: then a copy is tried.

    Of a wheel, the program in it is run.
    """
    environment = {"PATH": os.defpath, "UV_OFFLINE": "1", "UV_NO_CONFIG": "1"}
    if place.suffix != ".whl" and os.access(place, os.X_OK):
        done = commands.run([str(place), "--version"], timeout_s=8, environment=environment)
        if done.code != -1:
            return done
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / uv_name()
        if place.suffix == ".whl":
            take_script(place, copy.name, copy)
        else:
            shutil.copyfile(place, copy)
            copy.chmod(0o700)
        return commands.run([str(copy), "--version"], timeout_s=8, environment=environment)


@check("TOOL-002", TOOLS, Text("서비스 관리자", "Service manager"), platforms=("linux",))
def service_manager(subject: Subject) -> Outcome:
    """Something keeps the service running: systemd, or its absence is known and stated."""
    unit = unit_path(subject)
    if Path("/run/systemd/system").is_dir():
        if unit is None:
            return passed(Text("systemd가 동작 중입니다", "systemd is running"), measured="systemd")
        done = _ask_systemd(unit)
        return _unit_state(unit, done.output.strip() or done.complaint)
    if subject.generation is not None and unit is not None:
        what = Text(
            "유닛은 설치되어 있지만 systemd가 동작하지 않습니다",
            "a unit is installed, but systemd is not running",
        )
        why = Text("호스트가 systemd로 부팅되지 않았습니다", "the host was not booted with systemd")
        return Outcome(Status.WARN, what, "no systemd", str(unit), why, "restart")
    return passed(
        Text(
            "systemd가 없으므로 일반 프로세스로 실행합니다 (재부팅 뒤 직접 시작)",
            "no systemd: the service runs as an ordinary process (start it after a reboot)",
        ),
        measured="process",
    )


def _ask_systemd(unit: Path) -> commands.Finished:
    """Ask the manager that has the unit: the system's, or the user's own."""
    if "systemd/user" not in str(unit):
        return commands.run(["systemctl", "is-active", unit.name], timeout_s=4)
    runtime = {"XDG_RUNTIME_DIR": f"/run/user/{os.geteuid()}", "PATH": os.defpath}
    return commands.run(["systemctl", "--user", "is-active", unit.name], timeout_s=4, environment=runtime)


def _unit_state(unit: Path, state: str) -> Outcome:
    if state == "active":
        return passed(
            Text("systemd 유닛이 동작 중입니다", "the systemd unit is active"),
            measured=f"{unit.name}: {state}",
        )
    if state in ("inactive", "failed", "activating", "deactivating"):
        what = Text(f"systemd 유닛 상태: {state}", f"the systemd unit is {state}")
        why = Text("서비스가 멈췄거나 시작하지 못했습니다", "the service was stopped or could not start")
        return Outcome(Status.WARN, what, f"{unit.name}: {state}", "active", why, "restart")
    return unknown(
        Text("유닛 상태를 알 수 없습니다", "the unit's state could not be told"), measured=state[:200]
    )


def unit_path(subject: Subject) -> Optional[Path]:
    """Return the service's systemd unit when it belongs to this prefix, system-wide or the user's."""
    name = subject.service_name + ".service"
    folders = ("/etc/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system")
    home = Path(os.path.expanduser("~")) / ".config" / "systemd" / "user"
    for folder in (*map(Path, folders), home):
        try:
            text = read_limited(folder / name).decode("utf-8", "replace")
        except Unreadable:
            continue
        if str(subject.prefix) in text:
            return folder / name
    return None


@check("TOOL-003", TOOLS, Text("ssh-keygen (선택)", "ssh-keygen (optional)"), severity=Severity.LOW)
def ssh_keygen(subject: Subject) -> Outcome:
    """A second, independent tool can verify the signature; the built-in verifier does not need it."""
    place = shutil.which("ssh-keygen")
    if place is None:
        return skipped(
            Text(
                "없습니다: 설치 프로그램의 내장 검증기로 충분합니다",
                "not present: the installer's own verifier is enough",
            )
        )
    return passed(
        Text("사람이 서명을 따로 검증할 수 있습니다", "a person can verify the signature with it"),
        measured=place,
    )


CHECKS: Tuple[Check, ...] = (uv_runs, service_manager, ssh_keygen)
