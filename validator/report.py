"""The report: results in the product's JSON shape, the overall verdict and the exit code."""

from __future__ import annotations

import os
import platform
import time
from typing import Any, Dict, List, NamedTuple, Sequence

from validator import VERSION
from validator.host import facts
from validator.model import Result, Severity, Status
from validator.remedies import command_of, find
from validator.subject import Subject

FORMAT = 1
PASS_EXIT, USAGE_EXIT, FAIL_EXIT, WARN_EXIT, INCOMPLETE_EXIT = 0, 2, 3, 4, 5

# The product knows four words. A check that broke is a warning, one that could not see is a gap; both keep
# their raw status, and neither ever lets the verdict be EXCELLENT.
STATUS_WORDS = {
    Status.PASS: "PASS",
    Status.WARN: "WARN",
    Status.FAIL: "FAIL",
    Status.SKIP: "SKIP",
    Status.ERROR: "WARN",
    Status.UNKNOWN: "SKIP",
}


class Timing(NamedTuple):
    """When the run began (seconds since the epoch) and how long it took."""

    started: float
    duration_s: float


def exit_code(results: Sequence[Result], *, strict: bool = False) -> int:
    """Return 3 for a failure, 5 when a check could not run, 4 for warnings only, else 0.

    With *strict*, warnings and skips count as failures.
    """
    seen = {result.status for result in results}
    if Status.FAIL in seen or (strict and seen & {Status.WARN, Status.SKIP}):
        return FAIL_EXIT
    if seen & {Status.ERROR, Status.UNKNOWN} or not seen:
        return INCOMPLETE_EXIT
    return WARN_EXIT if Status.WARN in seen else PASS_EXIT


def overall_status(results: Sequence[Result]) -> str:
    """Return the verdict.

    CRITICAL: something failed. WARNING: something of weight warned, broke or could not be seen. GOOD: only
    small findings, or there was nothing to look at yet. EXCELLENT: all that applies here passed.
    """
    if any(result.status is Status.FAIL for result in results):
        return "CRITICAL"
    open_findings = [r for r in results if r.status in (Status.WARN, Status.ERROR, Status.UNKNOWN)]
    if any(result.check.severity is not Severity.LOW for result in open_findings):
        return "WARNING"
    nothing = not any(result.status is Status.PASS for result in results)
    if open_findings or nothing or any(result.outcome.not_installed for result in results):
        return "GOOD"
    return "EXCELLENT"


def build(
    results: Sequence[Result], subject: Subject, lang: str, timing: Timing, *, strict: bool = False
) -> Dict[str, Any]:
    """Return the report as plain data (``manifests/schema/report.schema.json``)."""
    return {
        "format": FORMAT,
        "validator_version": VERSION,
        "timestamp": facts.utc(timing.started),
        "language": lang,
        "prefix": str(subject.prefix),
        "bundle": str(subject.bundle) if subject.bundle else None,
        "generation": subject.generation.name if subject.generation else None,
        "system_info": system_info(),
        "validation_results": [_entry(result, subject, lang) for result in results],
        "summary": {status.value: sum(r.status is status for r in results) for status in Status},
        "overall_status": overall_status(results),
        "exit_code": exit_code(results, strict=strict),
        "recommendations": recommendations(results, subject, lang),
        "duration_s": round(timing.duration_s, 3),
    }


def system_info() -> Dict[str, Any]:
    """Return what a reader needs to know about the host, without its name or addresses."""
    total, available = facts.memory_bytes()
    return {
        "platform": platform.platform(),
        "os": facts.system(),
        "architecture": facts.architecture(),
        "python_version": platform.python_version(),
        "libc": " ".join(platform.libc_ver()).strip(),
        "memory_gb": round(total / 1e9, 2) if total else None,
        "memory_available_gb": round(available / 1e9, 2) if total else None,
        "cpu_count": facts.usable_cpus(),
        "user_is_root": facts.runs_as_root(),
        "timezone": time.tzname[0] if time.tzname else os.environ.get("TZ", ""),
    }


def recommendation(result: Result, subject: Subject, lang: str) -> str:
    """Return the remedy of one result with its command, or an empty text."""
    remedy = find(result.outcome.remedy)
    if remedy is None:
        return ""
    command = command_of(result.outcome.remedy, subject)
    return f"{remedy.text.to(lang)}: {command}" if command else remedy.text.to(lang)


def recommendations(results: Sequence[Result], subject: Subject, lang: str) -> List[str]:
    """Return every remedy once, the weightiest finding first, with the checks it is for."""
    order = list(Severity)
    open_findings = [r for r in results if r.status not in (Status.PASS, Status.SKIP)]
    open_findings.sort(key=lambda r: (r.status is not Status.FAIL, order.index(r.check.severity)))
    ids: Dict[str, List[str]] = {}
    for result in open_findings:
        text = recommendation(result, subject, lang)
        if text:
            ids.setdefault(text, []).append(result.check.id)
    return [f"[{', '.join(names)}] {text}" for text, names in ids.items()]


def _entry(result: Result, subject: Subject, lang: str) -> Dict[str, Any]:
    check, outcome = result.check, result.outcome
    return {
        "id": check.id,
        "category": check.category.value,
        "check_name": check.title.to(lang),
        "status": STATUS_WORDS[result.status],
        "raw_status": result.status.value,
        "severity": check.severity.value,
        "details": outcome.details.to(lang),
        "evidence": {"measured": outcome.measured, "expected": outcome.expected},
        "cause": outcome.cause.to(lang) if outcome.cause else "",
        "recommendation": recommendation(result, subject, lang),
        "remedy": {"id": outcome.remedy, "command": command_of(outcome.remedy, subject)}
        if outcome.remedy
        else None,
        "documentation": check.anchor,
        "duration_s": result.duration_s,
    }
