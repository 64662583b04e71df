"""Security: permissions, origins, what the running process may do, and that it never calls out."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Dict, List, Set, Tuple

from bundle import layout
from bundle.offline import OFFLINE_ENVIRONMENT
from bundle.text import Text
from validator import limits
from validator.checks.tools import unit_path
from validator.checks.vulnerabilities import known_vulnerabilities
from validator.host import files, procfs
from validator.model import Category, Check, Outcome, Severity, Status, check, passed, skipped, unknown
from validator.names import listed
from validator.subject import Subject, Unreadable, read_json_object, read_limited

SECURITY = Category.SECURITY
POSIX = ("linux", "darwin")
LINUX = ("linux",)
PICKLE_SUFFIXES = (".pt", ".pth", ".bin", ".pkl", ".pickle", ".ckpt", ".joblib", ".py", ".pyc")
NO_PROCESS = Text("실행 중인 서비스 프로세스가 없습니다", "no service process is running")
WANTED_UNIT = {
    "NoNewPrivileges": ("yes", "true", "1"),
    "ProtectSystem": ("strict", "full"),
    "PrivateTmp": ("yes", "true", "1"),
    "ProtectHome": ("yes", "true", "1", "read-only", "tmpfs"),
    "IPAddressDeny": ("any",),
}


@check(
    "SEC-001",
    SECURITY,
    Text("설정 파일 권한", "Permissions of the configuration"),
    severity=Severity.HIGH,
    platforms=POSIX,
    needs_installation=True,
)
def configuration_private(subject: Subject) -> Outcome:
    """``config/.env`` is readable by its owner only, and nobody else may write the configuration."""
    folder = subject.prefix / "config"
    problems = []
    settings = folder / ".env"
    try:
        if settings.exists() and stat.S_IMODE(settings.lstat().st_mode) & 0o177:
            problems.append(f".env {stat.S_IMODE(settings.lstat().st_mode):04o}")
        for entry in files.walk(folder):
            if not entry.is_link and entry.permissions & 0o022:
                problems.append(f"{_relative(entry.path, folder)} {entry.permissions:04o}")
    except OSError as error:
        return _unseen(error)
    expected = ".env 0600, others not writable by group or world"
    if not problems:
        return passed(
            Text("소유자만 읽고 씁니다", "private to their owner"), measured="ok", expected=expected
        )
    found = listed(dict.fromkeys(problems))
    what = Text("권한이 넓습니다: " + found, "too permissive: " + found)
    why = Text("다른 사용자가 비밀 값을 읽거나 바꿀 수 있습니다", "other users can read or change secrets")
    return Outcome(Status.FAIL, what, found, expected, why, "fix-permissions")


@check(
    "SEC-002",
    SECURITY,
    Text("소유자", "Ownership"),
    severity=Severity.HIGH,
    platforms=POSIX,
    timeout_s=20,
    needs_installation=True,
)
def ownership(subject: Subject) -> Outcome:
    """The generation belongs to whoever installed (root, or the prefix's owner), not to somebody else."""
    assert subject.generation is not None
    allowed = {0, subject.prefix.stat().st_uid}
    try:
        strangers = [entry for entry in files.walk(subject.generation) if entry.uid not in allowed]
    except OSError as error:
        return _unseen(error)
    expected = "owner uid in " + ", ".join(str(uid) for uid in sorted(allowed))
    if not strangers:
        return passed(Text("설치한 사용자의 것입니다", "owned by the installing user"), expected=expected)
    found = listed(f"{_relative(entry.path, subject.generation)} (uid {entry.uid})" for entry in strangers)
    what = Text("다른 사용자의 파일이 있습니다: " + found, "files of another user: " + found)
    why = Text("그 사용자가 실행 코드를 바꿀 수 있습니다", "that user can change code that runs")
    return Outcome(Status.FAIL, what, f"{len(strangers)} files", expected, why, "reinstall")


@check(
    "SEC-003",
    SECURITY,
    Text("누구나 쓸 수 있는 파일", "World-writable files"),
    severity=Severity.CRITICAL,
    platforms=POSIX,
    timeout_s=20,
    needs_installation=True,
)
def world_writable(subject: Subject) -> Outcome:
    """Nothing in the generation or among the installer's own files may be written by everybody."""
    places = [subject.prefix / name for name in ("generations", "state", "trust", "current.json")]
    found: List[str] = []
    count = 0
    try:
        if subject.prefix.stat().st_mode & stat.S_IWOTH:
            found.append(str(subject.prefix))
        for place in places:
            if os.path.lexists(place):
                for entry in files.walk(place):
                    count += 1
                    if entry.world_writable:
                        found.append(_relative(entry.path, subject.prefix))
    except OSError as error:
        return _unseen(error)
    if not found:
        return passed(Text("없습니다", "none"), measured=f"0 of {count}", expected="0")
    what = Text("누구나 쓸 수 있습니다: " + listed(found), "writable by everybody: " + listed(found))
    why = Text("다른 사용자가 실행 코드를 바꿀 수 있습니다", "any user can change code that runs")
    return Outcome(Status.FAIL, what, f"{len(found)} of {count}", "0", why, "close-writing")


@check(
    "SEC-004",
    SECURITY,
    Text("모델 폴더의 실행 가능한 형식", "Code and pickles among the models"),
    severity=Severity.HIGH,
    timeout_s=20,
    needs_installation=True,
)
def model_formats(subject: Subject) -> Outcome:
    """Model folders hold no pickle file and no Python: both run code when they are loaded."""
    assert subject.generation is not None
    folders = [subject.generation / "models", subject.prefix / "store"]
    found: List[str] = []
    count = 0
    try:
        for folder in folders:
            if folder.is_dir():
                for entry in files.walk(folder):
                    count += not stat.S_ISDIR(entry.mode)
                    if not stat.S_ISDIR(entry.mode) and _runs_code(entry.path):
                        found.append(_relative(entry.path, subject.prefix))
    except OSError as error:
        return _unseen(error)
    if not found:
        return passed(Text("없습니다", "none"), measured=f"0 of {count} files", expected="0")
    what = Text("코드를 실행하는 형식: " + listed(found), "formats that run code: " + listed(found))
    why = Text("불러오는 것만으로 코드가 실행됩니다", "loading such a file runs whatever is in it")
    return Outcome(Status.FAIL, what, f"{len(found)} of {count} files", "0", why, "safe-weights")


def _runs_code(path: Path) -> bool:
    """Tell by name, and without a telling name by the first bytes of a pickle or a torch archive."""
    if path.name.lower().endswith(PICKLE_SUFFIXES):
        return True
    if "." in path.name:
        return False
    with open(path, "rb") as stream:
        start = stream.read(64)
    return (start[:1] == b"\x80" and start[1:2] in b"\x02\x03\x04\x05") or b"data.pkl" in start


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
        if not procfs.is_loopback(item.local)
        and (item.local, item.local_port) != (subject.service.host, subject.service.port)
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


@check(
    "SEC-008",
    SECURITY,
    Text("서명과 출처", "Signature and origin"),
    severity=Severity.CRITICAL,
    needs_installation=True,
)
def signature(subject: Subject) -> Outcome:
    """The generation's manifest carries a valid signature, by a signer that this installation trusts."""
    from bundle.errors import RagTraceError
    from bundle.limits import SIGNATURE_BYTES
    from bundle.trust import Anchors, origin_of, signing_keys

    assert subject.manifest_path is not None
    seal = subject.manifest_path.with_name(layout.SIGNATURE)
    if not seal.exists():
        what = Text("세대에 서명 파일이 보관되어 있지 않습니다", "no signature is kept with the generation")
        return skipped(what)
    if not _accepted(subject):
        # The installer pins the signer when it accepts the release, which is after this validator has run.
        what = Text(
            "릴리스가 아직 확정되지 않았습니다", "the release is not accepted yet; its signer is pinned then"
        )
        return skipped(what)
    try:
        manifest = read_limited(subject.manifest_path, limits.MANIFEST_BYTES)
        places = [seal.with_name(name) for name in layout.SIGNATURES]
        signatures = [read_limited(place, SIGNATURE_BYTES) for place in places if place.exists()]
        keys = signing_keys(manifest, signatures)
    except (RagTraceError, Unreadable) as error:
        what = Text(f"서명을 받아들일 수 없습니다: {error}", f"the signature is refused: {error}")
        why = Text("매니페스트나 서명이 바뀌었습니다", "the manifest or the signature was changed")
        return Outcome(Status.FAIL, what, str(error)[:300], "valid signature", why, "reinstall")
    try:
        origin = origin_of(keys, Anchors(pinned=_signers(subject)))
    except RagTraceError as error:
        if not (subject.prefix / "trust" / "records.json").exists():
            what = Text(f"서명을 받아들일 수 없습니다: {error}", f"the signature is refused: {error}")
            why = Text("매니페스트나 서명이 바뀌었습니다", "the manifest or the signature was changed")
            return Outcome(Status.FAIL, what, str(error)[:300], "trusted signer", why, "reinstall")
        # The set of keys has moved on since: what was verified when it came keeps running (design, trust).
        what = Text(
            "서명은 온전하지만 지금은 쓰지 않는 키의 것입니다",
            "the signature is intact, and by a key that is not in force any more",
        )
        why = Text(
            "설치한 뒤에 키가 교체되었거나 폐기되었습니다 (install.py --explain-trust)",
            "the key was replaced or revoked after the installation (install.py --explain-trust)",
        )
        return Outcome(Status.WARN, what, keys[0].fingerprint, "signer in force", why, "carry-again")
    if origin.status == "verified":
        return passed(origin.explanation, measured=origin.key.fingerprint)
    why = Text("--allow-unverified-origin으로 설치했습니다", "installed with --allow-unverified-origin")
    return Outcome(
        Status.WARN, origin.explanation, origin.key.fingerprint, "verified signer", why, "carry-again"
    )


def _accepted(subject: Subject) -> bool:
    assert subject.generation is not None
    try:
        record = read_json_object(subject.prefix / "trust" / "accepted.json")
    except Unreadable:
        return False
    return subject.generation.name in record.get("generations", [])


def _signers(subject: Subject) -> str:
    try:
        return read_limited(subject.prefix / "trust" / "allowed_signers").decode("utf-8", "replace")
    except Unreadable:
        return ""


def _relative(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path != root else path.name


def _unseen(error: OSError) -> Outcome:
    what = Text(
        f"권한이 없어 다 보지 못했습니다: {error.filename}",
        f"not permitted to see everything: {error.filename}",
    )
    return unknown(what, measured=error.strerror or str(error))


CHECKS: Tuple[Check, ...] = (
    configuration_private,
    ownership,
    world_writable,
    model_formats,
    listening,
    offline_switches,
    unit_hardening,
    signature,
    known_vulnerabilities,
)
