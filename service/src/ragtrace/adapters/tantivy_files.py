"""Are the files of a tantivy index as they were written? Reads them; opens no index, takes no lock, writes nothing.

Each file of a segment ends in a footer: JSON with the CRC-32 of all bytes before it, the length of that JSON and a magic
number, both 32 bits, little endian (tantivy `directory/footer.rs`). Segments never change, so a file whose inode, size
and time are those of an earlier look is not read again.
"""

from __future__ import annotations

import json
import os
import time
import zlib
from dataclasses import dataclass, field
from pathlib import Path

META = "meta.json"
_MAGIC = 1337
_TAIL = 8
_LONGEST_FOOTER = 4096
_META_BYTES = 16 << 20
MANAGED = ".managed.json"
_NEEDED = ("term", "idx", "pos", "store", "fast", "fieldnorm")
_READ = 1 << 20
# A commit of another process may take files away between two looks; then the newer state is looked at.
_TRIES = 3


@dataclass(frozen=True)
class FilesReport:
    """What was found: damaged files with the reason, and how much was compared in the time allowed."""

    damaged: tuple[str, ...]
    chunks: int
    read: int
    total: int


@dataclass
class IndexFiles:
    """The files of one index folder."""

    folder: Path
    _sound: dict[str, tuple[int, int, int]] = field(default_factory=dict)

    @property
    def exists(self) -> bool:
        """Say whether anything was ever written there."""
        return self.folder.is_dir() and any(
            name == META or name.endswith(".store") for name in os.listdir(self.folder)
        )

    def examine(self, seconds: float) -> FilesReport:
        """Compare the files of the last commit with their checksums, as many as the time allows.

        Raises:
            PermissionError: the files may not be read by this user.
        """
        deadline = time.monotonic() + seconds
        report = FilesReport((), 0, 0, 0)
        for _ in range(_TRIES):
            before = self._meta()
            report = self._examine(before, deadline)
            if not report.damaged or before == self._meta():
                break
        return report

    def chunk_estimate(self) -> int:
        """Return how many entries `meta.json` speaks of, 0 where it cannot be read."""
        return _parse(self._meta())[1]

    def _meta(self) -> bytes | None:
        try:
            with open(self.folder / META, "rb") as stream:
                return stream.read(_META_BYTES)
        except FileNotFoundError:
            return None

    def _examine(self, meta: bytes | None, deadline: float) -> FilesReport:
        if meta is None:
            return FilesReport((f"{META}: missing",), 0, 0, 0)
        names, entries = _parse(meta)
        if names is None:
            return FilesReport((f"{META}: not readable",), 0, 0, 0)
        damaged = [f"{MANAGED}: not readable"] if self._managed_is_damaged() else []
        read = total = 0
        for name in names:
            size, done, problem = self._file(name, deadline)
            total, read = total + size, read + done
            if problem:
                damaged.append(f"{name}: {problem}")
        return FilesReport(tuple(damaged), max(0, entries - 1), read, total)

    def _managed_is_damaged(self) -> bool:
        """Say whether the list of all files is there but no list; without it tantivy makes a new one."""
        try:
            return not isinstance(json.loads((self.folder / MANAGED).read_bytes()), list)
        except FileNotFoundError:
            return False
        except (ValueError, RecursionError):
            return True

    def _file(self, name: str, deadline: float) -> tuple[int, int, str]:
        """Return size, bytes that count as compared, and what is wrong."""
        try:
            with open(self.folder / name, "rb") as stream:
                status = os.fstat(stream.fileno())
                identity = (status.st_ino, status.st_mtime_ns, status.st_size)
                size = status.st_size
                if self._sound.get(name) == identity:
                    return size, size, ""
                stream.seek(max(0, size - _LONGEST_FOOTER - _TAIL))
                wanted = _footer(stream.read(), size)
                if wanted is None:
                    return size, size, "no footer"
                body, checksum = wanted
                found, at = 0, 0
                stream.seek(0)
                while at < body:
                    if time.monotonic() >= deadline:
                        return size, at, ""
                    piece = stream.read(min(_READ, body - at))
                    if not piece:
                        return size, at, "shorter than it was"
                    found, at = zlib.crc32(piece, found), at + len(piece)
        except FileNotFoundError:
            return 0, 0, "missing"
        except PermissionError:
            raise
        except OSError as error:
            return 0, 0, error.strerror or type(error).__name__
        if found != checksum:
            return size, size, "checksum differs"
        self._sound[name] = identity
        return size, size, ""


def _parse(meta: bytes | None) -> tuple[list[str] | None, int]:
    """Return the files that `meta.json` speaks of and the number of living entries."""
    try:
        names: list[str] = []
        entries = 0
        for segment in json.loads(meta or b"")["segments"]:
            stem = str(segment["segment_id"]).replace("-", "")
            if not stem.isalnum():
                return None, 0
            names += [f"{stem}.{kind}" for kind in _NEEDED]
            entries += int(segment["max_doc"])
            if segment["deletes"]:
                names.append(f"{stem}.{int(segment['deletes']['opstamp'])}.del")
                entries -= int(segment["deletes"]["num_deleted_docs"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return None, 0
    return names, entries


def _footer(tail: bytes, size: int) -> tuple[int, int] | None:
    """Return the length of the body and its checksum."""
    length = int.from_bytes(tail[-8:-4], "little")
    if len(tail) < _TAIL or int.from_bytes(tail[-4:], "little") != _MAGIC or length > len(tail) - _TAIL:
        return None
    try:
        checksum = json.loads(tail[-_TAIL - length : -_TAIL])["crc"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return (size - _TAIL - length, checksum) if isinstance(checksum, int) else None
