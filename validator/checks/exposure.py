"""Security: what the running service is open to, and what keeps it from calling out."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Dict, List, Set, Tuple

from bundle.offline import OFFLINE_ENVIRONMENT
from bundle.text import Text
from validator.checks.tools import unit_path
from validator.host import procfs
from validator.model import Category, Check, Outcome, Severity, Status, check, passed, skipped, unknown
from validator.names import listed
from validator.subject import Subject, Unreadable, read_limited

SECURITY = Category.SECURITY
LINUX = ("linux",)
NO_PROCESS = Text("실행 중인 서비스 프로세스가 없습니다", "no service process is running")
WANTED_UNIT = {
    "NoNewPrivileges": ("yes", "true", "1"),
    "ProtectSystem": ("strict", "full"),
    "PrivateTmp": ("yes", "true", "1"),
    "ProtectHome": ("yes", "true", "1", "read-only", "tmpfs"),
    "IPAddressDeny": ("any",),
}


@check(
    "SEC-005",
    SECURITY,
    Text("수신 주소", "Listening address"),
    severity=Severity.CRITICAL,
    platforms=LINUX,
    needs_service=True,
)
def listening(subject: Subject) -> Outcome:
    """The service listens on loopback, or exactly where it was configured to."""
    running = procfs.service_processes(subject)
    if not running:
        return skipped(NO_PROCESS)
    inodes: Set[int] = set()
    for process in running:
        mine = procfs.socket_inodes(process.pid)
        if mine is None and not procfs.exists(process.pid):
            continue
        if mine is None:
            what = Text("프로세스의 소켓을 볼 권한이 없습니다", "not permitted to see the process's sockets")
            return unknown(what, measured=f"pid {process.pid}")
        inodes |= mine
    listeners = [item for item in procfs.sockets() if item.state == procfs.LISTEN and item.inode in inodes]
    measured = listed(f"{item.local}:{item.local_port}" for item in listeners) or "none"
    expected = f"{subject.service.host}:{subject.service.port}"
    wrong = [
        f"{item.local}:{item.local_port}"
        for item in listeners
        if not procfs.is_loopback(item.local) and not _as_configured(item, subject)
    ]
    if not wrong:
        return passed(
            Text("설정한 주소에서만 받습니다", "listens only where configured"),
            measured=measured,
            expected=expected,
        )
    what = Text(
        "설정하지 않은 주소에서 받습니다: " + listed(wrong), "listens where it should not: " + listed(wrong)
    )
    why = Text(
        "설정이 바뀐 뒤 다시 시작하지 않았거나 다른 설정으로 시작했습니다",
        "started with another configuration",
    )
    return Outcome(Status.FAIL, what, measured, expected, why, "bind-loopback")


def _as_configured(item: procfs.Socket, subject: Subject) -> bool:
    """Compare with the configured address; a name is not looked up, because that could ask a name server."""
    host = subject.service.host
    if item.local_port != subject.service.port:
        return False
    try:
        return ipaddress.ip_address(host) == ipaddress.ip_address(item.local)
    except ValueError:
        return host != "localhost" and not ipaddress.ip_address(item.local).is_unspecified


@check(
    "SEC-006",
    SECURITY,
    Text("실행 중인 서비스의 오프라인 스위치", "Offline switches of the running service"),
    severity=Severity.HIGH,
    platforms=LINUX,
    needs_service=True,
)
def offline_switches(subject: Subject) -> Outcome:
    """Every switch that keeps libraries from calling out is set in the running process itself."""
    running = procfs.service_processes(subject)
    if not running:
        return skipped(NO_PROCESS)
    wrong: List[str] = []
    for process in running:
        found = procfs.environment(process.pid)
        if found is None and not procfs.exists(process.pid):
            continue
        if found is None:
            what = Text(
                "프로세스의 환경을 볼 권한이 없습니다", "not permitted to see the process's environment"
            )
            return unknown(what, measured=f"pid {process.pid}")
        wrong += [name for name, value in OFFLINE_ENVIRONMENT.items() if found.get(name) != value]
    expected = f"{len(OFFLINE_ENVIRONMENT)} switches"
    if not wrong:
        return passed(Text("모두 켜져 있습니다", "all set"), measured=expected, expected=expected)
    names = listed(dict.fromkeys(wrong))
    what = Text("켜지지 않은 스위치: " + names, "switches not set: " + names)
    why = Text("서비스를 설치 프로그램 밖에서 시작했습니다", "the service was started outside the installer")
    return Outcome(Status.FAIL, what, names, expected, why, "restart")


@check(
    "SEC-007",
    SECURITY,
    Text("systemd 유닛의 보호 설정", "Hardening of the systemd unit"),
    platforms=LINUX,
    needs_service=True,
)
def unit_hardening(subject: Subject) -> Outcome:
    """The unit limits privileges, file system and network."""
    path = unit_path(subject)
    if path is None:
        return skipped(Text("이 설치에는 systemd 유닛이 없습니다", "this installation has no systemd unit"))
    found = unit_settings(path)
    user_unit = "systemd/user" in str(path)
    missing = [
        name
        for name, allowed in WANTED_UNIT.items()
        # A user's own systemd can neither limit addresses nor hide parts of the disk.
        if found.get(name, "").lower() not in allowed and (not user_unit or name == "NoNewPrivileges")
    ]
    if not user_unit and found.get("User", "root") in ("", "root", "0") and found.get("DynamicUser") != "yes":
        missing.append("User")
    expected = listed([*WANTED_UNIT, "User"])
    if not missing:
        return passed(Text("모두 설정되어 있습니다", "all set"), measured=str(path), expected=expected)
    what = Text("빠진 설정: " + listed(missing), "settings missing: " + listed(missing))
    why = Text("유닛이 설치 뒤에 바뀌었습니다", "the unit was changed after the installation")
    return Outcome(Status.WARN, what, listed(missing), expected, why, "reinstall")


def unit_settings(path: Path) -> Dict[str, str]:
    """Return the settings of a unit file with its drop-ins; the last one wins, as in systemd."""
    values: Dict[str, str] = {}
    for part in (path, *sorted(path.with_name(path.name + ".d").glob("*.conf"))):
        try:
            lines = read_limited(part).decode("utf-8", "replace").splitlines()
        except Unreadable:
            continue
        for line in lines:
            name, mark, value = line.partition("=")
            if mark and not line.startswith(("#", ";", "[")):
                values[name.strip()] = value.strip()
    return values


CHECKS: Tuple[Check, ...] = (listening, offline_switches, unit_hardening)
