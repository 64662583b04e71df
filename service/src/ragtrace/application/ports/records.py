"""Port of the records: the truth about documents and chunks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from ragtrace.domain.answers import Passage
from ragtrace.domain.chunks import Chunk
from ragtrace.domain.documents import Document
from ragtrace.text import Text


@dataclass(frozen=True)
class StoredDocument:
    """A document together with its chunks, as one change of the records."""

    document: Document
    chunks: tuple[Chunk, ...]


@dataclass(frozen=True)
class RecordsState:
    """Where the records stand: their own id, the last change, and documents the index may not show yet.

    The index has shown every change up to `settled`; an index marked earlier is an old copy.
    """

    records: str
    sequence: int
    settled: int
    pending: tuple[str, ...]


@dataclass(frozen=True)
class RefusedFile:
    """A file whose content was refused: `status` is `failed` or `skipped`, or `partial` beside the document where some of
    it could not be read. While its bytes and the recipe are the same, reading it again would end the same. `mtime_ns` is
    0 where the source has no times.
    """

    document_id: str
    source: str
    path: str
    status: str
    size: int
    mtime_ns: int
    sha256: str
    recipe: str
    reason: Text
    at: str


class Records(Protocol):
    """The truth about documents and chunks."""

    def known(self, source: str) -> dict[str, Document]:
        """Return the documents of a source by path."""
        ...

    def apply(self, stored: Sequence[StoredDocument], removed: Sequence[str]) -> int:
        """Replace and remove documents in one transaction, note them as pending and in the journal, return the new
        sequence. What was refused of the same files before is forgotten.
        """
        ...

    def refuse(self, refused: Sequence[RefusedFile], forgotten: Sequence[str]) -> None:
        """Note files that were refused, and forget those with the ids `forgotten`; documents are not touched."""
        ...

    def refused(self, source: str | None = None) -> list[RefusedFile]:
        """Return the refused files of one source, or of all, by source and path."""
        ...

    def state(self) -> RecordsState:
        """Return where the records stand."""
        ...

    def settle(self, sequence: int) -> None:
        """Forget pending documents up to `sequence`: the index shows them."""
        ...

    def changes(self, after: int, through: str, limit: int) -> list[tuple[int, str]]:
        """Return the latest change of each document ever kept, removed ones included, as (sequence, document id).

        In that order, those greater than `(after, through)`, at most `limit`.
        """
        ...

    def load(self, document_ids: Sequence[str]) -> list[StoredDocument]:
        """Return those documents that exist, with chunks in order."""
        ...

    def document_ids(self) -> list[str]:
        """Return the ids of all documents."""
        ...

    def documents(self, limit: int | None = None) -> list[Document]:
        """Return documents by source and path."""
        ...

    def chunk_ids(self) -> Iterator[str]:
        """Yield the id of every chunk, in no order."""
        ...

    def passages(self, chunk_ids: Sequence[str]) -> dict[str, Passage]:
        """Return what is known about chunks; unknown ids are absent."""
        ...

    def counts(self) -> tuple[int, int]:
        """Return the numbers of documents and chunks."""
        ...
