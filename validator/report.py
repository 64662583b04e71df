"""The report: results in the product's JSON shape, the overall verdict and the exit code."""

from __future__ import annotations

import os
import platform
import time
from dataclasses import dataclass
from typing import Any, Dict, List, NamedTuple, Sequence, Tuple

from bundle.text import Text
from validator import VERSION
from validator.host import facts
from validator.model import Check, Result, Severity, Status
from validator.remedies import command_of, find
from validator.subject import Subject
from validator.waivers import NO_WAIVERS, Waiver, Waivers

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


@dataclass(frozen=True)
class Report:
    """Everything one run found, and the forms in which it is given away."""

    results: Tuple[Result, ...]
    subject: Subject
    lang: str
    timing: Timing
    strict: bool = False
    waivers: Waivers = NO_WAIVERS

    @property
    def overall_status(self) -> str:
        """Return the verdict: EXCELLENT, GOOD, WARNING or CRITICAL."""
        return overall_status(self.results, self.waivers)

    @property
    def exit_code(self) -> int:
        """Return the exit code: 0, 3, 4 or 5."""
        return exit_code(self.results, strict=self.strict)

    def to_dict(self) -> Dict[str, Any]:
        """Return plain data (``manifests/schema/report.schema.json``)."""
        return build(
            self.results, self.subject, self.lang, self.timing, strict=self.strict, waivers=self.waivers
        )

    def to_json(self) -> str:
        """Return the report file."""
        import json

        return json.dumps(self.to_dict(), ensure_ascii=False, indent=1) + "\n"

    def to_html(self) -> str:
        """Return the page."""
        from validator import html

        return html.render(self)

    def to_junit(self) -> str:
        """Return the XML for continuous-integration servers."""
        from validator import junit

        return junit.render(self.results, self.lang)


def exit_code(results: Sequence[Result], *, strict: bool = False) -> int:
    """Return 3 for a failure, 5 when a check could not run, 4 for warnings only, else 0.

    With *strict*, warnings and skips count as failures. A waived finding counts as passed.
    """
    seen = {result.counted for result in results}
    if Status.FAIL in seen or (strict and seen & {Status.WARN, Status.SKIP}):
        return FAIL_EXIT
    if seen & {Status.ERROR, Status.UNKNOWN} or not seen:
        return INCOMPLETE_EXIT
    return WARN_EXIT if Status.WARN in seen else PASS_EXIT


def overall_status(results: Sequence[Result], waivers: Waivers = NO_WAIVERS) -> str:
    """Return the verdict.

    CRITICAL: something failed. WARNING: something of weight warned, broke or could not be seen. GOOD: only
    small findings, or there was nothing to look at yet, or a waiver is in force for one of these checks.
    EXCELLENT: all that applies here passed by itself.
    """
    if any(result.counted is Status.FAIL for result in results):
        return "CRITICAL"
    open_findings = [result for result in results if result.is_open]
    if any(result.check.severity is not Severity.LOW for result in open_findings):
        return "WARNING"
    nothing = not any(result.status is Status.PASS for result in results)
    if open_findings or nothing or any(result.outcome.not_installed for result in results):
        return "GOOD"
    in_force = [waiver for waiver in waivers.concerning(results) if not waiver.expired]
    if in_force or waivers.gap or any(result.waiver for result in results):
        return "GOOD"
    return "EXCELLENT"


def build(
    results: Sequence[Result],
    subject: Subject,
    lang: str,
    timing: Timing,
    *,
    strict: bool = False,
    waivers: Waivers = NO_WAIVERS,
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
        "summary": {
            **{status.value: sum(r.status is status for r in results) for status in Status},
            "waived": sum(r.waiver is not None for r in results),
        },
        "overall_status": overall_status(results, waivers),
        "exit_code": exit_code(results, strict=strict),
        "recommendations": recommendations(results, subject, lang) + _about_waivers(results, waivers, lang),
        "duration_s": round(timing.duration_s, 3),
        "plugins": _plugins(results),
        "waivers": _waivers(results, waivers, lang),
    }


def _plugins(results: Sequence[Result]) -> List[Dict[str, Any]]:
    """Return every plugin that has results here, by name."""
    by_name: Dict[str, List[Check]] = {}
    for result in results:
        if result.check.plugin is not None:
            by_name.setdefault(result.check.plugin.name, []).append(result.check)
    return [
        {"source": name, "kind": checks[0].plugin.kind or None, "checks": [check.id for check in checks]}
        for name, checks in by_name.items()
        if checks[0].plugin is not None
    ]


def state_of(waiver: Waiver, results: Sequence[Result]) -> str:
    """Return what a waiver does in this run: ``applied``, ``unused`` or ``expired``."""
    if waiver.expired:
        return "expired"
    return "applied" if any(result.waiver == waiver for result in results) else "unused"


def _waivers(results: Sequence[Result], waivers: Waivers, lang: str) -> Dict[str, Any]:
    return {
        "file": str(waivers.file) if waivers.file else None,
        "gap": waivers.gap.to(lang) if waivers.gap else "",
        "listed": [
            {**waiver.to_dict(), "state": state_of(waiver, results)} for waiver in waivers.concerning(results)
        ],
    }


def _about_waivers(results: Sequence[Result], waivers: Waivers, lang: str) -> List[str]:
    """Return a line for each waiver that has run out, and one for a file that could not be seen."""
    lines = [waivers.gap.to(lang)] if waivers.gap else []
    for waiver in waivers.concerning(results):
        if waiver.expired:
            day = waiver.expires.isoformat()
            what = Text(
                f"예외가 {day}에 만료되어 적용하지 않았습니다. 고치거나 새로 승인받거나 지우십시오",
                f"the waiver ran out on {day} and was not applied: correct the finding, renew the waiver or remove it",
            )
            lines.append(f"[{waiver.check}] {what.to(lang)}")
    return lines


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
    open_findings = [result for result in results if result.is_open]
    open_findings.sort(key=lambda r: (r.status is not Status.FAIL, order.index(r.check.severity)))
    ids: Dict[str, List[str]] = {}
    for result in open_findings:
        text = recommendation(result, subject, lang)
        if text:
            ids.setdefault(text, []).append(result.check.id)
    return [f"[{', '.join(names)}] {text}" for text, names in ids.items()]


def _entry(result: Result, subject: Subject, lang: str) -> Dict[str, Any]:
    check, outcome = result.check, result.outcome
    entry: Dict[str, Any] = {
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
    if check.plugin is not None:
        entry["plugin"] = check.plugin.name
    if result.waiver is not None:
        entry["waiver"] = {"reason": result.waiver.reason, "expires": result.waiver.expires.isoformat()}
    return entry
