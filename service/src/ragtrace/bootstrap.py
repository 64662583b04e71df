"""Build the adapters that the configuration names. The only module that knows both ports and adapters."""

from __future__ import annotations

import codecs
import importlib
import logging
import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from ragtrace.application.ask import Ask
from ragtrace.application.ports import Answerer, Clock, LexicalAnalyzer
from ragtrace.application.reconcile import bring_in_step, in_step
from ragtrace.domain.chunks import ChunkRules
from ragtrace.errors import BusyProblem, IndexDamage, StorageProblem
from ragtrace.settings import Settings
from ragtrace.text import Text

if TYPE_CHECKING:
    from ragtrace.adapters.data_inspection import DataInspection
    from ragtrace.adapters.folder import FolderSource
    from ragtrace.adapters.sqlite_records import SqliteRecords
    from ragtrace.adapters.tantivy_index import TantivyIndex
    from ragtrace.application.ingest import Ingest
    from ragtrace.application.validation import Validator

LOG = logging.getLogger("ragtrace")
# A whole index is compared with its checksums before it is written to; a gigabyte takes about a second.
_THOROUGH_S = 600.0


@dataclass
class Container:
    """The parts of one process, built when first asked for and kept."""

    settings: Settings
    clock: Clock = field(default_factory=lambda: _clock())

    @cached_property
    def analyzer(self) -> LexicalAnalyzer:
        """Return the analyzer; its model is loaded by `load` or by the first use."""
        chosen = self.settings.analyzer
        if chosen.kind == "whitespace":
            from ragtrace.adapters.whitespace import WhitespaceAnalyzer

            return WhitespaceAnalyzer()
        from ragtrace.adapters.kiwi import KiwiAnalyzer

        workers = chosen.workers or min(os.cpu_count() or 1, 8)
        return KiwiAnalyzer(workers, chosen.multiword)

    @cached_property
    def records(self) -> SqliteRecords:
        """Open the records. Raises `StorageProblem`, also where an index says that there must have been some."""
        from ragtrace.adapters.sqlite_records import SqliteRecords

        folder = self._data()
        if self.inspection.records_are_lost():
            raise StorageProblem(
                Text("기록 데이터베이스가 없어졌거나 비었습니다.", "The records database is gone or empty."),
                where=str(folder / "records.sqlite3"),
                state=Text("아무것도 새로 만들지 않았습니다.", "Nothing was made in its place."),
                hint=Text(
                    "스냅숏이나 백업을 되돌리십시오. 비운 채 다시 시작하려면 index 폴더도 지우십시오.",
                    "Put a snapshot or backup back. To begin anew without documents, delete the folder index too.",
                ),
            )
        return SqliteRecords(folder / "records.sqlite3")

    @cached_property
    def index(self) -> TantivyIndex:
        """Open the index."""
        from ragtrace.adapters.tantivy_index import TantivyIndex

        return TantivyIndex(self._data() / "index")

    @cached_property
    def inspection(self) -> DataInspection:
        """Return what looks at the data folder from outside."""
        from ragtrace.adapters.data_inspection import DataInspection
        from ragtrace.adapters.tantivy_index import LAYOUT

        return DataInspection(self.settings.data_folder, LAYOUT)

    @cached_property
    def model(self) -> Answerer:
        """Return the answering model."""
        from ragtrace.adapters.extractive import ExtractiveModel

        return ExtractiveModel(
            self.analyzer, self.settings.answer.sentences, self.settings.answer.min_support
        )

    @cached_property
    def ask(self) -> Ask:
        """Return the use case that answers questions."""
        return Ask(
            records=self.records,
            index=self.index,
            analyzer=self.analyzer,
            model=self.model,
            top_n=self.settings.search.top_n,
            question_chars=self.settings.answer.max_question_chars,
        )

    @cached_property
    def ingest(self) -> Ingest:
        """Return the use case that takes documents in."""
        from ragtrace.adapters.html import HtmlParser
        from ragtrace.adapters.markdown import MarkdownParser
        from ragtrace.adapters.plain_text import PlainTextParser
        from ragtrace.application.ingest import Ingest

        chunks = self.settings.chunks
        return Ingest(
            records=self.records,
            index=self.index,
            analyzer=self.analyzer,
            parsers=(MarkdownParser(), PlainTextParser(), HtmlParser()),
            rules=ChunkRules(chunks.size, chunks.least, chunks.overlap),
            clock=self.clock,
            batch=self.settings.ingest.batch_documents,
        )

    def validator(self, generation: str, environment: Mapping[str, str]) -> Validator:
        """Return the validator that was installed with this generation."""
        from ragtrace.adapters.enterprise_validator import EnterpriseValidator

        return EnterpriseValidator(self.settings.home, generation, environment)

    def folder(self, root: Path, name: str | None) -> FolderSource:
        """Return a folder as a source of documents."""
        from ragtrace.adapters.folder import FolderSource

        return FolderSource(root, self.settings.ingest.max_file_mb << 20, name)

    def lock(self) -> AbstractContextManager[None]:
        """Return the write lock of the data folder."""
        from ragtrace.adapters.lock import write_lock

        return write_lock(self._data() / "write.lock")

    def catch_up(self, progress: Callable[[int, int], None] | None = None, *, thorough: bool = False) -> None:
        """Bring the index in step unless another process, which does the same first, is writing.

        A damaged index is set aside and made anew. With `thorough`, every file of it is compared with its checksum.
        """
        if not (thorough and self.inspection.index(_THOROUGH_S).damaged):
            try:
                if in_step(self.records, self.index, self.analyzer):
                    return
            except IndexDamage:
                LOG.warning("the index cannot be read; it is made anew from the records")
        try:
            with self.lock():
                self.mend()
                bring_in_step(self.records, self.index, self.analyzer, progress)
        except BusyProblem:
            # An index that cannot be used stays an error; one that is only behind is the other process's business.
            self.index.size()

    def mend(self) -> bool:
        """Set a damaged index aside, so that the next use makes a new one; the write lock is held. Say whether."""
        damaged = self.inspection.index(_THOROUGH_S).damaged
        if not damaged:
            try:
                self.index.mark()
            except IndexDamage as problem:
                damaged = (problem.where,)
        if damaged:
            LOG.warning("set the damaged index aside: %s", ", ".join(damaged[:3]))
            self.discard_index()
        return bool(damaged)

    def discard_index(self) -> None:
        """Set the index aside and forget it; the write lock is held."""
        from ragtrace.adapters.tantivy_index import set_aside

        # Only with sound records: without them the index is the last trace of what was there.
        self.records.state()
        set_aside(self._data() / "index")
        for name in ("index", "ask", "ingest"):
            self.__dict__.pop(name, None)

    def migrate(self, tell: Callable[[Text], None]) -> tuple[int, int]:
        """Bring the data to this release's format; return the formats before and after."""
        from ragtrace.adapters import data_format
        from ragtrace.adapters.lock import write_lock

        folder = self._folder()
        with write_lock(folder / "write.lock"):
            return data_format.migrate(folder, tell)

    def _data(self) -> Path:
        """Return the data folder, if its data is of the format that this release reads."""
        from ragtrace.adapters import data_format

        folder = self._folder()
        data_format.require(folder)
        return folder

    def _folder(self) -> Path:
        folder = self.settings.data_folder
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o750)
        except OSError as error:
            raise StorageProblem(
                Text("데이터 폴더를 만들 수 없습니다.", "The data folder cannot be made."),
                where=f"{folder}: {error.strerror}",
                hint=Text("data.folder와 권한을 확인하십시오.", "Check data.folder and permissions."),
            ) from error
        return folder


def _clock() -> Clock:
    from ragtrace.adapters.clock import SystemClock

    return SystemClock()


def preload(settings: Settings) -> None:
    """Import the adapters now: after root's rights are given up, an interpreter in root's home is out of reach."""
    for name in (
        "data_format",
        "data_inspection",
        "enterprise_validator",
        "folder",
        "html",
        "lock",
        "markdown",
        "plain_text",
        "sqlite_records",
        "tantivy_files",
        "tantivy_index",
        "whitespace",
    ):
        importlib.import_module(f"ragtrace.adapters.{name}")
    importlib.import_module("ragtrace.application.ingest")
    importlib.import_module("ragtrace.application.verification")
    for codec in ("cp949", "utf-16-le", "utf-16-be", "utf-8-sig", "idna"):
        codecs.lookup(codec)
    if settings.analyzer.kind == "kiwi":
        importlib.import_module("kiwipiepy")
