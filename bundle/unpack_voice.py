"""How ``unpack.py`` talks to a person."""

from __future__ import annotations

import sys
import time
from typing import Callable, TextIO

from .errors import RagTraceError
from .text import LANGUAGES, Text, human_size

_INTERVAL_S = 2.0


class Voice:
    """Talks to a person: progress to standard error, what came of it to standard output."""

    def __init__(self, lang: str, quiet: bool) -> None:
        """Speak `lang`; a quiet voice gives only results and errors."""
        self.lang = lang
        self._quiet = quiet
        self._title = Text("", "")
        self._total = self._done = 0
        self._next = 0.0

    def note(self, text: Text) -> None:
        """Say something in passing."""
        if not self._quiet:
            self._say(sys.stderr, text.to(self.lang))

    def stage(self, title: Text, total: int) -> Callable[[int], None]:
        """Begin to count `total` bytes and return the counter."""
        self.note(Text(f"[{title.ko}] {human_size(total)}", f"[{title.en}] {human_size(total)}"))
        self._title, self._total, self._done = title, total, 0
        self._next = time.monotonic() + _INTERVAL_S
        return self._advance

    def result(self, text: Text) -> None:
        """Give a result."""
        self._say(sys.stdout, text.to(self.lang))

    def error(self, error: RagTraceError) -> None:
        """Give an error."""
        self._say(sys.stderr, error.render(self.lang))

    def ask(self, text: Text) -> str:
        """Ask a person and return the answer; no answer is an empty one with an interrupt behind it."""
        sys.stderr.write(text.to(self.lang))
        sys.stderr.flush()
        answer = sys.stdin.readline()
        if not answer:
            raise KeyboardInterrupt
        return answer.strip()

    def _advance(self, count: int) -> None:
        self._done += count
        now = time.monotonic()
        if now >= self._next:
            self._next = now + _INTERVAL_S
            share = 100 * self._done // self._total if self._total else 100
            self.note(Text(*(f"  {human_size(self._done)} ({min(share, 100)} %)" for _ in LANGUAGES)))

    def _say(self, stream: TextIO, line: str) -> None:
        try:
            stream.write(line + "\n")
            stream.flush()
        except UnicodeEncodeError:
            stream.write(line.encode("ascii", "backslashreplace").decode("ascii") + "\n")
