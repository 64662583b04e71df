"""What a person sees on the terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, List, Sequence, TextIO

from bundle.text import Text
from validator.model import Category, Result, Status
from validator.subject import Subject

if TYPE_CHECKING:
    from validator.report import Report

_MARKS = {
    Status.PASS: ("통과", "pass"),
    Status.WARN: ("경고", "warn"),
    Status.FAIL: ("실패", "FAIL"),
    Status.SKIP: ("생략", "skip"),
    Status.ERROR: ("오류", "ERROR"),
    Status.UNKNOWN: ("미상", "unknown"),
}
_WAIVED = ("예외", "waived")
_ACCEPTED = Text("승인", "accepted")
_PLUGIN = Text("플러그인", "plugin")
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

    def report(self, report: Report, *, quiet: bool) -> None:
        """Write the results, what is to be said about waivers, and the verdict."""
        self.results(report.results, report.subject, quiet=quiet)
        gap, lang = report.waivers.gap, self._lang
        if gap is not None:
            self.line(f"{_WAIVED[0 if lang == 'ko' else 1]}: {gap.to(lang)}")
        for waiver in report.waivers.concerning(report.results):
            if waiver.expired:
                day = waiver.expires.isoformat()
                what = Text(f"{day}에 만료되어 적용하지 않음", f"ran out on {day}, not applied")
                self.line(
                    f"{_WAIVED[0 if lang == 'ko' else 1]} {waiver.check}: {what.to(lang)} ({waiver.reason})"
                )
        self.verdict(report)

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
        mark = (_MARKS[result.status] if result.waiver is None else _WAIVED)[0 if lang == "ko" else 1]
        measured = f" ({outcome.measured})" if outcome.measured and result.status is Status.PASS else ""
        what = f"{result.check.title.to(lang)}: {outcome.details.to(lang)}"
        self.line(f"  {mark:<7} {result.check.id:<8} {what}{measured}")
        if _calm(result) and result.waiver is None:
            return
        for label, text in self._explanation(result, subject):
            if text:
                self.line(f"            {label.to(lang)}: {text}")

    def _explanation(self, result: Result, subject: Subject) -> List["tuple[Text, str]"]:
        outcome, lang = result.outcome, self._lang
        if result.waiver is not None:
            until = Text(f"{result.waiver.expires}까지", f"until {result.waiver.expires}").to(lang)
            mark = _MARKS[result.status][0 if lang == "ko" else 1]
            return [(_ACCEPTED, f"{mark}; {until}; {result.waiver.reason}")]
        from validator.report import recommendation

        return [
            (_FOUND, outcome.measured),
            (_WANTED, outcome.expected),
            (_CAUSE, outcome.cause.to(lang) if outcome.cause else ""),
            (_NEXT, recommendation(result, subject, lang)),
            (_PLUGIN, result.check.plugin.name if result.check.plugin else ""),
        ]

    def verdict(self, report: Report) -> None:
        """Write the last line: verdict, counts, time."""
        column = 0 if self._lang == "ko" else 1
        plain = [result.status for result in report.results if result.waiver is None]
        counts = [(_MARKS[status][column], plain.count(status)) for status in Status]
        counts.append((_WAIVED[column], len(report.results) - len(plain)))
        words = ", ".join(f"{mark} {count}" for mark, count in counts if count)
        verdict, took = report.overall_status, report.timing.duration_s
        self.line(f"{_VERDICT.to(self._lang)}: {verdict} ({words}; {took:.1f} s)")


def _calm(result: Result) -> bool:
    return not result.is_open


def standard(lang: str) -> Console:
    """Return the console on standard output."""
    return Console(sys.stdout, lang)


def errors(lang: str) -> Console:
    """Return the console on standard error."""
    return Console(sys.stderr, lang)
