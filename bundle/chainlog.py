"""Append-only, hash-chained JSON lines: the audit log of an installation, `audit.jsonl` and what continues it.

Every line carries ``n``, its running number, and ``previous``, the SHA-256 of the bytes of the line before it, so a
line that is changed, taken out or put in shows. The last number and digest are also kept in `audit-head.json`, so
cutting off the end shows too (`chaincheck` reads and checks). Nothing here can stop somebody who may write every file from writing them all anew:
whoever needs more notes the head, which `--audit` prints, somewhere else.

What lies between two chained lines (a line torn by a power cut, a line of a tool that knows no chain) is closed by a
record that holds its length and digest; lines of releases before the chain are hashed into the first chained one.
It is here, and not in the installer, because the recovery assistant also writes where no installer is.
"""

from __future__ import annotations

import getpass
import hashlib
import json
import os
import re
import socket
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Iterator, List, Mapping, Optional, Tuple

from .atomic import fsync_directory, write_atomic
from .kernellock import try_lock

FIRST = "audit.jsonl"
HEAD = "audit-head.json"
LOCK = "audit.lock"
ROTATE_BYTES = 4 * 1024 * 1024
MODE = 0o600
# What stands for "the line before the first one".
NOTHING = "0" * 64
# Records that the log writes about itself.
GAP = "audit-gap"
CONTINUED = "audit-continued"
BROKEN = "audit-broken"
PATIENCE_S = 10.0
_NUMBERED = re.compile(r"audit-(\d{6})\.jsonl\Z")
_STRING_CHARACTERS, _LIST_ITEMS = 2000, 200


@dataclass(frozen=True)
class Head:
    """The last number and the digest of its line, as kept outside the log."""

    n: int
    digest: str


@dataclass(frozen=True)
class _End:
    """How the log ends: the file in use, its size, the last chained line, and the bytes after that line."""

    number: int
    size: int
    n: int
    digest: str
    loose: bytes
    closed: bool


def stamp() -> Dict[str, str]:
    """Return when, who and where: the user, and who called sudo, as well as the system tells."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError, ImportError):
        name = str(os.getuid()) if hasattr(os, "getuid") else "unknown"
    caller = os.environ.get("SUDO_USER", "")
    return {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "actor": f"{caller} (sudo {name})" if caller else name,
        "host": socket.gethostname(),
    }


def file_name(number: int) -> str:
    """Return the name of the log's first, second … file."""
    return FIRST if number == 1 else f"audit-{number:06d}.jsonl"


def append(
    folder: Path,
    facts: Mapping[str, object],
    *,
    rotate_bytes: int = ROTATE_BYTES,
    patience_s: float = PATIENCE_S,
) -> int:
    """Append one record durably and return its number. Writers wait for each other.

    Args:
        folder: where the log lies: the installation's ``state``.
        facts: what to record; when, who and where are added.
        rotate_bytes: past this size a file is closed and the next one begun. None is ever deleted.
        patience_s: how long to wait for another writer.

    Raises:
        OSError: it could not be written; what lies there is as it was.
    """
    with _locked(folder, patience_s):
        end = _end(folder)
        lines = _Lines(folder, end)
        lines.note_what_is_wrong(read_head(folder))
        # A log that rotates keeps no file open for ever; the last line says where it goes on.
        full = end.n > 0 and end.size >= rotate_bytes and not end.closed
        if full:
            lines.add({"action": CONTINUED, "outcome": "ok", "next": file_name(end.number + 1)})
            _write(folder / file_name(end.number), lines.taken(), end.size)
        number, size = (end.number + 1, 0) if full or end.closed else (end.number, end.size)
        lines.add(facts)
        _write(folder / file_name(number), lines.taken(), size)
        write_head(folder, lines.n, lines.digest)
        return lines.n


class _Lines:
    """The lines of one `append`, each chained to the one before."""

    def __init__(self, folder: Path, end: _End) -> None:
        self.folder = folder
        self.end = end
        self.n, self.digest = end.n, end.digest
        self.loose = end.loose
        self.data = b""

    def note_what_is_wrong(self, head: Optional[Head]) -> None:
        """Begin with records that say what is not as the last writer left it."""
        end = self.end
        if self.loose and not self.loose.endswith(b"\n"):
            self.data = b"\n"
            self.loose += b"\n"
        if end.n == 0 and head is None:
            return
        if end.n > 1 and head is None:
            self._closing({"action": BROKEN, "outcome": "failed", "missing": HEAD})
        elif head is not None and not _agrees(self.folder, end, head):
            found = {"n": end.n, "sha256": end.digest}
            self.n, self.digest = max(end.n, head.n), head.digest
            expected = {"n": head.n, "sha256": head.digest}
            self._closing({"action": BROKEN, "outcome": "failed", "expected": expected, "found": found})
        elif self.loose:
            self._closing({"action": GAP, "outcome": "ok"})

    def _closing(self, facts: Dict[str, object]) -> None:
        self.add({**facts, **self._gap()})

    def _gap(self) -> Dict[str, object]:
        loose, self.loose = self.loose, b""
        if not loose:
            return {}
        return {"gap": {"bytes": len(loose), "sha256": hashlib.sha256(loose).hexdigest()}}

    def add(self, facts: Mapping[str, object]) -> None:
        """Add one record."""
        record: Dict[str, Any] = {**stamp(), **{name: _bounded(value) for name, value in facts.items()}}
        previous = self.digest
        if self.n == 0 and self.loose:
            previous = hashlib.sha256(self.loose).hexdigest()
            record["before_the_chain"] = {"bytes": len(self.loose), "lines": self.loose.count(b"\n")}
            self.loose = b""
        self.n += 1
        record.update(n=self.n, previous=previous)
        line = json.dumps(record, ensure_ascii=False, sort_keys=True).encode("utf-8", "backslashreplace")
        self.digest = hashlib.sha256(line).hexdigest()
        self.data += line + b"\n"

    def taken(self) -> bytes:
        """Return the lines collected and begin anew."""
        data, self.data = self.data, b""
        return data


def _bounded(value: object) -> object:
    """Return a fact that cannot make the log grow without limit."""
    if isinstance(value, str):
        return value if len(value) <= _STRING_CHARACTERS else value[:_STRING_CHARACTERS] + "…"
    if isinstance(value, (list, tuple)):
        return [_bounded(item) for item in value[:_LIST_ITEMS]]
    return value


def _agrees(folder: Path, end: _End, head: Head) -> bool:
    """Whether the log may go on from where it ends. A writer that was killed, or had no room, between line and
    head leaves the head behind; a head that is ahead of the log means that lines are gone."""
    if end.n <= head.n:
        return (end.n, end.digest) == (head.n, head.digest)
    return _digest_of(folder, head.n) == head.digest


def _digest_of(folder: Path, n: int) -> str:
    """Return the digest of one record, looked for from the end."""
    for number in reversed(numbers(folder)):
        for line in reversed(split_lines(file_bytes(folder / file_name(number)) or b"")):
            record = chained(line)
            if record is not None and record["n"] == n:
                return hashlib.sha256(line[:-1]).hexdigest()
    return ""


def sweep(folder: Path) -> bool:
    """Remove what a killed writer left beside the log; return whether there was something."""
    leftover = folder / f".{HEAD}.new"
    if not os.path.lexists(leftover):
        return False
    with _locked(folder, PATIENCE_S):
        if not os.path.lexists(leftover):
            return False
        os.unlink(leftover)
        fsync_directory(folder)
    return True


def owns(name: str) -> bool:
    """Return whether a file of the folder belongs to the log."""
    return name in (FIRST, HEAD, LOCK) or bool(_NUMBERED.match(name))


def numbers(folder: Path) -> List[int]:
    """Return the numbers of the log's files, in order."""
    try:
        names = os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
    found = [1] if FIRST in names else []
    return sorted(found + [int(match.group(1)) for match in map(_NUMBERED.match, names) if match])


def _end(folder: Path) -> _End:
    """Find the last chained line; usually it ends the newest file, else it ends the one before."""
    known = numbers(folder)
    newest = known[-1] if known else 1
    size, loose = 0, b""
    for number in reversed(known):
        data = file_bytes(folder / file_name(number)) or b""
        found = _last_chained(data)
        if number == newest:
            size = len(data)
            loose = data if found is None else data[found[1] :]
        if found is not None:
            record, stop = found
            line = data[data.rfind(b"\n", 0, stop - 1) + 1 : stop - 1]
            closed = number == newest and record.get("action") == CONTINUED and not loose
            return _End(newest, size, record["n"], hashlib.sha256(line).hexdigest(), loose, closed)
    return _End(newest, size, 0, NOTHING, loose, False)


def _last_chained(data: bytes) -> Optional[Tuple[Dict[str, Any], int]]:
    """Return the last chained record and where it ends, its line end included."""
    stop = data.rfind(b"\n") + 1
    while stop > 0:
        start = data.rfind(b"\n", 0, stop - 1) + 1
        record = chained(data[start:stop])
        if record is not None:
            return record, stop
        stop = start
    return None


def split_lines(data: bytes) -> List[bytes]:
    """Split at line feeds only: other bytes that Python takes for line ends may be part of a torn line."""
    pieces = data.split(b"\n")
    lines = [piece + b"\n" for piece in pieces[:-1]]
    return lines + ([pieces[-1]] if pieces[-1] else [])


def parsed(line: bytes) -> Optional[Dict[str, Any]]:
    """Return the JSON object on a line, or None."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def chained(line: bytes) -> Optional[Dict[str, Any]]:
    """Return the record on a whole line that has a place in the chain, or None."""
    if not line.endswith(b"\n"):
        return None
    record = parsed(line)
    if record is None or type(record.get("n")) is not int or not isinstance(record.get("previous"), str):
        return None
    return record


def file_bytes(path: Path) -> Optional[bytes]:
    """Return a file's bytes, None where there is none; a link is an error."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0))
    except FileNotFoundError:
        return None
    with open(descriptor, "rb") as stream:
        return stream.read()


def _write(path: Path, data: bytes, size: int) -> None:
    """Append durably; where not everything fits, take the part back that did."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    flags |= getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags, MODE)
    try:
        if sys.platform != "win32":
            os.fchmod(descriptor, MODE)
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(descriptor, view) :]
            os.fsync(descriptor)
        except OSError:
            os.ftruncate(descriptor, size)
            raise
    finally:
        os.close(descriptor)
    if size == 0:
        fsync_directory(path.parent)


def write_head(folder: Path, n: int, digest: str) -> None:
    """Note where the log ends."""
    write_atomic(folder / HEAD, _encode_head(n, digest), MODE)


def _encode_head(n: int, digest: str) -> bytes:
    checksum = hashlib.sha256(f"{n} {digest}".encode("ascii")).hexdigest()
    text = json.dumps({"format": 1, "n": n, "sha256": digest, "checksum": checksum}, sort_keys=True)
    return text.encode("ascii") + b"\n"


def read_head(folder: Path) -> Optional[Head]:
    """Return the head; None where it is missing or damaged."""
    data = file_bytes(folder / HEAD)
    record = parsed(data) if data is not None else None
    if record is None or type(record.get("n")) is not int or not isinstance(record.get("sha256"), str):
        return None
    if _encode_head(record["n"], record["sha256"]) != data:
        return None
    return Head(record["n"], record["sha256"])


@contextmanager
def _locked(folder: Path, patience_s: float) -> Iterator[None]:
    """Hold the log's own kernel lock, which is not the installer's: the recovery assistant writes without it.

    Raises:
        TimeoutError: another writer does not let go.
    """
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
    descriptor = os.open(folder / LOCK, flags, MODE)
    try:
        deadline = time.monotonic() + patience_s
        while not try_lock(descriptor):
            if time.monotonic() >= deadline:
                raise TimeoutError(f"another process holds {folder / LOCK}")
            time.sleep(0.01)
        yield
    finally:
        os.close(descriptor)
