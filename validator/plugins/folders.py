"""Single-file plugins in a folder: read once, and only if nobody else could have written them."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path
from typing import List, Optional, Tuple

from bundle.text import Text
from validator import limits
from validator.plugins.entries import Unfit
from validator.plugins.source import FILE, Source
from validator.subject import Subject

FOLDER = Path("config") / "checks"


def find(folder: Path, subject: Subject, unfit: List[Unfit]) -> List[Source]:
    """Return the plugins of *folder* by name; what is wrong with others is appended to *unfit*.

    A folder that does not exist holds none.
    """
    try:
        names = sorted(os.listdir(folder))
        facts = os.stat(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        said = error.strerror or str(error)
        unfit.append(
            Unfit(
                str(folder),
                Text(
                    f"플러그인 폴더를 볼 수 없습니다: {said}", f"the folder of plugins cannot be seen: {said}"
                ),
                hidden=isinstance(error, PermissionError),
            )
        )
        return []
    problem = _not_trusted(facts, subject)
    if problem is not None:
        unfit.append(Unfit(str(folder), problem))
        return []
    wanted = [name for name in names if name.endswith(".py") and not name.startswith((".", "_"))]
    if len(wanted) > limits.PLUGINS:
        many = Text(
            f"플러그인이 너무 많습니다: {len(wanted)}개 (최대 {limits.PLUGINS}개)",
            f"too many plugins: {len(wanted)} (at most {limits.PLUGINS})",
        )
        unfit.append(Unfit(str(folder), many))
    found: List[Source] = []
    for name in wanted[: limits.PLUGINS]:
        try:
            found.append(_read(folder / name, subject))
        except Unfit as error:
            unfit.append(error)
    return found


def _read(path: Path, subject: Subject) -> Source:
    """Return the plugin in one file; the very bytes whose owner was looked at are what runs."""
    flags = (
        os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    )
    try:
        with open(os.open(path, flags), "rb") as stream:
            facts = os.fstat(stream.fileno())
            if not stat.S_ISREG(facts.st_mode):
                raise Unfit(str(path), Text("일반 파일이 아닙니다", "not a regular file"))
            problem = _not_trusted(facts, subject)
            if problem is not None:
                raise Unfit(str(path), problem)
            data = stream.read(limits.PLUGIN_FILE_BYTES + 1)
        text = data.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        said = (error.strerror if isinstance(error, OSError) else None) or str(error)
        what = Text(f"읽을 수 없습니다: {said}", f"it cannot be read: {said}")
        raise Unfit(str(path), what, hidden=isinstance(error, PermissionError)) from error
    if len(data) > limits.PLUGIN_FILE_BYTES:
        size = limits.PLUGIN_FILE_BYTES
        raise Unfit(str(path), Text(f"{size} 바이트보다 큽니다", f"larger than {size} bytes"))
    return Source(FILE, str(path), text, owner=_run_as(facts))


def _not_trusted(facts: os.stat_result, subject: Subject) -> Optional[Text]:
    if sys.platform == "win32":
        return None
    if facts.st_mode & stat.S_IWOTH:
        return Text("누구나 쓸 수 있어 실행하지 않았습니다", "not run: anybody may write it")
    if facts.st_uid not in subject.trusted_owners:
        return Text(
            f"소유자(uid {facts.st_uid})를 믿을 수 없어 실행하지 않았습니다",
            f"not run: its owner (uid {facts.st_uid}) is neither root nor the installation's owner nor you",
        )
    return None


def _run_as(facts: os.stat_result) -> Optional[Tuple[int, int]]:
    """Return whom root becomes for this file: its owner, who must not gain root by writing a plugin."""
    if sys.platform == "win32" or os.geteuid() != 0 or facts.st_uid == 0:
        return None
    return facts.st_uid, facts.st_gid
