"""Helpers of the service's tests."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ragtrace.application.analysis import Analyst
from ragtrace.application.ask import Ask
from ragtrace.application.ingest import Ingest
from ragtrace.application.ports import Answerer, IndexEntry, LexicalIndex, Records, StoredDocument
from ragtrace.application.reading import ReadInTurn
from ragtrace.application.retrieve import Retrieve
from ragtrace.domain.chunks import Chunk, ChunkRules, chunk_id
from ragtrace.domain.documents import Document, document_id
from ragtrace.testing.memory import (
    FixedClock,
    LineParser,
    MemoryIndex,
    MemoryRecords,
    QuotingModel,
    WordAnalyzer,
)


def stored(path: str, *texts: str, source: str = "memory") -> StoredDocument:
    """Return a document with one chunk for each text."""
    key = document_id(source, path)
    chunks = tuple(
        Chunk(chunk_id(key, number, text), key, number, ("절",), text) for number, text in enumerate(texts)
    )
    document = Document(key, source, path, "제목", "", "0" * 64, 1, "r", len(chunks), "2026-01-01")
    return StoredDocument(document, chunks)


def entry(document: str, chunk: str, body: str, heading: str = "") -> IndexEntry:
    """Return an index entry of words."""
    return IndexEntry(document, chunk, tuple(heading.split()), tuple(body.split()))


def ingest(records: Records | None = None, index: LexicalIndex | None = None, batch: int = 2) -> Ingest:
    """Return the use case over twins."""
    return Ingest(
        records=records if records is not None else MemoryRecords(),
        index=index if index is not None else MemoryIndex(),
        analyzer=WordAnalyzer(),
        reader=ReadInTurn((LineParser(),)),
        rules=ChunkRules(),
        clock=FixedClock(),
        batch=batch,
    )


def asking(use_case: Ingest, model: Answerer | None = None) -> Ask:
    """Return the question's use case over the same twins."""
    analyzer = use_case.analyzer
    return Ask(
        retriever=Retrieve(use_case.records, use_case.index, analyzer),
        model=model or QuotingModel(),
        analyst=Analyst(analyzer, FixedClock()),
    )


def write(folder: Path, files: Mapping[str, str | bytes]) -> Path:
    """Write files and return the folder."""
    for name, content in files.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder
