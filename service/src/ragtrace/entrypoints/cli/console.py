"""The only place that writes to a person: results to stdout, talk to stderr."""

from __future__ import annotations

import json
import sys
from typing import TextIO

from ragtrace.errors import RagTraceError
from ragtrace.text import Text


class Console:
    """Writes in one language; with `as_json`, stdout carries exactly one JSON document."""

    def __init__(
        self, lang: str, as_json: bool, out: TextIO | None = None, err: TextIO | None = None
    ) -> None:
        self.lang = lang
        self.as_json = as_json
        self._out = out or sys.stdout
        self._err = err or sys.stderr
        for stream in (self._out, self._err):
            reconfigure = getattr(stream, "reconfigure", None)
            if reconfigure:
                # A host without a Korean locale still shows what it can, instead of failing on the first letter.
                reconfigure(encoding="utf-8", errors="backslashreplace")

    def say(self, text: Text | str) -> None:
        """Write a line of a result for a person; silent in JSON."""
        if not self.as_json:
            self._out.write(f"{text if isinstance(text, str) else text.to(self.lang)}\n")

    def write(self, piece: str) -> None:
        """Write a piece of a result as it comes, without a line end; silent in JSON."""
        if not self.as_json:
            self._out.write(piece)
            self._out.flush()

    def talk(self, text: Text | str) -> None:
        """Write a line about progress to stderr."""
        self._err.write(f"{text if isinstance(text, str) else text.to(self.lang)}\n")
        self._err.flush()

    def data(self, value: object) -> None:
        """Write the JSON document; silent without --json."""
        if self.as_json:
            self._out.write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")

    def fail(self, problem: RagTraceError) -> int:
        """Write an error and return its exit code."""
        self.data(
            {"error": problem.summary.to(self.lang), "reference": problem.reference, "where": problem.where}
        )
        self.talk(problem.render(self.lang))
        return problem.exit_code
