"""Compare what a validator found with what a defect should show; pure, so that it can be tried without a host."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

STATUSES = ("pass", "warn", "fail", "skip", "error", "unknown", "gone")
EXCELLENT = "EXCELLENT"
NOISE = ("warn", "fail", "error", "unknown")

Statuses = Mapping[str, str]
"""Raw status by check id."""


@dataclass(frozen=True)
class Report:
    """What one run of the validator said."""

    overall: str
    exit_code: int
    statuses: dict[str, str]
    said: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def noise(self) -> dict[str, str]:
        """Every check that neither passed nor had nothing to look at."""
        return {check: status for check, status in self.statuses.items() if status in NOISE}


def expected(text: str) -> dict[str, str]:
    """Read an expectation: `fail PKG-001 PKG-003; skip RAG-005`; nothing means that no check changes."""
    wanted: dict[str, str] = {}
    for part in filter(None, (piece.strip() for piece in text.split(";"))):
        status, *checks = part.split()
        if status not in STATUSES or not checks:
            raise ValueError(f"not a status with checks: {part!r}")
        for check in checks:
            if check in wanted:
                raise ValueError(f"{check} is expected twice")
            wanted[check] = status
    return wanted


def changed(healthy: Statuses, found: Statuses) -> dict[str, str]:
    """Return every check that says something else than on the healthy host; one that is gone says `gone`."""
    now = {check: found.get(check, "gone") for check in {*healthy, *found}}
    return {check: status for check, status in sorted(now.items()) if healthy.get(check) != status}


def present(wanted: Statuses, healthy: Statuses) -> dict[str, str]:
    """Leave out expectations about checks that were not run."""
    return {check: status for check, status in wanted.items() if check in healthy}


def complaints(wanted: Statuses, found: Statuses) -> list[str]:
    """Say for every check how it differs from what was expected."""
    lines = []
    for check in sorted({*wanted, *found}):
        want, have = wanted.get(check, "unchanged"), found.get(check, "unchanged")
        if want != have:
            lines.append(f"{check}: {have}, expected {want}")
    return lines


def spoken(statuses: Statuses) -> str:
    """Write statuses the way an expectation is written."""
    by_status: dict[str, list[str]] = {}
    for check, status in statuses.items():
        by_status.setdefault(status, []).append(check)
    return "; ".join(f"{status} {' '.join(sorted(checks))}" for status, checks in sorted(by_status.items()))


@dataclass(frozen=True)
class Verdict:
    """How one defect went: what was found, what was done about it, and what is wrong with either."""

    name: str
    wanted: Statuses
    found: Statuses
    ending: str
    seconds: float
    problems: tuple[str, ...] = ()

    def line(self) -> str:
        """One row of the table that is printed."""
        mark = "ok " if not self.problems else "BAD"
        return f"{mark} {self.name:<34} {self.seconds:5.1f} s  {self.ending:<9} {spoken(self.found) or '(nothing)'}"


def table(verdicts: Sequence[Verdict]) -> str:
    """Return the whole table for a person, with everything that is wrong below its row."""
    lines = []
    for verdict in verdicts:
        lines.append(verdict.line())
        lines += [f"        {problem}" for problem in verdict.problems]
    good = sum(not verdict.problems for verdict in verdicts)
    total = sum(verdict.seconds for verdict in verdicts)
    return "\n".join([*lines, f"{good} of {len(verdicts)} as expected, {total:.0f} s"])
