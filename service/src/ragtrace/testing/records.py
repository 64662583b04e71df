"""In-memory twin of the records."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ragtrace.application.ports import RecordsState, RefusedFile, StoredDocument
from ragtrace.domain.answers import Passage
from ragtrace.domain.documents import Document


class MemoryRecords:
    """Documents and chunks in dictionaries."""

    def __init__(self) -> None:
        self._stored: dict[str, StoredDocument] = {}
        self._pending: dict[str, int] = {}
        self._changes: dict[str, int] = {}
        self._refused: dict[str, RefusedFile] = {}
        self._sequence = 0
        self._settled = 0

    def known(self, source: str) -> dict[str, Document]:
        """Return the documents of a source by path."""
        return {each.path: each for each in self.documents() if each.source == source}

    def apply(self, stored: Sequence[StoredDocument], removed: Sequence[str]) -> int:
        """Replace and remove documents, note them as pending and in the journal, return the new sequence."""
        self._sequence += 1
        for key in removed:
            self._stored.pop(key, None)
        for one in stored:
            self._stored[one.document.id] = one
        for key in (*removed, *(one.document.id for one in stored)):
            self._pending[key] = self._changes[key] = self._sequence
            self._refused.pop(key, None)
        return self._sequence

    def changes(self, after: int, through: str, limit: int) -> list[tuple[int, str]]:
        """Return the last change of each document after a place of the journal, in order."""
        places = sorted((sequence, key) for key, sequence in self._changes.items())
        return [place for place in places if place > (after, through)][:limit]

    def refuse(self, refused: Sequence[RefusedFile], forgotten: Sequence[str]) -> None:
        """Note files that were refused, and forget others."""
        for key in forgotten:
            self._refused.pop(key, None)
        self._refused.update({one.document_id: one for one in refused})

    def refused(self, source: str | None = None) -> list[RefusedFile]:
        """Return the refused files of one source, or of all, by source and path."""
        found = (one for one in self._refused.values() if source in (None, one.source))
        return sorted(found, key=lambda one: (one.source, one.path))

    def state(self) -> RecordsState:
        """Return where the records stand."""
        return RecordsState("memory", self._sequence, self._settled, tuple(sorted(self._pending)))

    def settle(self, sequence: int) -> None:
        """Forget pending documents up to `sequence`."""
        self._pending = {key: number for key, number in self._pending.items() if number > sequence}
        self._settled = sequence

    def load(self, document_ids: Sequence[str]) -> list[StoredDocument]:
        """Return those documents that exist."""
        return [self._stored[key] for key in document_ids if key in self._stored]

    def document_ids(self) -> list[str]:
        """Return the ids of all documents."""
        return sorted(self._stored)

    def documents(self, limit: int | None = None) -> list[Document]:
        """Return documents by source and path."""
        found = (one.document for one in self._stored.values())
        return sorted(found, key=lambda each: (each.source, each.path))[:limit]

    def chunk_ids(self) -> Iterator[str]:
        """Yield the id of every chunk."""
        for one in self._stored.values():
            yield from (chunk.id for chunk in one.chunks)

    def passages(self, chunk_ids: Sequence[str]) -> dict[str, Passage]:
        """Return what is known about chunks."""
        wished = set(chunk_ids)
        return {
            chunk.id: Passage(
                chunk_id=chunk.id,
                document_id=one.document.id,
                path=one.document.path,
                title=one.document.title,
                section=chunk.section,
                text=chunk.text,
                date=one.document.date,
                page=chunk.page,
                group=one.document.group,
            )
            for one in self._stored.values()
            for chunk in one.chunks
            if chunk.id in wished
        }

    def counts(self) -> tuple[int, int]:
        """Return the numbers of documents and chunks."""
        return len(self._stored), sum(len(one.chunks) for one in self._stored.values())
