"""Look at the data folder beside a running service: read-only, no lock taken, nothing made or mended.

The records are opened by SQLite alone. Opening the file in any other way inside the service's own process would, when
it is closed, take away the locks that SQLite holds on it (https://www.sqlite.org/howtocorrupt.html, section 2.2).
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ragtrace.adapters import data_format
from ragtrace.adapters.tantivy_files import META, FilesReport, IndexFiles
from ragtrace.application.inspection import FolderFacts, IndexFacts, RecordsFacts, VectorFacts, WriterFacts
from ragtrace.application.ports import IndexMark, RecordsState

LOCK = "write.lock"
LOCKS = Path("/proc/locks")
# SQLite calls back after so many of its instructions, so that a long look can be ended.
_INSTRUCTIONS = 20_000
_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
# An unchanged database is not read again for so long.
_KEPT_S = 600.0


@dataclass
class DataInspection:
    """One data folder; `layout` is the folder of the index in it."""

    folder: Path
    layout: str
    locks: Path = LOCKS
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _files: IndexFiles = field(init=False)
    _whole: tuple[object, float, RecordsFacts] | None = None

    def __post_init__(self) -> None:
        self._files = IndexFiles(self.folder / "index" / self.layout)

    def exists(self) -> bool:
        """Say whether there is data at all."""
        return (self.folder / data_format.NAME).exists() or (self.folder / data_format.RECORDS).exists()

    def records_are_lost(self) -> bool:
        """Say whether the database is missing or empty although the index speaks of chunks."""
        path = self.folder / data_format.RECORDS
        try:
            return path.stat().st_size == 0 and self._files.chunk_estimate() > 1
        except FileNotFoundError:
            return self._files.chunk_estimate() > 1

    def records(self, seconds: float) -> RecordsFacts:
        """Look through the database for damage, for so long at most."""
        with self._lock:
            signature = self._signature()
            if self._whole and self._whole[0] == signature and time.monotonic() - self._whole[1] < _KEPT_S:
                return self._whole[2]
            facts = self._look_through(seconds)
            if facts.complete or facts.damage:
                self._whole = (signature, time.monotonic(), facts)
            return facts

    def state(self) -> RecordsState | None:
        """Return where the records stand, None where they cannot say."""
        try:
            with self._database() as database:
                meta = dict(database.execute("SELECT key, value FROM meta").fetchall())
                pending = database.execute("SELECT document_id FROM pending ORDER BY 1").fetchall()
            return RecordsState(
                meta["records"], int(meta["sequence"]), int(meta["settled"]), tuple(row[0] for row in pending)
            )
        except (sqlite3.Error, KeyError, ValueError):
            return None

    def mark(self) -> IndexMark | None:
        """Return the mark of the index, None where there is none or it cannot be read."""
        import tantivy

        from ragtrace.adapters.tantivy_index import read_mark, translated
        from ragtrace.errors import StorageProblem

        try:
            with translated(self._files.folder):
                if not (self._files.folder / META).exists():
                    return None
                return read_mark(tantivy.Index.open(str(self._files.folder)).searcher())
        except StorageProblem:
            return None

    def index(self, seconds: float) -> IndexFacts:
        """Compare the files of the index with their checksums, for so long at most."""
        if not self._files.exists:
            return IndexFacts((), 0, 0, 0)
        report: FilesReport = self._files.examine(seconds)
        return IndexFacts(report.damaged, report.chunks, report.read, report.total)

    def vectors(self) -> tuple[VectorFacts, ...]:
        """Return the generations of the embedded vectors, the oldest first; locks as far as this system tells."""
        if not (self.folder / "vectors").is_dir():
            return ()
        from ragtrace.adapters.vector_inspection import generations

        table = self.locks.read_text("ascii", "replace") if self.locks.exists() else ""
        written = [_changed(self.folder / f"{data_format.RECORDS}{end}") for end in ("", "-wal")]
        return generations(self.folder / "vectors", lambda status: _holder(table, status), written)

    def ownership(self) -> FolderFacts:
        """Say whose the folder is, what in it is somebody else's, and whether this process may write to it."""
        owner = self.folder.stat().st_uid
        known = self._known()
        strangers = [self._short(path) for path in known if _owner(path) not in (None, owner)]
        statistics = os.statvfs(self.folder) if hasattr(os, "statvfs") else None
        read_only = bool(statistics and statistics.f_flag & getattr(os, "ST_RDONLY", 1))
        mine = not hasattr(os, "geteuid") or os.geteuid() in (0, owner)
        # What cannot be used because it has just gone is no finding: a running service replaces its files.
        closed = [
            self._short(path) for path in known if mine and not _open_to(path) and os.path.lexists(path)
        ]
        return FolderFacts(owner, tuple(strangers), tuple(closed), read_only, mine)

    def format(self) -> tuple[int | None, int]:
        """Return the number of the data's format and this release's; raises `StorageProblem` as `data_format.read`."""
        found = data_format.read(self.folder)
        if found is None:
            return None, data_format.VERSION
        return (found.version if found.migrating is None else -found.migrating), data_format.VERSION

    def space(self) -> tuple[int, int]:
        """Return free and all bytes of the file system."""
        usage = shutil.disk_usage(self.folder)
        return usage.free, usage.total

    def writer(self) -> WriterFacts | None:
        """Return who holds the write lock and for how long nothing was written; None when nobody does.

        Raises:
            LookupError: this system does not tell who holds a lock without trying to take it.
        """
        try:
            status = os.stat(self.folder / LOCK)
            holder = _holder(self.locks.read_text("ascii", "replace"), status)
        except FileNotFoundError as error:
            if sys.platform != "linux" or not self.locks.exists():
                raise LookupError("no /proc/locks") from error
            return None
        if holder is None:
            return None
        latest = max((_changed(path) for path in self._written()), default=0.0)
        return WriterFacts(holder, max(0.0, time.time() - max(latest, status.st_mtime)))

    def is_written(self) -> bool:
        """Say whether somebody holds the write lock, as far as this system tells."""
        try:
            return self.writer() is not None
        except LookupError:
            return False

    def _look_through(self, seconds: float) -> RecordsFacts:
        path = self.folder / data_format.RECORDS
        if self.records_are_lost():
            return RecordsFacts("missing or empty", 0, True)
        size = path.stat().st_size if path.exists() else 0
        if size == 0:
            return RecordsFacts("", 0, True)
        begun = time.monotonic()
        try:
            with self._database() as database:
                database.set_progress_handler(lambda: int(time.monotonic() - begun > seconds), _INSTRUCTIONS)
                found = [str(row[0]) for row in database.execute("PRAGMA quick_check(5)")]
        except sqlite3.DatabaseError as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            if code in _DAMAGE:
                return RecordsFacts(str(error), size, True)
            if code == sqlite3.SQLITE_INTERRUPT:
                return RecordsFacts("", size, False)
            if code == sqlite3.SQLITE_CANTOPEN and not os.access(path, os.R_OK):
                raise PermissionError(13, "Permission denied", str(path)) from error
            return RecordsFacts("", size, False, unseen=str(error))
        return RecordsFacts("" if found == ["ok"] else "; ".join(found)[:300], size, True)

    @contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        name = f"{(self.folder / data_format.RECORDS).absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(name, uri=True, timeout=0.5)) as connection:
            yield connection

    def _signature(self) -> tuple[tuple[int, int, int], ...]:
        found = []
        for ending in ("", "-wal"):
            try:
                status = os.stat(self.folder / f"{data_format.RECORDS}{ending}")
            except FileNotFoundError:
                continue
            found.append((status.st_ino, status.st_size, status.st_mtime_ns))
        return tuple(found)

    def _known(self) -> list[Path]:
        """Return what the service itself makes: folders and files whose owner matters."""
        top = [self.folder, self.folder / "index", self._files.folder]
        names = [data_format.NAME, LOCK, *(f"{data_format.RECORDS}{end}" for end in ("", "-wal", "-shm"))]
        inside = sorted(self._files.folder.iterdir()) if self._files.folder.is_dir() else []
        return [
            path for path in (*top, *(self.folder / name for name in names), *inside) if os.path.lexists(path)
        ]

    def _short(self, path: Path) -> str:
        return str(path.relative_to(self.folder))

    def _written(self) -> list[Path]:
        ends = ("", "-wal")
        return [
            *(self.folder / f"{data_format.RECORDS}{end}" for end in ends),
            self._files.folder / META,
            self._files.folder,
        ]


def _owner(path: Path) -> int | None:
    try:
        return path.lstat().st_uid
    except FileNotFoundError:
        return None


def _open_to(path: Path) -> bool:
    """Say whether the effective user may read and write; folders also entered."""
    wanted = os.R_OK | os.W_OK | (os.X_OK if path.is_dir() else 0)
    # Segments are made once and never written again, so that reading is enough.
    if not path.is_dir() and path.suffix in (
        ".term",
        ".idx",
        ".pos",
        ".store",
        ".fast",
        ".fieldnorm",
        ".del",
    ):
        wanted = os.R_OK
    effective = os.access in os.supports_effective_ids
    return os.access(path, wanted, effective_ids=effective)


def _holder(table: str, status: os.stat_result) -> int | None:
    """Return the process that holds a lock on a file, from the text of ``/proc/locks``; 0 for one that is not shown."""
    place = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    for line in table.splitlines():
        words = line.split()
        if len(words) >= 6 and words[1] == "FLOCK" and words[5] == place:
            return int(words[4]) if words[4].lstrip("-").isdigit() else 0
    return None


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
