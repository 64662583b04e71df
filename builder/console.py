"""The only place of the builder that prints: rich on a terminal, plain lines elsewhere, JSON events, quiet."""

from __future__ import annotations

import json
import sys
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

from bundle.errors import RagTraceError
from bundle.text import Text, human_size

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

# Without a terminal, one line at a stage's beginning and then one each so many seconds.
_PLAIN_INTERVAL_S = 5.0


class Console:
    """Progress and messages go to standard error, results to standard output."""

    def __init__(
        self, lang: str, *, quiet: bool = False, verbose: bool = False, as_json: bool = False
    ) -> None:
        """Choose the manner: `as_json` prints one JSON object a line, `quiet` only results and errors."""
        self.lang = lang
        self._quiet = quiet
        self._verbose = verbose
        self._json = as_json
        self._rich = sys.stderr.isatty() and not (quiet or as_json)
        self._stack = ExitStack()
        self._display: RichProgress | None = None
        self._task: TaskID | None = None
        self._whole: TaskID | None = None
        self._work = self._worked = 0
        self._answered = False
        self._title = ""
        self._total = self._done = 0
        self._begun = self._spoken = time.monotonic()

    def __enter__(self) -> Console:
        """Begin; leaving the context ends the progress display."""
        return self

    def __exit__(self, *exception: object) -> None:
        """End the progress display."""
        self._close_display()

    def work(self, total_bytes: int) -> None:
        """Say how many bytes the whole run will move, over all its stages."""
        self._work, self._worked = total_bytes, 0
        if self._json:
            self._event("work", {"total_bytes": total_bytes})
        elif self._rich:
            title = Text("전체", "total").to(self.lang)
            if self._whole is not None:
                self._shown().remove_task(self._whole)
            self._whole = self._shown().add_task(title, total=total_bytes or None, sized=bool(total_bytes))

    def stage(self, title: Text, total_bytes: int) -> None:
        """Begin a stage of so many bytes (0: unknown)."""
        self._end_stage()
        self._title, self._total, self._done = title.to(self.lang), total_bytes, 0
        self._begun = self._spoken = time.monotonic()
        if self._json:
            self._event("stage", {"title": self._title, "total_bytes": total_bytes})
        elif self._rich:
            self._task = self._shown().add_task(
                self._title, total=total_bytes or None, sized=bool(total_bytes)
            )
        elif not self._quiet:
            size = f" ({human_size(total_bytes)})" if total_bytes else ""
            sys.stderr.write(f"[{self._title}]{size}\n")
            sys.stderr.flush()

    def advance(self, count: int) -> None:
        """Note `count` more bytes of the stage; called from several threads, so it only adds and shows."""
        self._done += count
        self._worked += count
        if self._task is not None and self._display is not None:
            self._display.advance(self._task, count)
            if self._whole is not None:
                self._display.advance(self._whole, count)
            return
        now = time.monotonic()
        if now - self._spoken < _PLAIN_INTERVAL_S or self._quiet:
            return
        self._spoken = now
        if self._json:
            numbers = {"bytes": self._done, "total_bytes": self._total, "work_bytes": self._worked}
            self._event("progress", {"title": self._title, **numbers})
        else:
            sys.stderr.write(f"  {self._plain_line(now)}\n")
            sys.stderr.flush()

    def _plain_line(self, now: float) -> str:
        """Return how far the stage and the whole run are: bytes, share, rate, seconds left."""
        rate = self._done / max(now - self._begun, 1e-6)
        line = human_size(self._done)
        if self._total:
            line += f" {100 * self._done // self._total}%"
        line += f", {human_size(rate)}/s"
        if self._total and rate > 0:
            left = round((self._total - self._done) / rate)
            line += Text(f", {left}초 남음", f", {left} s left").to(self.lang)
        if self._work:
            share = 100 * self._worked // self._work
            line += Text(f" (전체 {share}%)", f" (total {share}%)").to(self.lang)
        return line

    def detail(self, line: str) -> None:
        """Print one line that only ``--verbose`` shows."""
        if self._verbose and not self._json:
            sys.stderr.write(f"  {line}\n")

    def note(self, text: Text) -> None:
        """Print one message that is not a result."""
        if self._json:
            self._event("note", {"text": text.to(self.lang)})
        elif not self._quiet:
            sys.stderr.write(text.to(self.lang) + "\n")

    def result(self, text: str) -> None:
        """Print a result to standard output."""
        self._close_display()
        sys.stdout.write(text.rstrip("\n") + "\n")
        sys.stdout.flush()

    def result_json(self, document: object) -> None:
        """Print a result as JSON to standard output."""
        self._close_display()
        self._answered = True
        sys.stdout.write(json.dumps(document, ensure_ascii=False) + "\n")
        sys.stdout.flush()

    def error(self, error: RagTraceError) -> None:
        """Print an error."""
        self._close_display()
        if self._json and not self._answered:
            # A plan that was printed names its obstacles itself: standard output stays one document.
            sys.stdout.write(
                json.dumps({"event": "error", **error.as_dict(self.lang)}, ensure_ascii=False) + "\n"
            )
        sys.stderr.write(error.render(self.lang) + "\n")

    def _event(self, name: str, fields: dict[str, object]) -> None:
        sys.stdout.write(json.dumps({"event": name, **fields}, ensure_ascii=False) + "\n")
        sys.stdout.flush()

    def _end_stage(self) -> None:
        if self._task is not None and self._display is not None:
            self._display.update(self._task, total=self._done or 1, completed=self._done or 1)
        elif self._title and not (self._quiet or self._json) and not self._rich:
            seconds = time.monotonic() - self._begun
            done = f" {human_size(self._done)}" if self._done else ""
            sys.stderr.write(f"  {Text('완료', 'done').to(self.lang)}{done} ({seconds:.1f} s)\n")
            sys.stderr.flush()
        self._task, self._title = None, ""

    def _shown(self) -> RichProgress:
        if self._display is None:
            # Imported only where a terminal shows it.
            from .display import make_display

            self._display = self._stack.enter_context(make_display())
        return self._display

    def _close_display(self) -> None:
        """End the live lines, so that what is printed next stays below them."""
        self._end_stage()
        self._stack.close()
        self._display = self._whole = None
