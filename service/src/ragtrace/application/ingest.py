"""Use case: take the documents of a folder in, once or again."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from ragtrace.application.ports import (
    Clock,
    DocumentReader,
    DocumentSource,
    FileContent,
    FoundFile,
    LexicalAnalyzer,
    LexicalIndex,
    ReadFile,
    Records,
    RefusedFile,
    StoredDocument,
)
from ragtrace.application.reading import hidden_behind
from ragtrace.application.reconcile import bring_in_step, commit_change
from ragtrace.domain.chunks import ChunkRules, chunk_document
from ragtrace.domain.documents import Document, ParsedDocument, document_id, find_date
from ragtrace.errors import AccessProblem, ParseProblem
from ragtrace.limits import BATCH_CHUNKS, PROGRESS_FILES
from ragtrace.text import Text

PARSER_VERSION = 2
Status = Literal["added", "updated", "unchanged", "skipped", "failed", "removed"]
STATUSES: tuple[Status, ...] = ("added", "updated", "unchanged", "removed", "skipped", "failed")
_TAKEN: tuple[Status, ...] = ("added", "updated", "unchanged")
_NO_TEXT = Text("글이 없습니다.", "It holds no text.")
_EMPTY_SOURCE = Text(
    "폴더가 비어 있어 아무 문서도 지우지 않았습니다(연결이 끊긴 폴더일 수 있음).",
    "The folder is empty, so no document was removed; it may be a drive that is not mounted.",
)


@dataclass(frozen=True)
class FileOutcome:
    """What became of one file, and why where it was not taken in, or not all of it. `seconds` is what parsing took."""

    path: str
    status: Status
    reason: Text | None = None
    chunks: int = 0
    size: int = 0
    seconds: float = 0.0


@dataclass
class IngestReport:
    """Every file's outcome; `total` is the number of files that were met."""

    source: str
    total: int = 0
    outcomes: list[FileOutcome] = field(default_factory=list)
    _counts: Counter[Status] = field(default_factory=Counter)

    def add(self, outcome: FileOutcome) -> None:
        """Add a file's outcome."""
        self.outcomes.append(outcome)
        self._counts[outcome.status] += 1

    def count(self, status: Status) -> int:
        """Return how many files ended so."""
        return self._counts[status]

    @property
    def failed(self) -> bool:
        """Say whether any file could not be taken in."""
        return self._counts["failed"] > 0

    @property
    def partial(self) -> int:
        """Return how many documents lack something of their file."""
        return sum(each.reason is not None and each.status in _TAKEN for each in self.outcomes)

    @property
    def changed(self) -> bool:
        """Say whether any document is another than before."""
        return any(self._counts[status] for status in ("added", "updated", "removed"))


@dataclass(frozen=True)
class Wishes:
    """How one run shall go: `group` None keeps what each document has; `only` names the paths to look at, None all;
    `retry` reads files again that were refused with the same content.
    """

    delete_missing: bool = False
    group: str | None = None
    only: frozenset[str] | None = None
    retry: bool = False


@dataclass(frozen=True)
class Ingest:
    """The use case with everything it needs. Call `run` with the write lock held."""

    records: Records
    index: LexicalIndex
    analyzer: LexicalAnalyzer
    reader: DocumentReader
    rules: ChunkRules
    clock: Clock
    batch: int = 300

    def run(
        self,
        source: DocumentSource,
        wishes: Wishes | None = None,
        *,
        progress: Callable[[IngestReport], None] | None = None,
        outcome: Callable[[FileOutcome], None] | None = None,
    ) -> IngestReport:
        """Bring records and index to what the source holds now; a file that cannot be read does not stop the rest.

        What was committed stays when the process dies; running it again goes on. `progress` is called after every
        commit and now and then between, `outcome` for every file as soon as its outcome is safe.
        """
        bring_in_step(self.records, self.index, self.analyzer)
        run = _Run(self, source, wishes or Wishes(), progress, outcome)
        run.take_in()
        run.remove_missing()
        run.commit()
        run.report.outcomes.sort(key=lambda each: each.path)
        return run.report

    @property
    def recipe(self) -> str:
        """Name the way documents are read and cut; another recipe reads every file again."""
        return f"p{PARSER_VERSION}-{self.rules.recipe}"


class _Run:
    """One run: what was known before, and what waits for the next commit."""

    def __init__(
        self,
        use_case: Ingest,
        source: DocumentSource,
        wishes: Wishes,
        progress: Callable[[IngestReport], None] | None,
        outcome: Callable[[FileOutcome], None] | None,
    ) -> None:
        self.report = IngestReport(source.name)
        self._use_case = use_case
        self._source = source
        self._wishes = wishes
        self._progress = progress
        self._outcome = outcome
        self._known = use_case.records.known(source.name)
        self._refused = {each.path: each for each in use_case.records.refused(source.name)}
        self._found: dict[str, FoundFile] = {}
        # Paths that cannot be listed or read, and the number of files there are at all, also beside `only`.
        self._troubled: set[str] = set()
        self._there = 0
        self._digests: dict[str, tuple[str, int]] = {}
        # Waiting for the next commit.
        self._outcomes: list[FileOutcome] = []
        self._stored: list[StoredDocument] = []
        self._refusals: list[RefusedFile] = []
        self._removed: list[str] = []
        self._forgotten: list[str] = []

    def take_in(self) -> None:
        """Read, cut and commit everything that is new."""
        only = self._wishes.only
        for found in self._source.files(self._use_case.reader.suffixes):
            if found.problem is None or found.ignored:
                self._there += 1
            else:
                self._troubled.add(found.path)
            if only is None or found.path in only:
                self._found[found.path] = found
        self.report.total = len(self._found)
        reading = self._use_case.reader.read_all(self._changed())
        try:
            for read in reading:
                self._take(read)
                if (
                    max(len(self._stored), len(self._refusals)) >= self._use_case.batch
                    or sum(len(one.chunks) for one in self._stored) >= BATCH_CHUNKS
                ):
                    self.commit()
        finally:
            close = getattr(reading, "close", None)
            if close is not None:
                close()

    def remove_missing(self) -> None:
        """Forget refused files that are gone, and remove the documents of files that are, where that is wished."""
        missing = {path for path in (*self._known, *self._refused) if self._is_gone(path)}
        self._forgotten += [self._refused[path].document_id for path in missing if path in self._refused]
        gone = sorted(path for path in missing if path in self._known)
        if not gone or not self._wishes.delete_missing:
            return
        if not self._there:
            self._outcomes.append(FileOutcome(".", "failed", _EMPTY_SOURCE))
            return
        self._removed += [self._known[path].id for path in gone]
        self._outcomes += [FileOutcome(path, "removed") for path in gone]

    def commit(self) -> None:
        """Make safe what waits."""
        case = self._use_case
        if self._stored or self._removed:
            commit_change(case.records, case.index, case.analyzer, self._stored, self._removed)
        if self._refusals or self._forgotten:
            case.records.refuse(self._refusals, self._forgotten)
        for outcome in self._outcomes:
            self.report.add(outcome)
            if self._outcome is not None:
                self._outcome(outcome)
        for waiting in (self._outcomes, self._stored, self._refusals, self._removed, self._forgotten):
            waiting.clear()
        if self._progress is not None:
            self._progress(self.report)

    def _is_gone(self, path: str) -> bool:
        if path in self._found or (self._wishes.only is not None and path not in self._wishes.only):
            return False
        # Behind a folder that cannot be listed nobody knows what is there.
        return not hidden_behind(path, self._troubled)

    def _changed(self) -> Iterator[FileContent]:
        """Yield the files that have to be parsed; the outcomes of the others are noted."""
        for number, found in enumerate(self._found.values(), start=1):
            if found.problem is not None:
                self._note(found, "skipped" if found.ignored else "failed", found.problem)
            else:
                try:
                    data = self._source.read(found.path)
                except (ParseProblem, AccessProblem) as problem:
                    self._refuse(found, "failed", _said(problem))
                else:
                    digest = hashlib.sha256(data).hexdigest()
                    if not self._is_settled(found, digest):
                        self._digests[found.path] = (digest, len(data))
                        yield FileContent(found.path, data)
            if number % PROGRESS_FILES == 0:
                self._show()

    def _is_settled(self, found: FoundFile, digest: str) -> bool:
        """Note the outcome of a file that is as it was, and say whether it is."""
        before, refused = self._known.get(found.path), self._refused.get(found.path)
        recipe = self._use_case.recipe
        if before is not None and (before.sha256, before.recipe) == (digest, recipe):
            if self._wishes.group not in (None, before.group):
                return False
            lacks = refused.reason if refused is not None and refused.status == "partial" else None
            if refused is not None and lacks is None:
                self._forgotten.append(refused.document_id)
            self._note(found, "unchanged", lacks, chunks=before.chunk_count)
            return True
        if refused is None or self._wishes.retry or (refused.sha256, refused.recipe) != (digest, recipe):
            return False
        self._note(found, "failed" if refused.status == "failed" else "skipped", refused.reason)
        return True

    def _take(self, read: ReadFile) -> None:
        found = self._found[read.path]
        digest, size = self._digests.pop(read.path)
        if isinstance(read.outcome, ParseProblem):
            self._refuse(found, "failed", _said(read.outcome), digest, read.seconds)
            return
        before = self._known.get(read.path)
        stored = self._document(read.path, read.outcome, digest, size)
        if not stored.chunks and before is None:
            self._refuse(found, "skipped", _NO_TEXT, digest, read.seconds)
            return
        self._stored.append(stored)
        status: Status = "added" if before is None else "updated"
        lacks = read.outcome.lacks
        if lacks is not None:
            self._refusals.append(self._refusal(found, "partial", lacks, digest))
        self._note(found, status, lacks, chunks=len(stored.chunks), seconds=read.seconds)

    def _document(self, path: str, parsed: ParsedDocument, digest: str, size: int) -> StoredDocument:
        identity = document_id(self._source.name, path)
        chunks = chunk_document(identity, parsed, self._use_case.rules)
        before = self._known.get(path)
        group = self._wishes.group
        document = Document(
            id=identity,
            source=self._source.name,
            path=path,
            title=parsed.title,
            date=parsed.date or find_date(path.rpartition("/")[2]),
            sha256=digest,
            size=size,
            recipe=self._use_case.recipe,
            chunk_count=len(chunks),
            updated_at=self._now(),
            group=group if group is not None else before.group if before is not None else "",
        )
        return StoredDocument(document, chunks)

    def _refuse(
        self, found: FoundFile, status: Status, reason: Text, digest: str = "", seconds: float = 0.0
    ) -> None:
        """Note a file that was not taken in; its document, if there is one, keeps its last good text."""
        self._refusals.append(self._refusal(found, status, reason, digest))
        self._note(found, status, reason, seconds=seconds)

    def _refusal(self, found: FoundFile, status: str, reason: Text, digest: str) -> RefusedFile:
        return RefusedFile(
            document_id=document_id(self._source.name, found.path),
            source=self._source.name,
            path=found.path,
            status=status,
            size=found.size,
            mtime_ns=found.mtime_ns,
            sha256=digest,
            recipe=self._use_case.recipe,
            reason=reason,
            at=self._now(),
        )

    def _note(
        self,
        found: FoundFile,
        status: Status,
        reason: Text | None = None,
        *,
        chunks: int = 0,
        seconds: float = 0.0,
    ) -> None:
        self._outcomes.append(FileOutcome(found.path, status, reason, chunks, found.size, seconds))

    def _show(self) -> None:
        """Tell of the files that were as before; those that wait for a commit are not told of yet."""
        if not (self._stored or self._refusals or self._removed):
            self.commit()

    def _now(self) -> str:
        return self._use_case.clock.now().isoformat(timespec="seconds")


def _said(problem: ParseProblem | AccessProblem) -> Text:
    """Return in one line what is wrong and what to do."""
    if problem.hint is None:
        return problem.summary
    return Text(f"{problem.summary.ko} {problem.hint.ko}", f"{problem.summary.en} {problem.hint.en}")


def summarize(report: IngestReport) -> Iterator[tuple[Status, int]]:
    """Yield the number of files for every status."""
    for status in STATUSES:
        yield status, report.count(status)


def outcome_row(outcome: FileOutcome, lang: str) -> Mapping[str, str | int | float]:
    """Return an outcome as a row of the report."""
    return {
        "path": outcome.path,
        "status": outcome.status,
        "reason": outcome.reason.to(lang) if outcome.reason else "",
        "chunks": outcome.chunks,
        "bytes": outcome.size,
        "seconds": round(outcome.seconds, 3),
    }
