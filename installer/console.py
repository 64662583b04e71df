"""The only place that talks to a person: progress to standard error, the report to standard output."""

from __future__ import annotations

import json
import sys
import time
from typing import Any, Callable, Optional, TextIO

from bundle.errors import RagTraceError
from bundle.text import Text, human_size

# A rate taken from less says little.
TELLING_BYTES = 1_000_000


class Console:
    """Plain lines that also read well in a log file. A terminal that has gone away is not an error:
    work must go on, and be undone, without it."""

    def __init__(
        self,
        lang: str,
        *,
        quiet: bool = False,
        as_json: bool = False,
        out: Optional[TextIO] = None,
        err: Optional[TextIO] = None,
    ) -> None:
        self.lang = lang
        self.quiet = quiet
        self.as_json = as_json
        self.out = out or sys.stdout
        self.err = err or sys.stderr
        self._progress: Optional[_Progress] = None

    def stage(self, number: int, total: int, title: Text, size: int = 0) -> None:
        """Say that a stage begins."""
        self.announce(Text(f"[{number}/{total}] {title.ko}", f"[{number}/{total}] {title.en}"), size)

    def announce(self, title: Text, size: int = 0) -> None:
        """Say that something outside the numbered stages begins."""
        self._talk(title.to(self.lang) + (f" ({human_size(size)})" if size else ""))

    def note(self, text: Text) -> None:
        """Say something in passing."""
        self._talk("  " + text.to(self.lang))

    def warn(self, text: Text) -> None:
        """Say something that should not be overlooked; also with --quiet."""
        label = "주의" if self.lang == "ko" else "warning"
        self._write(self.err, f"{label}: {text.to(self.lang)}")

    def progress(self, title: Text, total: int) -> Callable[[int], None]:
        """Return a counter of bytes that prints a line every so often, from any thread."""
        self._progress = _Progress(self, title, total)
        return self._progress.add

    @property
    def bytes_per_s(self) -> float:
        """How many bytes a second the last progress went; 0 where there was none, or too little to tell."""
        last = self._progress
        took = last.ended - last.begun if last is not None else 0.0
        return last.done / took if last is not None and took > 0 and last.done >= TELLING_BYTES else 0.0

    def report(self, text: Text, document: dict[str, Any]) -> None:
        """Give the result: the text for a person, or the document with --json."""
        if self.as_json:
            self._write(self.out, json.dumps(document, ensure_ascii=False, indent=1))
        elif not self.quiet:
            self._write(self.out, text.to(self.lang))

    def fail(self, error: RagTraceError) -> None:
        """Give an error."""
        if self.as_json:
            self._write(
                self.out, json.dumps({"ok": False, **error.as_dict(self.lang)}, ensure_ascii=False, indent=1)
            )
        else:
            self._write(self.err, error.render(self.lang))

    def _talk(self, line: str) -> None:
        if not self.quiet and not self.as_json:
            self._write(self.err, line)

    def _write(self, stream: TextIO, line: str) -> None:
        try:
            stream.write(line + "\n")
            stream.flush()
        except UnicodeEncodeError:
            stream.write(line.encode("ascii", "backslashreplace").decode("ascii") + "\n")
        except (OSError, ValueError):
            self.quiet = True


class _Progress:
    """Counts bytes; a line for every tenth, but not more often than twice a second."""

    def __init__(self, console: Console, title: Text, total: int) -> None:
        self.console = console
        self.title = title
        self.total = total
        self.done = 0
        self.shown = 0
        self.begun = self.ended = time.monotonic()
        self.next_time = self.begun + 0.5

    def add(self, count: int) -> None:
        self.done += count
        self.ended = time.monotonic()
        tenth = 10 * self.done // self.total if self.total else 0
        if tenth > self.shown and time.monotonic() >= self.next_time:
            self.shown = tenth
            self.next_time = time.monotonic() + 0.5
            amount = f"{human_size(self.done)} / {human_size(self.total)}, {min(100, 100 * self.done // self.total)} %"
            self.console.note(Text(f"{self.title.ko}: {amount}", f"{self.title.en}: {amount}"))
