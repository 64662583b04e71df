"""Tell a person what is happening, step by step, with the command, what it said and how long it took."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from time import monotonic
from typing import TextIO

from bundle.text import Text

from .tools import Completed

SHOWN_LINES = 14
WIDTH = 150


class Story:
    """Write numbered steps to a stream in one language; nothing else of the harness writes to a person."""

    def __init__(self, lang: str = "en", stream: TextIO | None = None) -> None:
        """Begin a story; the clock starts now."""
        self.lang = lang
        self._stream = sys.stdout if stream is None else stream
        self._began = monotonic()
        self._number = 0

    @contextmanager
    def step(self, title: Text) -> Iterator[None]:
        """Announce a step, and tell its time when it is over; an error ends the story at this step."""
        self._number += 1
        began = monotonic()
        self._line(f"\n[{self._number}] {title.to(self.lang)}")
        try:
            yield
        except BaseException as error:
            failed = Text("여기에서 멈췄습니다", "stopped here").to(self.lang)
            self._line(f"    !! {failed}: {type(error).__name__}")
            raise
        took = Text("소요", "took").to(self.lang)
        self._line(f"    ({took} {monotonic() - began:.1f} s)")

    def say(self, text: Text) -> None:
        """Say one thing that was found."""
        self._line(f"    → {text.to(self.lang)}")

    def show(self, lines: Sequence[str]) -> None:
        """Show what something said; a long text keeps its beginning and its end."""
        kept = [line for line in lines if line.strip()]
        if len(kept) > SHOWN_LINES:
            half = SHOWN_LINES // 2
            kept = [*kept[:half], f"… ({len(kept) - 2 * half})", *kept[-half:]]
        for line in kept:
            self._line(f"    | {line[:WIDTH]}")

    def ran(self, done: Completed) -> None:
        """Show a command that was run, what it said and how it ended."""
        self.command(done.argv)
        self.show(done.output.splitlines())
        self._line(f"    = exit {done.returncode}, {done.seconds:.1f} s")

    def command(self, argv: Sequence[str]) -> None:
        """Show a command before or instead of its result."""
        self._line(f"    $ {' '.join(argv)}")

    def end(self, text: Text) -> None:
        """Close the story with its total time."""
        total = Text("전체", "in all").to(self.lang)
        self._line(f"\n{text.to(self.lang)} ({total} {monotonic() - self._began:.0f} s)")

    def _line(self, line: str) -> None:
        """Write one line at once, so that it can be followed."""
        self._stream.write(line + "\n")
        self._stream.flush()
