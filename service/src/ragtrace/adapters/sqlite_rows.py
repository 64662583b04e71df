"""Rows of the records' tables, from and to the objects of the domain."""

from __future__ import annotations

import json

from sqlalchemy import RowMapping

from ragtrace.adapters.sqlite_schema import REFUSED
from ragtrace.application.ports import RefusedFile
from ragtrace.domain.answers import Passage
from ragtrace.domain.chunks import Chunk
from ragtrace.text import Text

Row = RowMapping
_REFUSED = tuple(column.name for column in REFUSED.columns)


def chunk_row(chunk: Chunk) -> dict[str, object]:
    """Return a chunk as a row."""
    return {
        "id": chunk.id,
        "document_id": chunk.document_id,
        "position": chunk.position,
        "section": json.dumps(chunk.section, ensure_ascii=False),
        "text": chunk.text,
        "page": chunk.page,
    }


def chunk_of(row: Row) -> Chunk:
    """Return the chunk of a row."""
    section = tuple(json.loads(row["section"]))
    return Chunk(row["id"], row["document_id"], row["position"], section, row["text"], row["page"])


def passage_of(row: Row) -> Passage:
    """Return the chunk of a row that also carries columns of its document."""
    return Passage(
        chunk_id=row["id"],
        document_id=row["document_id"],
        path=row["path"],
        title=row["title"],
        section=tuple(json.loads(row["section"])),
        text=row["text"],
        date=row["date"],
        page=row["page"],
        group=row["group"],
    )


def refused_row(one: RefusedFile) -> dict[str, object]:
    """Return a refused file as a row."""
    row = {name: getattr(one, name) for name in _REFUSED if not name.startswith("reason_")}
    return {**row, "reason_ko": one.reason.ko, "reason_en": one.reason.en}


def refused_file(row: Row) -> RefusedFile:
    """Return the refused file of a row."""
    kept = {name: value for name, value in row.items() if not name.startswith("reason_")}
    return RefusedFile(**kept, reason=Text(row["reason_ko"], row["reason_en"]))
