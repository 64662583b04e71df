"""`state/journal.jsonl`: what a run began and ended. Advice for people and for a quicker recovery.

The file is a region of fixed size, filled with line ends when it is made and overwritten in place: noting something
takes no new block, so it works on a full disk too. Recovery never depends on it: a line that is torn or garbage is
passed over.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any, Iterator, Optional

from bundle.atomic import fsync_directory

# A run notes some twenty lines of two hundred bytes; the runs before it are kept for people as long as they fit.
REGION_BYTES = 128 * 1024
ROOM_BYTES = 32 * 1024
_PADDING = b"\n"


def read_lines(path: Path, limit: int = 1024 * 1024) -> Iterator[dict[str, Any]]:
    """Yield the records of a journal that can be read, oldest first; the last `limit` bytes are looked at."""
    try:
        with open(path, "rb") as stream:
            stream.seek(max(0, stream.seek(0, os.SEEK_END) - limit))
            data = stream.read(limit)
    except FileNotFoundError:
        return
    for line in data.rstrip(_PADDING).splitlines():
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(record, dict):
            yield record


def _open(path: Path) -> int:
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    return os.open(path, flags, 0o640)


def _put(descriptor: int, data: bytes, offset: int) -> None:
    """Write in place, durably."""
    if hasattr(os, "pwrite"):
        view = memoryview(data)
        while view:
            written = os.pwrite(descriptor, view, offset)
            view, offset = view[written:], offset + written
    else:
        os.lseek(descriptor, offset, os.SEEK_SET)
        os.write(descriptor, data)
    os.fsync(descriptor)


def _used(descriptor: int) -> tuple[int, int]:
    """Return where the padding begins and where the file ends."""
    size = os.fstat(descriptor).st_size
    os.lseek(descriptor, 0, os.SEEK_SET)
    data = b""
    while len(data) < size:
        piece = os.read(descriptor, size - len(data))
        if not piece:
            break
        data += piece
    return len(data.rstrip(_PADDING)), size


def _clear(path: Path) -> None:
    """Make the region, or make it anew where it has no room left; an existing one is overwritten in place."""
    descriptor = _open(path)
    try:
        used, size = _used(descriptor)
        if size == REGION_BYTES and size - used >= ROOM_BYTES:
            return
        _put(descriptor, _PADDING * REGION_BYTES, 0)
        if size > REGION_BYTES:
            os.ftruncate(descriptor, REGION_BYTES)
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
    fsync_directory(path.parent)


def append_line(path: Path, record: dict[str, Any]) -> None:
    """Add one record durably, after a line end of its own: what a torn earlier line left stands alone."""
    line = json.dumps(record, ensure_ascii=False, sort_keys=True).encode("utf-8", "backslashreplace")
    descriptor = _open(path)
    try:
        used, _ = _used(descriptor)
        _put(descriptor, (b"\n" if used else b"") + line + b"\n", used)
    finally:
        os.close(descriptor)


class Journal:
    """The journal of one run; a failing write is told once and does not stop the run."""

    def __init__(self, path: Path, operation: str) -> None:
        self.path = path
        self.operation = operation
        self.failure: Optional[OSError] = None

    def begin(self, **facts: object) -> None:
        """Note that the run begins to change things, and make sure that there is room for the rest."""
        try:
            _clear(self.path)
        except OSError as error:
            self.failure = error
        self.note("begin", **facts)

    def note(self, event: str, **facts: object) -> None:
        """Append one event."""
        record = {
            "event": event,
            "operation": self.operation,
            "pid": os.getpid(),
            "time": time.time(),
            **facts,
        }
        try:
            append_line(self.path, record)
        except OSError as error:
            self.failure = error


def unfinished(path: Path) -> Optional[dict[str, Any]]:
    """Return the ``begin`` record of a run that never noted its end, if the journal tells of one."""
    begun: Optional[dict[str, Any]] = None
    for record in read_lines(path):
        event = record.get("event")
        if event == "begin":
            begun = record
        elif event in ("end", "recovered"):
            begun = None
    return begun
