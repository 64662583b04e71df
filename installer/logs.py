"""What is kept of logs below `data/logs` when a release does not become healthy, and how much of it.

The folder belongs to the service's user, so nothing there is written through a link or into a file that is there
already.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Iterable, List, Optional

from .filesystem import remove_file
from .paths import Prefix

# Of each kind: the log of a release that failed, of the one that ran before, of a validator's run, of a migration, of
# an index that could not be built again.
KINDS = ("failed", "before", "validator", "migrate", "index")
KEPT = 5
KEPT_BYTES = 256 * 1024
LINES = 400
MODE = 0o640


def keep(prefix: Prefix, kind: str, generation: str, text: str) -> Optional[Path]:
    """Write a log's end as ``KIND-GENERATION.log`` and return where; None where that fails, which must not
    become the operation's failure."""
    path = prefix.logs / f"{kind}-{generation}.log"
    data = text.encode("utf-8", "replace")[-KEPT_BYTES:]
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    try:
        remove_file(path)
        with open(os.open(path, flags, MODE), "wb") as stream:
            stream.write(data)
    except OSError:
        return None
    return path


def prune(prefix: Prefix) -> None:
    """Keep the newest logs of each kind, each of limited size.

    Raises:
        OSError: one could not be removed.
    """
    for kind in KINDS:
        found = _newest_first(prefix.logs.glob(f"{kind}-*.log") if prefix.logs.is_dir() else ())
        for path in found[KEPT:]:
            remove_file(path)
        for path in found[:KEPT]:
            _cap(path)


def _newest_first(paths: Iterable[Path]) -> List[Path]:
    return sorted(paths, key=lambda path: path.lstat().st_mtime, reverse=True)


def _cap(path: Path) -> None:
    """Cut a log that is too long, and close it to others; a link is left alone."""
    flags = os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    if path.is_symlink():
        return
    descriptor = os.open(path, flags)
    try:
        status = os.fstat(descriptor)
        if status.st_nlink == 1 and status.st_mode & 0o007 and hasattr(os, "fchmod"):
            os.fchmod(descriptor, MODE)
        if status.st_nlink == 1 and status.st_size > KEPT_BYTES:
            os.ftruncate(descriptor, KEPT_BYTES)
    finally:
        os.close(descriptor)
