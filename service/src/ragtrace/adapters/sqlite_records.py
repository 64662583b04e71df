"""Records in SQLite (write-ahead log), through SQLAlchemy Core."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, delete, event, func, inspect, select, tuple_, update
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.exc import SQLAlchemyError

from ragtrace.adapters.sqlite_rows import chunk_of, chunk_row, passage_of, refused_file, refused_row
from ragtrace.adapters.sqlite_schema import (
    CHANGES,
    CHUNKS,
    DOCUMENTS,
    META,
    MIGRATIONS,
    PENDING,
    REFUSED,
    schema_of,
    upgrade,
)
from ragtrace.application.ports import RecordsState, RefusedFile, StoredDocument
from ragtrace.domain.answers import Passage
from ragtrace.domain.chunks import Chunk
from ragtrace.domain.documents import Document
from ragtrace.errors import FormatProblem, StorageProblem
from ragtrace.limits import SQL_PARAMETERS
from ragtrace.text import Text

# "Damaged" and "not a database": sqlite3.h, result codes.
DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


class SqliteRecords:
    """One database file; safe for several processes, each write is one transaction on disk."""

    def __init__(self, path: Path) -> None:
        """Open or create the database. Raises `StorageProblem`, also where its schema is not this release's."""
        self._path = path
        self._engine = _engine(path)
        with translated(self._path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._prepare()

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    def known(self, source: str) -> dict[str, Document]:
        """Return the documents of a source by path."""
        with self._read() as connection:
            rows = connection.execute(select(DOCUMENTS).where(DOCUMENTS.c.source == source))
            return {row.path: Document(**row._mapping) for row in rows}

    def apply(self, stored: Sequence[StoredDocument], removed: Sequence[str]) -> int:
        """Replace and remove documents in one transaction, note them as pending, return the new sequence."""
        with self._write() as connection:
            sequence = int(_meta(connection, "sequence")) + 1
            _set_meta(connection, "sequence", str(sequence))
            touched = [*removed, *(one.document.id for one in stored)]
            for ids in _slices(touched):
                connection.execute(delete(CHUNKS).where(CHUNKS.c.document_id.in_(ids)))
                connection.execute(delete(DOCUMENTS).where(DOCUMENTS.c.id.in_(ids)))
                connection.execute(delete(REFUSED).where(REFUSED.c.document_id.in_(ids)))
                for table in (PENDING, CHANGES):
                    notes = insert(table).values([{"document_id": key, "sequence": sequence} for key in ids])
                    connection.execute(
                        notes.on_conflict_do_update(
                            index_elements=["document_id"], set_={"sequence": sequence}
                        )
                    )
            if stored:
                connection.execute(DOCUMENTS.insert(), [asdict(one.document) for one in stored])
            rows = [chunk_row(chunk) for one in stored for chunk in one.chunks]
            if rows:
                connection.execute(CHUNKS.insert(), rows)
            return sequence

    def changes(self, after: int, through: str, limit: int) -> list[tuple[int, str]]:
        """Return the last change of each document after a place of the journal, in order."""
        place = (CHANGES.c.sequence, CHANGES.c.document_id)
        query = select(*place).where(tuple_(*place) > tuple_(after, through)).order_by(*place).limit(limit)
        with self._read() as connection:
            return [(int(row.sequence), str(row.document_id)) for row in connection.execute(query)]

    def refuse(self, refused: Sequence[RefusedFile], forgotten: Sequence[str]) -> None:
        """Note files that were refused, and forget others."""
        with self._write() as connection:
            for ids in _slices([*forgotten, *(one.document_id for one in refused)]):
                connection.execute(delete(REFUSED).where(REFUSED.c.document_id.in_(ids)))
            if refused:
                connection.execute(REFUSED.insert(), [refused_row(one) for one in refused])

    def refused(self, source: str | None = None) -> list[RefusedFile]:
        """Return the refused files of one source, or of all, by source and path."""
        query = select(REFUSED).order_by(REFUSED.c.source, REFUSED.c.path)
        if source is not None:
            query = query.where(REFUSED.c.source == source)
        with self._read() as connection:
            return [refused_file(row._mapping) for row in connection.execute(query)]

    def state(self) -> RecordsState:
        """Return where the records stand."""
        with self._read() as connection:
            pending = connection.execute(
                select(PENDING.c.document_id).order_by(PENDING.c.document_id)
            ).scalars()
            return RecordsState(
                records=_meta(connection, "records"),
                sequence=int(_meta(connection, "sequence")),
                settled=int(_meta(connection, "settled")),
                pending=tuple(pending),
            )

    def settle(self, sequence: int) -> None:
        """Forget pending documents up to `sequence`."""
        with self._write() as connection:
            connection.execute(delete(PENDING).where(PENDING.c.sequence <= sequence))
            _set_meta(connection, "settled", str(sequence))

    def load(self, document_ids: Sequence[str]) -> list[StoredDocument]:
        """Return those documents that exist, with chunks in order."""
        documents: dict[str, Document] = {}
        chunks: dict[str, list[Chunk]] = {}
        with self._read() as connection:
            for ids in _slices(document_ids):
                for row in connection.execute(select(DOCUMENTS).where(DOCUMENTS.c.id.in_(ids))):
                    documents[row.id] = Document(**row._mapping)
                query = select(CHUNKS).where(CHUNKS.c.document_id.in_(ids)).order_by(CHUNKS.c.position)
                for row in connection.execute(query):
                    chunks.setdefault(row.document_id, []).append(chunk_of(row._mapping))
        ordered = (documents[key] for key in document_ids if key in documents)
        return [StoredDocument(document, tuple(chunks.get(document.id, ()))) for document in ordered]

    def document_ids(self) -> list[str]:
        """Return the ids of all documents."""
        with self._read() as connection:
            return list(connection.execute(select(DOCUMENTS.c.id).order_by(DOCUMENTS.c.id)).scalars())

    def documents(self, limit: int | None = None) -> list[Document]:
        """Return documents by source and path."""
        query = select(DOCUMENTS).order_by(DOCUMENTS.c.source, DOCUMENTS.c.path).limit(limit)
        with self._read() as connection:
            return [Document(**row._mapping) for row in connection.execute(query)]

    def chunk_ids(self) -> Iterator[str]:
        """Yield the ids of all chunks."""
        with self._read() as connection:
            rows = connection.execution_options(yield_per=10_000).execute(select(CHUNKS.c.id))
            yield from rows.scalars()

    def passages(self, chunk_ids: Sequence[str]) -> dict[str, Passage]:
        """Return what is known about chunks."""
        joined = CHUNKS.join(DOCUMENTS, CHUNKS.c.document_id == DOCUMENTS.c.id)
        query = select(
            CHUNKS,
            DOCUMENTS.c.path,
            DOCUMENTS.c.title,
            DOCUMENTS.c.date,
            DOCUMENTS.c.group,
        ).select_from(joined)
        found: dict[str, Passage] = {}
        with self._read() as connection:
            for ids in _slices(chunk_ids):
                for row in connection.execute(query.where(CHUNKS.c.id.in_(ids))):
                    found[row.id] = passage_of(row._mapping)
        return found

    def counts(self) -> tuple[int, int]:
        """Return the numbers of documents and chunks."""
        with self._read() as connection:
            documents = connection.execute(select(func.count()).select_from(DOCUMENTS)).scalar_one()
            chunks = connection.execute(
                select(func.coalesce(func.sum(DOCUMENTS.c.chunk_count), 0))
            ).scalar_one()
        return int(documents), int(chunks)

    def _prepare(self) -> None:
        """Create the tables in a new database; one that has them must have this release's. Only `ragtrace migrate`
        changes a schema, as part of the data's format (`data_format`)."""
        newest = len(MIGRATIONS)
        with self._engine.begin() as connection:
            exists = inspect(connection).has_table("meta")
            version = schema_of(connection) if exists else newest
            if version != newest:
                raise FormatProblem(
                    Text(
                        f"기록의 스키마 {version}은(는) 이 판의 {newest}이(가) 아닙니다.",
                        f"The records have schema {version}, this release has {newest}.",
                    ),
                    where=str(self._path),
                    state=Text("아무것도 바뀌지 않았습니다.", "Nothing was changed."),
                    hint=Text(
                        "기록을 만든 판을 설치하거나 백업을 되돌리십시오.",
                        "Install the release that made them, or restore the backup.",
                    ),
                )
            if not exists:
                upgrade(connection, newest)

    @contextmanager
    def _read(self) -> Iterator[Connection]:
        with translated(self._path), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def _write(self) -> Iterator[Connection]:
        with translated(self._path), self._engine.begin() as connection:
            yield connection


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn the database's errors into `StorageProblem`."""
    try:
        yield
    except (SQLAlchemyError, OSError) as error:
        cause = getattr(error, "orig", None) or error
        if getattr(cause, "sqlite_errorcode", 0) & 0xFF in DAMAGE:
            raise StorageProblem(
                Text("기록 데이터베이스가 손상되었습니다.", "The records database is damaged."),
                where=f"{path}: {cause}",
                state=Text("아무것도 고치거나 지우지 않았습니다.", "Nothing was mended or removed."),
                hint=Text(
                    "스냅숏이나 백업을 되돌리십시오: install.py --rollback --restore-data",
                    "Put a snapshot or backup back: install.py --rollback --restore-data",
                ),
            ) from error
        raise StorageProblem(
            Text("기록 데이터베이스를 쓸 수 없습니다.", "The records database cannot be used."),
            where=f"{path}: {cause}",
            hint=Text("권한과 디스크 공간을 확인하십시오.", "Check permissions and disk space."),
        ) from error


def migrate_schema(path: Path, version: int) -> bool:
    """Bring the database at `path` to this version of the schema in one transaction; say whether it was older.

    For `data_format` alone, with the write lock held. A kill leaves the schema before or after.

    Raises:
        StorageProblem: it cannot be opened, read or written.
    """
    engine = _engine(path)
    try:
        with translated(path), engine.begin() as connection:
            return upgrade(connection, version)
    finally:
        engine.dispose()


def _engine(path: Path) -> Engine:
    engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": 30})
    event.listen(engine, "connect", _pragmas)
    event.listen(engine, "begin", _begin)
    return engine


def _pragmas(connection: sqlite3.Connection, _record: object) -> None:
    """Set up a connection. FULL makes a commit survive a power cut, so the index is never ahead of the records."""
    # Transactions are begun by `_begin`; the driver's own guessing would leave DDL outside of them.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=30000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")


def _meta(connection: Connection, key: str) -> str:
    return str(connection.execute(select(META.c.value).where(META.c.key == key)).scalar_one())


def _set_meta(connection: Connection, key: str, value: str) -> None:
    connection.execute(update(META).where(META.c.key == key).values(value=value))


def _slices(values: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(values), SQL_PARAMETERS):
        yield values[start : start + SQL_PARAMETERS]
