"""Tables of the records, and the list of migrations that leads to them."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence

from sqlalchemy import (
    Column,
    Connection,
    ForeignKey,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    inspect,
    select,
)

METADATA = MetaData()

META = Table(
    "meta", METADATA, Column("key", String, primary_key=True), Column("value", String, nullable=False)
)

DOCUMENTS = Table(
    "documents",
    METADATA,
    Column("id", String, primary_key=True),
    Column("source", String, nullable=False),
    Column("path", String, nullable=False),
    Column("title", String, nullable=False),
    Column("date", String, nullable=False),
    Column("sha256", String, nullable=False),
    Column("size", Integer, nullable=False),
    Column("recipe", String, nullable=False),
    Column("chunk_count", Integer, nullable=False),
    Column("updated_at", String, nullable=False),
    Column("group", String, nullable=False, server_default=""),
    UniqueConstraint("source", "path"),
)

CHUNKS = Table(
    "chunks",
    METADATA,
    Column("id", String, primary_key=True),
    Column("document_id", ForeignKey("documents.id", ondelete="CASCADE"), nullable=False),
    Column("position", Integer, nullable=False),
    Column("section", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("page", Integer, nullable=False, server_default="0"),
)

# Documents the index may not show yet; see application/reconcile.py.
PENDING = Table(
    "pending",
    METADATA,
    Column("document_id", String, primary_key=True),
    Column("sequence", Integer, nullable=False),
)

# The last change of every document there is or was: an index that follows the records reads on from where it is.
CHANGES = Table(
    "changes",
    METADATA,
    Column("document_id", String, primary_key=True),
    Column("sequence", Integer, nullable=False),
)

# Files that could not be taken in, or hold nothing; unchanged ones are not tried again.
REFUSED = Table(
    "refused",
    METADATA,
    Column("document_id", String, primary_key=True),
    Column("source", String, nullable=False),
    Column("path", String, nullable=False),
    Column("status", String, nullable=False),
    Column("size", Integer, nullable=False),
    Column("mtime_ns", Integer, nullable=False),
    Column("sha256", String, nullable=False),
    Column("recipe", String, nullable=False),
    Column("reason_ko", Text, nullable=False),
    Column("reason_en", Text, nullable=False),
    Column("at", String, nullable=False),
)

# Written out, and not made from the tables above: those are of the newest version, and this one is published.
_TABLES_1 = (
    "CREATE TABLE meta (key VARCHAR NOT NULL PRIMARY KEY, value VARCHAR NOT NULL)",
    """CREATE TABLE documents (
        id VARCHAR NOT NULL PRIMARY KEY, source VARCHAR NOT NULL, path VARCHAR NOT NULL, title VARCHAR NOT NULL,
        date VARCHAR NOT NULL, sha256 VARCHAR NOT NULL, size INTEGER NOT NULL, recipe VARCHAR NOT NULL,
        chunk_count INTEGER NOT NULL, updated_at VARCHAR NOT NULL, UNIQUE (source, path))""",
    """CREATE TABLE chunks (
        id VARCHAR NOT NULL PRIMARY KEY, document_id VARCHAR NOT NULL REFERENCES documents (id) ON DELETE CASCADE,
        position INTEGER NOT NULL, section TEXT NOT NULL, text TEXT NOT NULL)""",
    "CREATE INDEX chunks_by_document ON chunks (document_id, position)",
    "CREATE TABLE pending (document_id VARCHAR NOT NULL PRIMARY KEY, sequence INTEGER NOT NULL)",
)
_CHANGES_2 = (
    """ALTER TABLE documents ADD COLUMN "group" VARCHAR NOT NULL DEFAULT ''""",
    "ALTER TABLE chunks ADD COLUMN page INTEGER NOT NULL DEFAULT 0",
    "CREATE TABLE changes (document_id VARCHAR NOT NULL PRIMARY KEY, sequence INTEGER NOT NULL)",
    "CREATE INDEX changes_in_order ON changes (sequence, document_id)",
    """INSERT INTO changes (document_id, sequence)
        SELECT id, (SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'sequence') FROM documents""",
    """CREATE TABLE refused (
        document_id VARCHAR NOT NULL PRIMARY KEY, source VARCHAR NOT NULL, path VARCHAR NOT NULL,
        status VARCHAR NOT NULL, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, sha256 VARCHAR NOT NULL,
        recipe VARCHAR NOT NULL, reason_ko TEXT NOT NULL, reason_en TEXT NOT NULL, at VARCHAR NOT NULL)""",
    "CREATE INDEX refused_by_source ON refused (source)",
)


def _first(connection: Connection) -> None:
    for statement in _TABLES_1:
        connection.exec_driver_sql(statement)
    values = {"records": uuid.uuid4().hex, "sequence": "0", "settled": "0", "schema": "0"}
    connection.execute(META.insert(), [{"key": key, "value": value} for key, value in values.items()])


def _second(connection: Connection) -> None:
    """Groups of documents, pages of chunks, the journal of changes, refused files."""
    for statement in _CHANGES_2:
        connection.exec_driver_sql(statement)


# Version n is reached by the n-th entry. Entries are only ever added; a published one is never changed.
MIGRATIONS: Sequence[Callable[[Connection], None]] = (_first, _second)


def schema_of(connection: Connection) -> int:
    """Return the version of the schema that the database says it has."""
    return int(connection.execute(select(META.c.value).where(META.c.key == "schema")).scalar_one())


def upgrade(connection: Connection, version: int) -> bool:
    """Carry out every migration up to `version` that this database, perhaps empty, has not seen; say whether any."""
    before = schema_of(connection) if inspect(connection).has_table("meta") else 0
    for migration in MIGRATIONS[before:version]:
        migration(connection)
    if before < version:
        connection.execute(META.update().where(META.c.key == "schema").values(value=str(version)))
    return before < version
