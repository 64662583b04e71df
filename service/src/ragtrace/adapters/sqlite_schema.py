"""Tables of the records, and the list of migrations that leads to them."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence

from sqlalchemy import (
    Column,
    Connection,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.schema import CreateIndex, CreateTable

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
)
CHUNKS_BY_DOCUMENT = Index("chunks_by_document", CHUNKS.c.document_id, CHUNKS.c.position)

# Documents the index may not show yet; see application/reconcile.py.
PENDING = Table(
    "pending",
    METADATA,
    Column("document_id", String, primary_key=True),
    Column("sequence", Integer, nullable=False),
)


def _first(connection: Connection) -> None:
    for table in (META, DOCUMENTS, CHUNKS, PENDING):
        connection.execute(CreateTable(table))
    connection.execute(CreateIndex(CHUNKS_BY_DOCUMENT))
    values = {"records": uuid.uuid4().hex, "sequence": "0", "settled": "0", "schema": "0"}
    connection.execute(META.insert(), [{"key": key, "value": value} for key, value in values.items()])


# Version n is reached by the n-th entry. Entries are only ever added; a published one is never changed.
MIGRATIONS: Sequence[Callable[[Connection], None]] = (_first,)
