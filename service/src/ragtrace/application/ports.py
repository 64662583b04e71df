"""Ports: what the use cases need from outside, as protocols. Twins live in `ragtrace.testing`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from ragtrace.domain.answers import AnswerPiece, Passage, Question
from ragtrace.domain.chunks import Chunk
from ragtrace.domain.documents import Document, ParsedDocument
from ragtrace.text import Text


class Clock(Protocol):
    """The time."""

    def now(self) -> datetime:
        """Return the time with its zone."""
        ...


class DocumentParser(Protocol):
    """Reads one family of file formats."""

    @property
    def suffixes(self) -> frozenset[str]:
        """Return the file name endings it reads, lower case, with the dot."""
        ...

    def parse(self, data: bytes, path: str) -> ParsedDocument:
        """Return what the file says. Raises `ParseProblem` when it is not what its name claims."""
        ...


class LexicalAnalyzer(Protocol):
    """Turns text into the terms that are searched for."""

    @property
    def fingerprint(self) -> str:
        """Name analyzer, model and rules; an index made under another name is made anew."""
        ...

    def load(self) -> None:
        """Load the model now; without it, the first call does."""
        ...

    def analyze(self, texts: Sequence[str]) -> list[tuple[str, ...]]:
        """Return the terms of each text, in order, repetitions kept."""
        ...

    def question_terms(self, text: str) -> tuple[str, ...]:
        """Return the terms of a question without the words that only ask."""
        ...


@dataclass(frozen=True)
class IndexEntry:
    """A chunk as the index takes it: ids and terms."""

    document_id: str
    chunk_id: str
    heading: tuple[str, ...]
    body: tuple[str, ...]


@dataclass(frozen=True)
class IndexMark:
    """What an index holds: the changes of the records up to `sequence`, analyzed by `analyzer`.

    While it is being rebuilt its sequence is -1; then it holds the documents up to the id `through`, as they were when
    the records stood at `toward`.
    """

    sequence: int
    analyzer: str
    records: str
    through: str = ""
    toward: int = -1


@dataclass(frozen=True)
class Hit:
    """A chunk found, with its score."""

    chunk_id: str
    score: float


class LexicalIndex(Protocol):
    """A BM25 index over terms, changed by whole commits."""

    def mark(self) -> IndexMark | None:
        """Return the mark of the last commit; None when there is none."""
        ...

    def update(self, removed: Iterable[str], added: Iterable[IndexEntry], mark: IndexMark) -> None:
        """Remove the chunks of documents, add chunks and set the mark, in one commit."""
        ...

    def clear(self) -> None:
        """Make the index empty and unmarked."""
        ...

    def size(self) -> int:
        """Return the number of chunks."""
        ...

    def chunk_ids(self) -> Iterator[str]:
        """Yield the id of every chunk, in no order."""
        ...

    def frequencies(self, terms: Sequence[str]) -> dict[str, int]:
        """Return in how many chunks each term stands."""
        ...

    def search(self, terms: Mapping[str, float], limit: int) -> list[Hit]:
        """Return the best chunks, best first."""
        ...


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


class Records(Protocol):
    """The truth about documents and chunks."""

    def known(self, source: str) -> dict[str, Document]:
        """Return the documents of a source by path."""
        ...

    def apply(self, stored: Sequence[StoredDocument], removed: Sequence[str]) -> int:
        """Replace and remove documents in one transaction, note them as pending, return the new sequence."""
        ...

    def state(self) -> RecordsState:
        """Return where the records stand."""
        ...

    def settle(self, sequence: int) -> None:
        """Forget pending documents up to `sequence`: the index shows them."""
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


@dataclass(frozen=True)
class FoundFile:
    """A file met in a source: something to read, or why it is not read."""

    path: str
    problem: Text | None = None
    ignored: bool = False


class DocumentSource(Protocol):
    """A tree of files."""

    @property
    def name(self) -> str:
        """Return the name its documents are kept under."""
        ...

    def files(self, suffixes: frozenset[str]) -> Iterator[FoundFile]:
        """Yield every file, sorted by path."""
        ...

    def read(self, path: str) -> bytes:
        """Return a file's bytes. Raises `ParseProblem` or `AccessProblem`."""
        ...


class LanguageModel(Protocol):
    """Answers questions from passages."""

    @property
    def name(self) -> str:
        """Return its name for people."""
        ...

    @property
    def answers_alone(self) -> bool:
        """Say whether it can answer without passages."""
        ...

    def load(self) -> None:
        """Load what it needs now."""
        ...

    def answer(self, question: Question, passages: Sequence[Passage]) -> Iterator[AnswerPiece]:
        """Yield the answer piece by piece; nothing at all when the passages do not support one."""
        ...
