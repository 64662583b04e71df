"""Room on disk, asked for before a stage begins: several needs on one file system are added up."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bundle.errors import SpaceError
from bundle.text import Text, human_size

FULL_OR_CLOSED = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES)


@dataclass(frozen=True)
class Need:
    """So many bytes below a folder, which need not exist yet, and what they are for."""

    folder: Path
    size: int
    what: Text


def require_room(needs: Sequence[Need]) -> None:
    """Refuse to begin what the disk cannot hold.

    Raises:
        SpaceError: naming every file system that is too small, what is needed there and what is free.
    """
    found: dict[int, list[Need]] = {}
    for need in needs:
        if need.size > 0:
            found.setdefault(os.stat(_existing(need.folder)).st_dev, []).append(need)
    short = [group for group in found.values() if sum(item.size for item in group) > _free(group)]
    if not short:
        return
    raise SpaceError(
        Text("디스크 공간이 모자랍니다", "there is not enough room on disk"),
        details=[_line(group) for group in short],
        state=Text("아직 아무것도 쓰지 않았습니다", "nothing has been written for this yet"),
        hint=Text(
            "공간을 비우거나 RAGTRACE_CACHE_DIR, --output-dir로 다른 디스크를 쓰십시오",
            "free space, or use another disk with RAGTRACE_CACHE_DIR or --output-dir",
        ),
    )


@contextlib.contextmanager
def named(*folders: Path) -> Iterator[None]:
    """Name the folders that a run writes to where the system's error about a disk names none.

    Raises:
        SpaceError: a disk is full or cannot be written.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in FULL_OR_CLOSED or error.filename is not None:
            raise
        raise SpaceError(
            Text("디스크에 쓸 수 없습니다", "the disk cannot be written"),
            where=f"{error.strerror}: {', '.join(map(str, folders))}",
            state=Text("완성되지 않은 아카이브는 남지 않습니다", "no unfinished archive is left"),
            hint=Text("공간을 비우고 다시 실행하십시오", "free space, then run again"),
        ) from error


def _existing(folder: Path) -> Path:
    for place in (folder, *folder.parents):
        if place.exists():
            return place
    return Path("/")


def _free(group: Sequence[Need]) -> int:
    return shutil.disk_usage(_existing(group[0].folder)).free


def _line(group: Sequence[Need]) -> Text:
    free = human_size(_free(group))
    parts = [(item.what, human_size(item.size), item.folder) for item in group]
    ko = " + ".join(f"{what.ko} {size} ({folder})" for what, size, folder in parts)
    en = " + ".join(f"{what.en} {size} ({folder})" for what, size, folder in parts)
    return Text(f"필요: {ko}; 남음: {free}", f"needed: {en}; free: {free}")
