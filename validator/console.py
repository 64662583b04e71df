"""What a person sees on the terminal."""

from __future__ import annotations

import sys
from typing import Any, Dict, List, Sequence, TextIO

from bundle.text import Text
from validator.model import Category, Result, Status
from validator.report import recommendation
from validator.subject import Subject

_MARKS = {
    Status.PASS: ("통과", "pass"),
    Status.WARN: ("경고", "warn"),
    Status.FAIL: ("실패", "FAIL"),
    Status.SKIP: ("생략", "skip"),
    Status.ERROR: ("오류", "ERROR"),
    Status.UNKNOWN: ("미상", "unknown"),
}
_VERDICT = Text("종합 판정", "Verdict")
_CAUSE = Text("원인", "cause")
_NEXT = Text("다음 조치", "next")
_FOUND = Text("측정", "measured")
_WANTED = Text("기대", "expected")


class Console:
    """The one object that writes to the terminal."""

    def __init__(self, stream: TextIO, lang: str) -> None:
        self._stream = stream
        self._lang = lang
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")

    def line(self, text: str = "") -> None:
        """Write one line; control characters that came from the host are made visible."""
        safe = "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text)
        self._stream.write(safe + "\n")

    def document(self, text: str) -> None:
        """Write a finished document as it is."""
        self._stream.write(text)

    def results(self, results: Sequence[Result], subject: Subject, *, quiet: bool) -> None:
        """Write every result by category, or with *quiet* only what needs attention."""
        for category in Category:
            mine = [r for r in results if r.check.category is category and not (quiet and _calm(r))]
            if mine:
                self.line(f"[{category.value}]")
            for result in mine:
                self._result(result, subject)

    def _result(self, result: Result, subject: Subject) -> None:
        lang, outcome = self._lang, result.outcome
        mark = _MARKS[result.status][0 if lang == "ko" else 1]
        measured = f" ({outcome.measured})" if outcome.measured and result.status is Status.PASS else ""
        what = f"{result.check.title.to(lang)}: {outcome.details.to(lang)}"
        self.line(f"  {mark:<7} {result.check.id:<8} {what}{measured}")
        if _calm(result):
            return
        for label, text in self._explanation(result, subject):
            if text:
                self.line(f"            {label.to(lang)}: {text}")

    def _explanation(self, result: Result, subject: Subject) -> List["tuple[Text, str]"]:
        outcome, lang = result.outcome, self._lang
        return [
            (_FOUND, outcome.measured),
            (_WANTED, outcome.expected),
            (_CAUSE, outcome.cause.to(lang) if outcome.cause else ""),
            (_NEXT, recommendation(result, subject, lang)),
        ]

    def verdict(self, report: Dict[str, Any]) -> None:
        """Write the last line: verdict, counts, time."""
        counts = ", ".join(
            f"{_MARKS[Status(name)][0 if self._lang == 'ko' else 1]} {count}"
            for name, count in report["summary"].items()
            if count
        )
        self.line(
            f"{_VERDICT.to(self._lang)}: {report['overall_status']} ({counts}; {report['duration_s']:.1f} s)"
        )


def _calm(result: Result) -> bool:
    return result.status in (Status.PASS, Status.SKIP)


def standard(lang: str) -> Console:
    """Return the console on standard output."""
    return Console(sys.stdout, lang)


def errors(lang: str) -> Console:
    """Return the console on standard error."""
    return Console(sys.stderr, lang)
