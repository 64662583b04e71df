"""Use case: take the documents of a folder in, once or again."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from ragtrace.application.ports import (
    Clock,
    DocumentParser,
    DocumentSource,
    FoundFile,
    IndexMark,
    LexicalAnalyzer,
    LexicalIndex,
    Records,
    StoredDocument,
)
from ragtrace.application.reconcile import bring_in_step, index_entries
from ragtrace.domain.chunks import ChunkRules, chunk_document
from ragtrace.domain.documents import Document, document_id, find_date
from ragtrace.errors import AccessProblem, ParseProblem
from ragtrace.limits import BATCH_CHUNKS
from ragtrace.text import Text

PARSER_VERSION = 1
Status = Literal["added", "updated", "unchanged", "skipped", "failed", "removed"]


@dataclass(frozen=True)
class FileOutcome:
    """What became of one file, and why where it was not taken in."""

    path: str
    status: Status
    reason: Text | None = None
    chunks: int = 0


@dataclass
class IngestReport:
    """Every file's outcome."""

    source: str
    outcomes: list[FileOutcome] = field(default_factory=list)

    def count(self, status: Status) -> int:
        """Return how many files ended so."""
        return sum(outcome.status == status for outcome in self.outcomes)

    @property
    def failed(self) -> bool:
        """Say whether any file could not be taken in."""
        return any(outcome.status == "failed" for outcome in self.outcomes)


@dataclass(frozen=True)
class Ingest:
    """The use case with everything it needs. Call `run` with the write lock held."""

    records: Records
    index: LexicalIndex
    analyzer: LexicalAnalyzer
    parsers: tuple[DocumentParser, ...]
    rules: ChunkRules
    clock: Clock
    batch: int = 300

    def run(
        self,
        source: DocumentSource,
        *,
        delete_missing: bool = False,
        progress: Callable[[IngestReport], None] | None = None,
    ) -> IngestReport:
        """Bring records and index to what the source holds now; a file that cannot be read does not stop the rest."""
        bring_in_step(self.records, self.index, self.analyzer)
        report = IngestReport(source.name)
        known = self.records.known(source.name)
        met: set[str] = set()
        waiting: list[StoredDocument] = []
        for found in source.files(self._suffixes()):
            met.add(found.path)
            outcome, stored = self._examine(source, found, known)
            report.outcomes.append(outcome)
            if stored is not None:
                waiting.append(stored)
            if len(waiting) >= self.batch or sum(len(one.chunks) for one in waiting) >= BATCH_CHUNKS:
                self._commit(waiting, [])
                waiting = []
                if progress is not None:
                    progress(report)
        gone = sorted(set(known) - met) if delete_missing else []
        report.outcomes += [FileOutcome(path, "removed") for path in gone]
        if waiting or gone:
            self._commit(waiting, [known[path].id for path in gone])
        if progress is not None:
            progress(report)
        return report

    def _suffixes(self) -> frozenset[str]:
        return frozenset().union(*(parser.suffixes for parser in self.parsers))

    def _examine(
        self, source: DocumentSource, found: FoundFile, known: Mapping[str, Document]
    ) -> tuple[FileOutcome, StoredDocument | None]:
        if found.problem is not None:
            return FileOutcome(found.path, "skipped" if found.ignored else "failed", found.problem), None
        before = known.get(found.path)
        try:
            data = source.read(found.path)
            digest = hashlib.sha256(data).hexdigest()
            if before is not None and (before.sha256, before.recipe) == (digest, self._recipe()):
                return FileOutcome(found.path, "unchanged"), None
            stored = self._store(source.name, found.path, data, digest)
        except (ParseProblem, AccessProblem) as problem:
            return FileOutcome(found.path, "failed", problem.summary), None
        if not stored.chunks and before is None:
            return FileOutcome(found.path, "skipped", Text("글이 없습니다.", "It holds no text.")), None
        status: Status = "added" if before is None else "updated"
        return FileOutcome(found.path, status, chunks=len(stored.chunks)), stored

    def _recipe(self) -> str:
        return f"p{PARSER_VERSION}-{self.rules.recipe}"

    def _store(self, source: str, path: str, data: bytes, digest: str) -> StoredDocument:
        parser = next(parser for parser in self.parsers if _suffix(path) in parser.suffixes)
        parsed = parser.parse(data, path)
        identity = document_id(source, path)
        chunks = chunk_document(identity, parsed, self.rules)
        day = parsed.date or find_date(path.rpartition("/")[2])
        document = Document(
            id=identity,
            source=source,
            path=path,
            title=parsed.title,
            date=day,
            sha256=digest,
            size=len(data),
            recipe=self._recipe(),
            chunk_count=len(chunks),
            updated_at=self.clock.now().isoformat(timespec="seconds"),
        )
        return StoredDocument(document, chunks)

    def _commit(self, stored: list[StoredDocument], removed: list[str]) -> None:
        sequence = self.records.apply(stored, removed)
        mark = IndexMark(sequence, self.analyzer.fingerprint, self.records.state().records)
        touched = [*removed, *(one.document.id for one in stored)]
        self.index.update(touched, index_entries(stored, self.analyzer), mark)
        self.records.settle(sequence)


def _suffix(path: str) -> str:
    name = path.rpartition("/")[2]
    stem, dot, ending = name.rpartition(".")
    return f".{ending.lower()}" if dot and stem else ""


def wanted(path: str, suffixes: frozenset[str]) -> bool:
    """Say whether a file's name ends in one of `suffixes`."""
    return _suffix(path) in suffixes


def summarize(report: IngestReport) -> Iterator[tuple[Status, int]]:
    """Yield the number of files for every status."""
    statuses: tuple[Status, ...] = ("added", "updated", "unchanged", "removed", "skipped", "failed")
    for status in statuses:
        yield status, report.count(status)
