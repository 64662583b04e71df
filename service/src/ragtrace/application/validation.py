"""The enterprise validator as the status page needs it: the port, and the report as plain, bounded data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from ragtrace.text import Text

# A report has about eighty results; a longer one, or longer texts, come from something else.
MOST_RESULTS = 400
MOST_CHARS = 400
_STATUSES = ("pass", "warn", "fail", "skip", "unknown", "error")


@dataclass(frozen=True)
class ReportLine:
    """One result of a report."""

    id: str
    category: str
    name: str
    status: str
    details: str
    recommendation: str


@dataclass(frozen=True)
class ValidatorReport:
    """What the validator said: its verdict and lines; `problem` where it gave no report."""

    timestamp: str
    verdict: str
    duration_s: float
    lines: tuple[ReportLine, ...]
    problem: Text | None = None


class Validator(Protocol):
    """Runs the validator that belongs to this release."""

    def absence(self) -> Text | None:
        """Return why there is none, or None when there is one."""
        ...

    def run(self) -> ValidatorReport:
        """Run it to its end or its time limit, and return what it said."""
        ...


def read_report(document: object) -> ValidatorReport:
    """Return the report of a parsed document. Raises `ValueError` when it is none."""
    if not isinstance(document, dict) or not isinstance(document.get("validation_results"), list):
        raise ValueError("no validation_results")
    lines = [
        ReportLine(
            _text(each.get("check_id") or each.get("id")),
            _text(each.get("category")),
            _text(each.get("check_name")),
            _status(each),
            _text(each.get("details")),
            _text(each.get("recommendation")),
        )
        for each in document["validation_results"][:MOST_RESULTS]
        if isinstance(each, dict)
    ]
    seconds = document.get("duration_s")
    return ValidatorReport(
        _text(document.get("timestamp")),
        _text(document.get("overall_status")),
        float(seconds) if isinstance(seconds, (int, float)) else 0.0,
        tuple(lines),
    )


def _status(entry: dict[str, Any]) -> str:
    told = str(entry.get("raw_status") or entry.get("status") or "").lower()
    return told if told in _STATUSES else "unknown"


def _text(value: object) -> str:
    if isinstance(value, list):
        value = " ".join(str(part) for part in value)
    text = value if isinstance(value, str) else ""
    return text if len(text) <= MOST_CHARS else f"{text[: MOST_CHARS - 1]}…"
