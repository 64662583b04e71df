"""How much room something takes on the disk: allocated bytes, every file counted once however many names it has."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Dict, Iterable, Iterator, Optional, Set, Tuple

Inode = Tuple[int, int]


def allocated(status: os.stat_result) -> int:
    """Return the bytes that a file, folder or link takes on the disk."""
    blocks = getattr(status, "st_blocks", None)
    return int(status.st_size) if blocks is None else int(blocks) * 512


def statuses(path: Path) -> Iterator[os.stat_result]:
    """Yield the status of `path` and of everything below it; links are not followed, what may not be read is
    passed over."""
    try:
        status = path.lstat()
    except OSError:
        return
    yield status
    if not stat.S_ISDIR(status.st_mode):
        return
    try:
        with os.scandir(path) as listing:
            entries = list(listing)
    except OSError:
        return
    for entry in entries:
        yield from statuses(Path(entry.path))


def size(paths: Iterable[Path], seen: Optional[Set[Inode]] = None) -> int:
    """Return the bytes that the paths and everything below them take.

    Args:
        paths: files and folders, which may be missing.
        seen: files counted before, which are not counted again; those counted now are added.
    """
    known: Set[Inode] = set() if seen is None else seen
    total = 0
    for path in paths:
        for status in statuses(path):
            key = (status.st_dev, status.st_ino)
            if key not in known:
                known.add(key)
                total += allocated(status)
    return total


def freed(paths: Iterable[Path]) -> int:
    """Return the bytes that come free when the paths and everything below them are removed: a file that has
    a name elsewhere too stays on the disk."""
    names: Dict[Inode, int] = {}
    found: Dict[Inode, os.stat_result] = {}
    for path in paths:
        for status in statuses(path):
            key = (status.st_dev, status.st_ino)
            names[key] = names.get(key, 0) + 1
            found[key] = status
    return sum(
        allocated(status)
        for key, status in found.items()
        if stat.S_ISDIR(status.st_mode) or names[key] >= status.st_nlink
    )
