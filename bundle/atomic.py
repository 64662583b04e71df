"""Atomic replacement of small files, and making trees durable: the one place for fsync and replace."""

from __future__ import annotations

import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Callable, Iterable, Optional, TypeVar

# Windows refuses to replace or remove a file that somebody has open, if only a virus scanner for a moment: access
# denied, sharing violation, lock violation.
_SHARING = (5, 32, 33)
# Two seconds in all: longer than a scanner looks, shorter than anybody waits.
_PAUSES_S = (0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.6)
_Result = TypeVar("_Result")


def patiently(action: Callable[[], _Result]) -> _Result:
    """Do something that replaces or removes files, again and again while Windows says that one is in use.

    Raises:
        OSError: it still says so after two seconds, or something else went wrong.
    """
    for pause in _PAUSES_S:
        try:
            return action()
        except OSError as error:
            if getattr(error, "winerror", None) not in _SHARING:
                raise
        time.sleep(pause)
    return action()


def write_atomic(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Replace `path` by `data` so that a reader, a crash or a power cut sees the old or the new file.

    A temporary file beside it is written and synchronised, renamed over it, and the folder synchronised.
    The temporary name is fixed (``.NAME.new``): what a killed run left is overwritten by the next one.
    """
    temporary = path.with_name(f".{path.name}.new")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(temporary, flags, mode)
    try:
        with open(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            if sys.platform != "win32":
                os.fchmod(stream.fileno(), mode)
            os.fsync(stream.fileno())
        patiently(lambda: os.replace(temporary, path))
    except BaseException:
        if os.path.lexists(temporary):
            patiently(lambda: os.unlink(temporary))
        raise
    fsync_directory(path.parent)


def fsync_directory(path: Path) -> None:
    """Make a folder's entries durable (POSIX; Windows has no such call and needs none after a flush)."""
    if os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def fsync_file(path: Path) -> None:
    """Make one file's bytes durable."""
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0)
    if os.name == "nt":
        flags = os.O_RDWR | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def fsync_files(paths: Iterable[Path], threads: Optional[int] = None) -> None:
    """Make many files durable; the calls overlap, so one journal commit serves several of them."""
    count = threads or 8
    with ThreadPoolExecutor(max_workers=count, thread_name_prefix="fsync") as pool:
        for _ in pool.map(fsync_file, paths):
            pass
