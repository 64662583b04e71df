"""Ports of lexical search: an analyzer makes terms, an index finds them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from ragtrace.domain.scope import EVERYTHING, Scope


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
    """A chunk as the index takes it: ids, terms, and what a scope asks for (ISO day or "", group or "")."""

    document_id: str
    chunk_id: str
    heading: tuple[str, ...]
    body: tuple[str, ...]
    date: str = ""
    group: str = ""


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

    def search(self, terms: Mapping[str, float], limit: int, scope: Scope = EVERYTHING) -> list[Hit]:
        """Return the best chunks inside `scope`, best first."""
        ...

    def count(self, scope: Scope) -> int:
        """Return the number of chunks inside `scope`."""
        ...
