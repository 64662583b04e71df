"""`state/journal.jsonl`: what a run began and ended. Advice for people and for a quicker recovery.

Recovery never depends on it: a line that is torn or garbage is passed over.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any, Iterator, Optional

# The journal of finished runs is of no use; past this size a run starts it anew.
ROTATE_BYTES = 256 * 1024


def read_lines(path: Path, limit: int = 4 * ROTATE_BYTES) -> Iterator[dict[str, Any]]:
    """Yield the records of a journal that can be read, oldest first; the last `limit` bytes are looked at."""
    try:
        with open(path, "rb") as stream:
            stream.seek(max(0, stream.seek(0, os.SEEK_END) - limit))
            data = stream.read(limit)
    except FileNotFoundError:
        return
    for line in data.splitlines():
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(record, dict):
            yield record


def append_line(path: Path, record: dict[str, Any], mode: int = 0o644) -> None:
    """Add one record durably. What a torn earlier line left is closed by a line end first."""
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)
    descriptor = os.open(path, flags, mode)
    try:
        size = os.fstat(descriptor).st_size
        torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
        line = json.dumps(record, ensure_ascii=False, sort_keys=True).encode("utf-8")
        os.write(descriptor, (b"\n" if torn else b"") + line + b"\n")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Journal:
    """The journal of one run; a failing write is told once and does not stop the run."""

    def __init__(self, path: Path, operation: str) -> None:
        self.path = path
        self.operation = operation
        self.failure: Optional[OSError] = None

    def begin(self, **facts: object) -> None:
        """Note that the run begins to change things; a long journal is started anew."""
        try:
            if self.path.exists() and self.path.stat().st_size > ROTATE_BYTES:
                os.truncate(self.path, 0)
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
