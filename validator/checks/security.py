"""Security: who may read and change the installation, and what lies in it."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import List, Tuple

from bundle.text import Text
from validator.host import files
from validator.model import Category, Check, Outcome, Severity, Status, check, passed, unknown
from validator.names import listed
from validator.subject import Subject

SECURITY = Category.SECURITY
POSIX = ("linux", "darwin")
LINUX = ("linux",)
PICKLE_SUFFIXES = (".pt", ".pth", ".bin", ".pkl", ".pickle", ".ckpt", ".joblib", ".py", ".pyc")


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


def _relative(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path != root else path.name


def _unseen(error: OSError) -> Outcome:
    what = Text(
        f"권한이 없어 다 보지 못했습니다: {error.filename}",
        f"not permitted to see everything: {error.filename}",
    )
    return unknown(what, measured=error.strerror or str(error))


CHECKS: Tuple[Check, ...] = (configuration_private, ownership, world_writable, model_formats)
