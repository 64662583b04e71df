"""Build the adapters that the configuration names. The only module that knows both ports and adapters."""

from __future__ import annotations

import codecs
import importlib
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from ragtrace.application.ask import Ask
from ragtrace.application.ports import Clock, LanguageModel, LexicalAnalyzer
from ragtrace.application.reconcile import bring_in_step, in_step
from ragtrace.domain.chunks import ChunkRules
from ragtrace.errors import BusyProblem, StorageProblem
from ragtrace.settings import Settings
from ragtrace.text import Text

if TYPE_CHECKING:
    from ragtrace.adapters.folder import FolderSource
    from ragtrace.adapters.sqlite_records import SqliteRecords
    from ragtrace.adapters.tantivy_index import TantivyIndex
    from ragtrace.application.ingest import Ingest


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
        """Open the records."""
        from ragtrace.adapters.sqlite_records import SqliteRecords

        return SqliteRecords(self._data() / "records.sqlite3")

    @cached_property
    def index(self) -> TantivyIndex:
        """Open the index."""
        from ragtrace.adapters.tantivy_index import TantivyIndex

        return TantivyIndex(self._data() / "index")

    @cached_property
    def model(self) -> LanguageModel:
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

    def folder(self, root: Path, name: str | None) -> FolderSource:
        """Return a folder as a source of documents."""
        from ragtrace.adapters.folder import FolderSource

        return FolderSource(root, self.settings.ingest.max_file_mb << 20, name)

    def lock(self) -> AbstractContextManager[None]:
        """Return the write lock of the data folder."""
        from ragtrace.adapters.lock import write_lock

        return write_lock(self._data() / "write.lock")

    def catch_up(self) -> None:
        """Bring the index in step unless another process, which does the same first, is writing."""
        if in_step(self.records, self.index, self.analyzer):
            return
        try:
            with self.lock():
                bring_in_step(self.records, self.index, self.analyzer)
        except BusyProblem:
            return

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
        "folder",
        "html",
        "lock",
        "markdown",
        "plain_text",
        "sqlite_records",
        "tantivy_index",
        "whitespace",
    ):
        importlib.import_module(f"ragtrace.adapters.{name}")
    importlib.import_module("ragtrace.application.ingest")
    for codec in ("cp949", "utf-16-le", "utf-16-be", "utf-8-sig", "idna"):
        codecs.lookup(codec)
    if settings.analyzer.kind == "kiwi":
        importlib.import_module("kiwipiepy")
