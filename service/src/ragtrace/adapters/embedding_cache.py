"""Embeddings remembered in an SQLite file, as plain little-endian numbers.

It is a cache: a damaged file is made anew, and a disk that is full or read-only costs time, not answers. Texts are not
kept, only the SHA-256 of model fingerprint and text.
"""

from __future__ import annotations

import hashlib
import logging
import sqlite3
import threading
import zlib
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ragtrace.application.ports.embedding import Embedding, Output
from ragtrace.limits import EMBEDDING_CACHE_BYTES, SQL_PARAMETERS

LOG = logging.getLogger("ragtrace")
# Raised with every change of the schema or of how numbers are written: the file is then made anew.
_LAYOUT = 1
_SCHEMA = """
CREATE TABLE entries (
    id INTEGER PRIMARY KEY AUTOINCREMENT, key BLOB NOT NULL UNIQUE, tokens INTEGER NOT NULL, cut INTEGER NOT NULL,
    dense BLOB, sparse_ids BLOB, sparse_weights BLOB, colbert BLOB, width INTEGER NOT NULL, bytes INTEGER NOT NULL,
    checksum INTEGER NOT NULL
);
CREATE TABLE totals (entries INTEGER NOT NULL, bytes INTEGER NOT NULL);
INSERT INTO totals VALUES (0, 0);
CREATE TRIGGER added AFTER INSERT ON entries BEGIN
    UPDATE totals SET entries = entries + 1, bytes = bytes + NEW.bytes;
END;
CREATE TRIGGER removed AFTER DELETE ON entries BEGIN
    UPDATE totals SET entries = entries - 1, bytes = bytes - OLD.bytes;
END;
"""
_BLOBS = ("dense", "sparse_ids", "sparse_weights", "colbert")
_COLUMNS = f"key, tokens, cut, {', '.join(_BLOBS)}, width, checksum"
_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_FLOAT, _INT = np.dtype("<f4"), np.dtype("<i4")
_Row = tuple[bytes, int, int, bytes | None, bytes | None, bytes | None, bytes | None, int, int]


class SqliteEmbeddingCache:
    """At most so many entries and bytes; those that were put first go first. Several processes may share the file.

    Args:
        path: the file; its folder exists.
        entries: 0 remembers nothing.
    """

    def __init__(self, path: Path, entries: int, most_bytes: int = EMBEDDING_CACHE_BYTES) -> None:
        self._path = path
        self._most = entries
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._told = False

    def get(
        self, fingerprint: str, texts: Sequence[str], outputs: frozenset[Output]
    ) -> list[Embedding | None]:
        """Return what is known with at least these outputs, None for the rest."""
        keys = [_key(fingerprint, text) for text in texts]
        found: dict[bytes, Embedding] = {}
        with self._trouble_costs_time(), self._database() as database:
            for start in range(0, len(keys), SQL_PARAMETERS):
                part = keys[start : start + SQL_PARAMETERS]
                marks = ", ".join("?" * len(part))
                rows = database.execute(f"SELECT {_COLUMNS} FROM entries WHERE key IN ({marks})", part)
                found.update((row[0], each) for row in rows if (each := _embedding(row, outputs)) is not None)
        return [found.get(key) for key in keys]

    def put(self, fingerprint: str, texts: Sequence[str], embeddings: Sequence[Embedding]) -> None:
        """Keep embeddings; those that are there already are replaced and count as new."""
        if not self._most:
            return
        rows = [_row(_key(fingerprint, text), each) for text, each in zip(texts, embeddings, strict=True)]
        with self._trouble_costs_time(), self._database() as database, database:
            database.execute("BEGIN IMMEDIATE")
            for row in rows[-self._most :]:
                database.execute("DELETE FROM entries WHERE key = ?", row[:1])
                size = sum(len(blob) for blob in row[3:7] if blob is not None)
                marks = ", ".join("?" * (len(row) + 1))
                database.execute(f"INSERT INTO entries ({_COLUMNS}, bytes) VALUES ({marks})", (*row, size))
            self._evict(database)

    def _evict(self, database: sqlite3.Connection) -> None:
        count, size = database.execute("SELECT entries, bytes FROM totals").fetchone()
        if count > self._most:
            database.execute(
                "DELETE FROM entries WHERE id IN (SELECT id FROM entries ORDER BY id LIMIT ?)",
                (count - self._most,),
            )
            count, size = database.execute("SELECT entries, bytes FROM totals").fetchone()
        while size > self._most_bytes and count:
            database.execute("DELETE FROM entries WHERE id = (SELECT MIN(id) FROM entries)")
            count, size = database.execute("SELECT entries, bytes FROM totals").fetchone()

    @contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        # A connection for each call, for threads come and go with requests. Opening one takes a tenth of a millisecond;
        # with a write-ahead log, which the last to close has to clear away, it would take five times as long.
        with closing(sqlite3.connect(self._path, timeout=2, isolation_level=None)) as database:
            database.execute("PRAGMA synchronous = OFF")
            if database.execute("PRAGMA user_version").fetchone()[0] != _LAYOUT:
                with self._lock:
                    self._create(database)
            yield database

    def _create(self, database: sqlite3.Connection) -> None:
        database.execute("BEGIN IMMEDIATE")
        if database.execute("PRAGMA user_version").fetchone()[0] != _LAYOUT:
            for table in ("entries", "totals"):
                database.execute(f"DROP TABLE IF EXISTS {table}")
            for statement in _statements(_SCHEMA):
                database.execute(statement)
            database.execute(f"PRAGMA user_version = {_LAYOUT}")
        database.execute("COMMIT")

    @contextmanager
    def _trouble_costs_time(self) -> Iterator[None]:
        """Go on without the cache where its file fails, and say so once; a damaged file is removed."""
        try:
            yield
        except sqlite3.Error as error:
            if not self._told:
                LOG.warning("the embedding cache cannot be used: %s: %s", self._path, error)
                self._told = True
            if getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGE:
                self._remove()

    def _remove(self) -> None:
        with self._lock:
            for suffix in ("", "-journal"):
                with suppress(OSError):
                    self._path.with_name(f"{self._path.name}{suffix}").unlink(missing_ok=True)


def _statements(script: str) -> Iterator[str]:
    """Yield the statements of a script one by one: `executescript` would end the transaction."""
    statement = ""
    for line in script.strip().splitlines():
        statement += f"{line}\n"
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _key(fingerprint: str, text: str) -> bytes:
    return hashlib.sha256(f"{fingerprint}\0{text}".encode("utf-8", "surrogatepass")).digest()


def _row(key: bytes, embedding: Embedding) -> _Row:
    blobs = (
        _bytes(embedding.dense, _FLOAT),
        _bytes(embedding.sparse_ids, _INT),
        _bytes(embedding.sparse_weights, _FLOAT),
        _bytes(embedding.colbert, _FLOAT),
    )
    width = 0 if embedding.colbert is None else int(embedding.colbert.shape[1])
    return (key, embedding.tokens, int(embedding.cut), *blobs, width, _checksum(key, blobs))


def _embedding(row: _Row, outputs: frozenset[Output]) -> Embedding | None:
    """Return what a row holds; None where an output is lacking or the numbers are not those that were written."""
    key, tokens, cut, dense, ids, weights, colbert, width, checksum = row
    held = {"dense": dense, "sparse": ids, "colbert": colbert}
    if any(held[name] is None for name in outputs):
        return None
    if _checksum(key, (dense, ids, weights, colbert)) != checksum:
        return None
    rows = _floats(colbert)
    return Embedding(
        _floats(dense),
        None if ids is None else np.frombuffer(ids, _INT).astype(np.int32),
        _floats(weights),
        None if rows is None else rows.reshape(-1, width),
        tokens,
        bool(cut),
    )


def _floats(blob: bytes | None) -> NDArray[np.float32] | None:
    # A copy in the machine's own order: what comes out may be written to.
    return None if blob is None else np.frombuffer(blob, _FLOAT).astype(np.float32)


def _bytes(
    values: NDArray[np.float32] | NDArray[np.int32] | None, kind: np.dtype[np.generic]
) -> bytes | None:
    return None if values is None else np.ascontiguousarray(values, kind).tobytes()


def _checksum(key: bytes, blobs: Sequence[bytes | None]) -> int:
    value = zlib.crc32(key)
    for blob in blobs:
        value = zlib.crc32(b"-" if blob is None else blob, value)
    return value
