"""What a running service leaves below `data/` that nobody needs: compiled modules, logs that were rotated away, the
beginning of a log that has grown too long. All of it is made again, or was only ever there to be read.

The folders belong to the service's user: nothing is opened through a link, and only regular files with one name are cut.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import Callable, List

from . import usage
from .filesystem import remove_tree
from .paths import Prefix

# The service's own log of the service manager `process`; longer than this it is cut to its end.
LONG_BYTES = 8 * 1024 * 1024
KEPT_BYTES = 1024 * 1024
LOG = "service.log"
_ROTATED = re.compile(r"[\w.-]+\.log(\.\d+|\.old)?(\.gz|\.xz)?\Z")


def removable(prefix: Prefix) -> List[Path]:
    """Return what may go: folders and files."""
    found: List[Path] = []
    cache = prefix.data / "cache" / "pycache"
    if _is(cache, stat.S_ISDIR):
        found += sorted(cache.iterdir())
    if _is(prefix.logs, stat.S_ISDIR):
        found += [path for path in sorted(prefix.logs.iterdir()) if _rotated(path)]
    return found


def overlong(prefix: Prefix) -> List[Path]:
    """Return the logs that are still written to and too long."""
    path = prefix.logs / LOG
    try:
        status = path.lstat()
    except OSError:
        return []
    fits = stat.S_ISREG(status.st_mode) and status.st_nlink == 1 and status.st_size > LONG_BYTES
    return [path] if fits else []


def size(prefix: Prefix) -> int:
    """Return the bytes that come free."""
    cut = sum(path.lstat().st_size - KEPT_BYTES for path in overlong(prefix))
    return usage.freed(removable(prefix)) + cut


def clear(prefix: Prefix) -> None:
    """Remove and cut; run twice it finds nothing.

    Raises:
        OSError: something could not be removed.
    """
    for path in removable(prefix):
        remove_tree(path)
    for path in overlong(prefix):
        _cut(path)


def _rotated(path: Path) -> bool:
    """Tell a log that nobody writes to any more by its name: `NAME.log.1`, `NAME.log.2.gz` …"""
    match = _ROTATED.match(path.name)
    return bool(match and (match.group(1) or match.group(2))) and _is(path, stat.S_ISREG)


def _is(path: Path, kind: Callable[[int], bool]) -> bool:
    try:
        return kind(path.lstat().st_mode)
    except OSError:
        return False


def _cut(path: Path) -> None:
    """Keep the end. The service appends to the same file, so it is shortened in place, never replaced."""
    flags = os.O_RDWR | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    descriptor = os.open(path, flags)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
            return
        os.lseek(descriptor, -KEPT_BYTES, os.SEEK_END)
        tail = os.read(descriptor, KEPT_BYTES)
        os.ftruncate(descriptor, 0)
        os.write(descriptor, tail[tail.find(b"\n") + 1 :])
    finally:
        os.close(descriptor)
