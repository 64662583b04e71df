"""The fixed list of actions: what each changes, how to undo it, and how it is done through the installer."""

from __future__ import annotations

import os
import stat
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Dict, Iterable, List, Optional, Tuple

from bundle import layout
from bundle.text import Text
from validator.host import commands, files
from validator.subject import Subject

INSTALLER_TIMEOUT_S = 300.0


@dataclass(frozen=True)
class Done:
    """How an action ended."""

    ok: bool
    detail: str = ""


@dataclass(frozen=True)
class Action:
    """One thing the assistant can do."""

    id: str
    title: Text
    changes: Text
    undo: Text
    apply: Callable[[Subject], Done]
    available: Callable[[Subject], Optional[Text]]


def installer_script(subject: Subject) -> Optional[Path]:
    """Return the installer: the active generation's own, else the one that lies beside this program."""
    own = Path(__file__).resolve().parent.parent.parent / layout.SCRIPTS
    folders = [own, Path(__file__).resolve().parent.parent / "bundle_template" / layout.SCRIPTS]
    if subject.generation is not None:
        folders.insert(0, subject.generation / "tools" / layout.SCRIPTS)
    for folder in folders:
        if (folder / "install.py").is_file():
            return folder / "install.py"
    return None


def _install(subject: Subject, *arguments: str) -> Done:
    script = installer_script(subject)
    if script is None:
        return Done(False, "install.py not found")
    argv = [sys.executable, "-B", str(script), "--prefix", str(subject.prefix), *arguments]
    done = commands.run(argv, timeout_s=INSTALLER_TIMEOUT_S)
    return Done(done.code == 0, "" if done.code == 0 else f"exit {done.code}: {done.complaint}")


def _restart(subject: Subject) -> Done:
    stopped = _install(subject, "--stop")
    started = _install(subject, "--start")
    return started if started.ok else Done(False, " / ".join(filter(None, (stopped.detail, started.detail))))


def _rollback(subject: Subject) -> Done:
    return _install(subject, "--rollback")


def _recover(subject: Subject) -> Done:
    return _install(subject, "--status")


def _fix_permissions(subject: Subject) -> Done:
    folder = subject.prefix / "config"
    return _each(files.walk(folder), _private)


def _private(entry: files.Entry) -> int:
    if entry.path.name == ".env":
        return 0o600
    return entry.permissions & ~0o022


def _close_writing(subject: Subject) -> Done:
    places = [subject.prefix / name for name in ("generations", "state", "trust", "current.json")]
    entries: List[files.Entry] = []
    for place in places:
        if os.path.lexists(place):
            entries.extend(files.walk(place))
    root = os.lstat(subject.prefix)
    entries.append(files.Entry(subject.prefix, root.st_mode, root.st_uid, root.st_size))
    return _each(entries, lambda entry: entry.permissions & ~stat.S_IWOTH)


def _each(entries: Iterable[files.Entry], wanted: Callable[[files.Entry], int]) -> Done:
    """Set permissions through an open file, so that a link put in its place meanwhile is not followed."""
    changed = 0
    for entry in list(entries):
        if entry.is_link or wanted(entry) == entry.permissions:
            continue
        descriptor = os.open(entry.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            os.fchmod(descriptor, wanted(entry))
        finally:
            os.close(descriptor)
        changed += 1
    return Done(True, f"{changed} changed")


def _always(subject: Subject) -> Optional[Text]:
    return None


def _needs_installer(subject: Subject) -> Optional[Text]:
    if installer_script(subject) is None:
        return Text("설치 프로그램(install.py)을 찾지 못했습니다", "the installer (install.py) was not found")
    return None


def _needs_previous(subject: Subject) -> Optional[Text]:
    if subject.pointer is None or not subject.pointer.get("previous"):
        return Text("되돌아갈 이전 세대가 없습니다", "there is no earlier generation to go back to")
    return _needs_installer(subject)


_ALL: Tuple[Action, ...] = (
    Action(
        "recover",
        Text("설치 프로그램의 복구 실행", "Let the installer recover"),
        Text("끝나지 않은 설치를 끝내거나 되돌립니다", "an unfinished installation is finished or undone"),
        Text("설치 기록(journal)이 남습니다", "the journal says what was done"),
        _recover,
        _needs_installer,
    ),
    Action(
        "rollback",
        Text("이전 세대로 되돌리기", "Go back to the earlier generation"),
        Text(
            "활성 세대가 바뀌고 서비스가 다시 시작됩니다",
            "the active generation changes and the service restarts",
        ),
        Text("install.py --rollback <지금 세대>", "install.py --rollback <the present generation>"),
        _rollback,
        _needs_previous,
    ),
    Action(
        "fix-permissions",
        Text("설정 파일 권한 고치기", "Correct the configuration's permissions"),
        Text(
            ".env는 0600, config의 나머지는 그룹·기타 쓰기 금지",
            ".env 0600; nothing in config writable by others",
        ),
        Text("chmod로 되돌릴 수 있습니다", "chmod gives them back"),
        _fix_permissions,
        _always,
    ),
    Action(
        "close-writing",
        Text("다른 사용자의 쓰기 권한 없애기", "Take the right to write away from others"),
        Text("세대, 상태, 신뢰 폴더의 o+w가 사라집니다", "o+w is removed in generations, state and trust"),
        Text("chmod o+w (권하지 않음)", "chmod o+w (not advised)"),
        _close_writing,
        _always,
    ),
    Action(
        "restart",
        Text("서비스 다시 시작", "Restart the service"),
        Text("서비스가 잠시 멈췄다가 활성 세대로 시작됩니다", "the service stops briefly and starts again"),
        Text("install.py --stop", "install.py --stop"),
        _restart,
        _needs_installer,
    ),
)
ACTIONS: Dict[str, Action] = {action.id: action for action in _ALL}
