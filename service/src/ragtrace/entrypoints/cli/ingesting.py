"""`ragtrace ingest`: once, or again and again."""

from __future__ import annotations

import argparse
import csv
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from ragtrace.bootstrap import Container
from ragtrace.entrypoints.cli import vectors
from ragtrace.entrypoints.cli.console import Console
from ragtrace.errors import AccessProblem, BusyProblem, InvalidRequest
from ragtrace.text import Text

if TYPE_CHECKING:
    from ragtrace.application.ingest import FileOutcome, IngestReport, Wishes
    from ragtrace.application.ports import DocumentSource

# A look at a large folder may take longer than the pause: then the pause grows, so that looking takes a tenth of the time.
_LOOKING_SHARE = 10
_COLUMNS = ("path", "status", "reason", "chunks", "bytes", "seconds")


def ingest(container: Container, arguments: argparse.Namespace, console: Console) -> int:
    """Take the documents of a folder in; with `--watch`, go on until interrupted."""
    from ragtrace.application.ingest import Wishes, outcome_row, summarize

    if arguments.watch and console.as_json:
        raise InvalidRequest(
            Text("--watch와 --json은 함께 쓸 수 없습니다.", "--watch and --json exclude each other."),
            hint=Text("파일마다의 결과는 --report로 받으십시오.", "Take each file's outcome by --report."),
        )
    source = container.folder(Path(arguments.folder), arguments.source)
    wishes = Wishes(
        delete_missing=arguments.delete_missing, group=arguments.group, retry=arguments.retry_failed
    )
    with _report_file(arguments.report, console.lang, append=arguments.watch) as report_file:
        work = _Work(container, arguments, console, source, report_file)
        if arguments.watch:
            return _watch(work, wishes, arguments.interval)
        report = work.run(wishes)
    made = vectors.follow(container, console)
    documents, chunks = container.records.counts()
    work.tell(report)
    console.data(
        {
            "source": report.source,
            "counts": dict(summarize(report)),
            "documents": documents,
            "chunks": chunks,
            **made,
            "files": [outcome_row(each, console.lang) for each in report.outcomes],
        }
    )
    return 1 if report.failed else 0


class _Work:
    """Runs with the same folder, report and console."""

    def __init__(
        self,
        container: Container,
        arguments: argparse.Namespace,
        console: Console,
        source: DocumentSource,
        report_file: _ReportFile | None,
    ) -> None:
        self.container = container
        self.console = console
        self.source = source
        self._verbose = arguments.verbose
        self._report_file = report_file

    def run(self, wishes: Wishes) -> IngestReport:
        """Run once with the write lock held. Raises `BusyProblem` when another process has it."""
        container, console = self.container, self.console
        with container.data.lock():
            if container.mend():
                console.talk(
                    Text(
                        "검색 색인이 손상되어 기록에서 다시 만듭니다.",
                        "The search index is damaged; it is made anew from the records.",
                    )
                )
            return container.ingest.run(
                self.source, wishes, progress=_Progress(console), outcome=self._outcome
            )

    def tell(self, report: IngestReport) -> None:
        """Say what the run has come to."""
        documents, chunks = self.container.records.counts()
        failed, skipped, partial = report.count("failed"), report.count("skipped"), report.partial
        self.console.say(
            Text(
                f"문서 {documents}개, 조각 {chunks}개가 검색됩니다. 원본: {report.source}",
                f"{documents} documents, {chunks} chunks are searchable. Source: {report.source}",
            )
        )
        if failed or partial:
            self.console.say(
                Text(
                    f"받아들이지 못한 파일 {failed}개, 일부만 읽은 파일 {partial}개. 이유: ragtrace documents list --refused",
                    f"{failed} files failed, {partial} were read in part. Why: ragtrace documents list --refused",
                )
            )
        if skipped:
            self.console.say(
                Text(
                    f"건너뛴 파일 {skipped}개(지원하지 않는 형식이거나 글이 없음). 이름과 이유: --verbose 또는 --report",
                    f"{skipped} files were skipped (format not supported, or no text). Which, and why: --verbose or --report",
                )
            )

    def _outcome(self, outcome: FileOutcome) -> None:
        unread = outcome.reason is not None and outcome.status in ("failed", "added", "updated")
        if unread or (self._verbose and outcome.status != "unchanged"):
            reason = f": {outcome.reason.to(self.console.lang)}" if outcome.reason else ""
            self.console.say(f"{outcome.status:9} {outcome.path}{reason}")
        if self._report_file is not None:
            self._report_file.add(outcome)


class _Progress:
    """A line for each commit: how far, what came of it, how fast."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._begun = time.monotonic()

    def __call__(self, report: IngestReport) -> None:
        from ragtrace.application.ingest import summarize

        done = len(report.outcomes)
        counted = ", ".join(f"{status} {count}" for status, count in summarize(report) if count)
        speed = done / max(time.monotonic() - self._begun, 1e-3)
        self._console.talk(
            Text(
                f"처리 {done}/{report.total}개: {counted or '-'} (초당 {speed:.0f}개)",
                f"{done}/{report.total} files: {counted or '-'} ({speed:.0f} files/s)",
            )
        )


def _watch(work: _Work, wishes: Wishes, interval: float) -> int:
    """Take in what changes, each file when it has been quiet for one interval, until somebody ends this."""
    import dataclasses

    from ragtrace.application.watching import ChangeWatch

    if not 0.1 <= interval <= 86_400:
        raise InvalidRequest(
            Text("--interval은 0.1~86400초입니다.", "--interval is between 0.1 and 86400 seconds.")
        )
    console, suffixes = work.console, work.container.ingest.reader.suffixes
    watch = ChangeWatch(quiet_s=interval)
    waiting: frozenset[str] | None = None
    whole = True
    told = ""
    while True:
        begun = time.monotonic()
        try:
            if whole:
                watch.begin(work.source.files(suffixes))
            else:
                waiting = watch.look(work.source.files(suffixes), begun)
            if whole or waiting:
                report = work.run(wishes if whole else dataclasses.replace(wishes, only=waiting, retry=False))
                if whole:
                    console.say(
                        Text("폴더를 지켜봅니다(멈춤: Ctrl-C).", "Watching the folder (Ctrl-C ends it).")
                    )
                watch.taken(waiting or ())
                whole, told = False, ""
                vectors.follow(work.container, console)
                work.tell(report)
        except (AccessProblem, BusyProblem) as problem:
            # Somebody else is writing, or the drive is away: what was not taken in is seen again by the next look.
            if told != problem.reference:
                console.talk(problem.render(console.lang))
                told = problem.reference
        took = time.monotonic() - begun
        time.sleep(interval if waiting or whole else max(interval, _LOOKING_SHARE * took))


class _ReportFile:
    """Every file's outcome, a line each as soon as it is safe: CSV for spreadsheets, else JSON lines."""

    def __init__(self, stream: TextIO, lang: str, as_csv: bool, header: bool) -> None:
        self._stream = stream
        self._lang = lang
        self._csv = csv.DictWriter(stream, _COLUMNS) if as_csv else None
        if self._csv is not None and header:
            self._csv.writeheader()

    def add(self, outcome: FileOutcome) -> None:
        """Write an outcome."""
        from ragtrace.application.ingest import outcome_row

        row = outcome_row(outcome, self._lang)
        if self._csv is None:
            self._stream.write(json.dumps(row, ensure_ascii=False) + "\n")
        else:
            self._csv.writerow({key: _harmless(value) for key, value in row.items()})
        self._stream.flush()


def _harmless(value: object) -> object:
    """Keep a spreadsheet from taking a file's name for a formula (OWASP, CSV injection)."""
    return (
        f"'{value}"
        if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r"))
        else value
    )


@contextmanager
def _report_file(name: str | None, lang: str, append: bool) -> Iterator[_ReportFile | None]:
    if name is None:
        yield None
        return
    path = Path(name)
    as_csv = path.suffix.lower() == ".csv"
    fresh = not (append and path.exists() and path.stat().st_size)
    try:
        # With the mark of UTF-8, without which spreadsheets take Korean CSV for the system's legacy encoding.
        stream = path.open(
            "a" if append else "w",
            encoding="utf-8-sig" if as_csv and fresh else "utf-8",
            errors="backslashreplace",
            newline="" if as_csv else None,
        )
    except OSError as error:
        raise AccessProblem(
            Text("보고서 파일을 쓸 수 없습니다.", "The report cannot be written."),
            where=f"{path}: {error.strerror}",
            state=Text("아무것도 바뀌지 않았습니다.", "Nothing was changed."),
        ) from error
    with stream:
        yield _ReportFile(stream, lang, as_csv, fresh)
