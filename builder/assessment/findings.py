"""What an audit finds and what the policy makes of it, as frozen data.

The findings themselves have the shapes of `bundle.advisories`, because the isolated side reads them too;
waivers and the verdict exist only here, where the decision is made.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from bundle.advisories import Advisory, AuditReport, Pinned, Severity, Unknown

__all__ = [
    "LEVELS",
    "Advisory",
    "AuditReport",
    "Pinned",
    "Severity",
    "Unknown",
    "Verdict",
    "Waived",
    "Waiver",
]

# What a policy may fail on, worst first; ``none`` fails on nothing.
LEVELS = ("critical", "high", "medium", "low", "none")


@dataclass(frozen=True)
class Waiver:
    """A person's decision to carry a package in spite of an advisory, until `expires` (inclusive).

    `id` is an advisory's id or one of its aliases, or ``unknown`` for a package nobody answered about.
    """

    id: str
    package: str
    reason: str
    expires: date


@dataclass(frozen=True)
class Waived:
    """A finding that would fail and the waiver that lets it pass."""

    finding: Advisory | Unknown
    waiver: Waiver


@dataclass(frozen=True)
class Verdict:
    """What the policy says about a report.

    `failing` are the advisories and `unknown` the unanswered packages that stop the build; `waived` would
    have; `expired_waivers` would have waived something failing but are past their day; `unused_waivers`
    match nothing and can be deleted. `policy` is the level of ``--fail-on``.
    """

    passed: bool
    failing: tuple[Advisory, ...]
    waived: tuple[Waived, ...]
    unknown: tuple[Unknown, ...]
    expired_waivers: tuple[Waiver, ...]
    unused_waivers: tuple[Waiver, ...]
    policy: str
