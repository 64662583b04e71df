"""In-memory twins of the ports, with the same behaviour as the real adapters."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from ragtrace.application.ports import FoundFile, Hit, IndexEntry, IndexMark, never
from ragtrace.application.reading import wanted
from ragtrace.domain.answers import AnswerPiece, Passage, Question
from ragtrace.domain.documents import ParsedDocument, Section
from ragtrace.domain.scope import EVERYTHING, Scope
from ragtrace.errors import AccessProblem, ParseProblem
from ragtrace.testing.records import MemoryRecords as MemoryRecords
from ragtrace.text import Text


@dataclass
class FixedClock:
    """A clock that stands still until it is set."""

    time: datetime = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

    def now(self) -> datetime:
        """Return the set time."""
        return self.time


class WordAnalyzer:
    """Lower-cased words between spaces."""

    fingerprint = "words-1"

    def load(self) -> None:
        """Load nothing."""

    def analyze(self, texts: Sequence[str]) -> list[tuple[str, ...]]:
        """Return the words of each text."""
        return [tuple(text.lower().replace(".", " ").replace("?", " ").split()) for text in texts]

    def question_terms(self, text: str) -> tuple[str, ...]:
        """Return the words of a question."""
        return self.analyze([text])[0]


class LineParser:
    """The first line is the title, the rest the text; "BROKEN" cannot be read."""

    suffixes = frozenset({".txt"})

    def parse(self, data: bytes, path: str) -> ParsedDocument:
        """Return the document. Raises `ParseProblem` for binary data."""
        try:
            title, _, text = data.decode().strip().partition("\n")
        except UnicodeDecodeError as error:
            raise ParseProblem(Text("읽을 수 없습니다.", "It cannot be read.")) from error
        if b"\0" in data or data == b"BROKEN":
            raise ParseProblem(Text("읽을 수 없습니다.", "It cannot be read."))
        return ParsedDocument(title or path, (Section((), text or title),) if title or text else ())


@dataclass
class MemorySource:
    """Files in a dictionary; a value of None may not be read."""

    contents: dict[str, bytes | None] = field(default_factory=dict)
    name: str = "memory"

    def files(self, suffixes: frozenset[str]) -> Iterator[FoundFile]:
        """Yield every file."""
        for path in sorted(self.contents):
            known = wanted(path, suffixes)
            yield FoundFile(path) if known else FoundFile(path, Text("형식", "format"), ignored=True)

    def read(self, path: str) -> bytes:
        """Return a file's bytes."""
        data = self.contents[path]
        if data is None:
            raise AccessProblem(Text("권한이 없습니다.", "It may not be read."), where=path)
        return data


class MemoryIndex:
    """BM25 over a list."""

    def __init__(self) -> None:
        self._entries: list[IndexEntry] = []
        self._mark: IndexMark | None = None

    def mark(self) -> IndexMark | None:
        """Return the mark of the last commit."""
        return self._mark

    def update(self, removed: Iterable[str], added: Iterable[IndexEntry], mark: IndexMark) -> None:
        """Remove, add and mark at once."""
        gone = set(removed)
        self._entries = [*(each for each in self._entries if each.document_id not in gone), *added]
        self._mark = mark

    def clear(self) -> None:
        """Make the index empty and unmarked."""
        self._entries, self._mark = [], None

    def size(self) -> int:
        """Return the number of chunks."""
        return len(self._entries)

    def chunk_ids(self) -> Iterator[str]:
        """Yield the id of every chunk."""
        yield from (each.chunk_id for each in self._entries)

    def frequencies(self, terms: Sequence[str]) -> dict[str, int]:
        """Return in how many chunks each term stands, in text or headings."""
        return {
            term: max(
                sum(term in each.body for each in self._entries),
                sum(term in each.heading for each in self._entries),
            )
            for term in terms
        }

    def search(self, terms: Mapping[str, float], limit: int, scope: Scope = EVERYTHING) -> list[Hit]:
        """Return the best chunks inside `scope`, best first."""
        frequencies = self.frequencies(list(terms))
        inside = (each for each in self._entries if scope.holds(each.date, each.group))
        hits = [Hit(each.chunk_id, self._score(each, terms, frequencies)) for each in inside]
        found = [hit for hit in hits if hit.score > 0]
        return sorted(found, key=lambda hit: (-hit.score, hit.chunk_id))[:limit]

    def count(self, scope: Scope) -> int:
        """Return the number of chunks inside `scope`."""
        return sum(scope.holds(each.date, each.group) for each in self._entries)

    def _score(self, entry: IndexEntry, terms: Mapping[str, float], frequencies: Mapping[str, int]) -> float:
        size = len(self._entries)
        counts = Counter((*entry.body, *entry.heading))
        total = 0.0
        for term, weight in terms.items():
            rarity = math.log(1 + (size - frequencies[term] + 0.5) / (frequencies[term] + 0.5))
            total += weight * rarity * counts[term] * 2.2 / (counts[term] + 1.2)
        return total


@dataclass
class QuotingModel:
    """Answers with the first passage; `failure` is raised after the first piece."""

    name: str = "quoting"
    answers_alone: bool = False
    failure: Exception | None = None

    def load(self) -> None:
        """Load nothing."""

    def answer(
        self, question: Question, passages: Sequence[Passage], cancelled: Callable[[], bool] = never
    ) -> Iterator[AnswerPiece]:
        """Yield the first passage."""
        if passages and question.terms:
            yield AnswerPiece(f"{passages[0].text} [1]", (1,))
        if self.failure is not None:
            raise self.failure
