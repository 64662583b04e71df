"""Checks, outcomes and results: plain data without input or output."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Callable, Dict, Mapping, Optional, Sequence, Tuple

from bundle.text import Text
from validator import limits

if TYPE_CHECKING:
    from validator.plugins.source import Source
    from validator.subject import Subject
    from validator.waivers import Waiver

ID = re.compile(r"[A-Z]{2,5}-[0-9]{3}\Z")
# What the validator calls a plugin that gave no check.
PLUGIN_LOADING = "PLUG"
OWN_PREFIXES = ("SYS", "TOOL", "PKG", "RAG", "PERF", "SEC")


def is_reserved(identity: str) -> bool:
    """Tell whether an id belongs to the validator itself, so that no plugin may use it."""
    return identity.partition("-")[0] in (*OWN_PREFIXES, PLUGIN_LOADING)


class Status(str, Enum):
    """What a check says; only ``PASS`` counts as passed."""

    PASS = "pass"
    WARN = "warn"
    FAIL = "fail"
    SKIP = "skip"
    ERROR = "error"
    UNKNOWN = "unknown"


class Severity(str, Enum):
    """How much a finding of this check matters."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class Category(str, Enum):
    """The six categories of the report, in the order in which they are shown."""

    SYSTEM = "System"
    TOOLS = "Tools"
    PACKAGES = "Packages"
    RAGTRACE = "RAGTrace"
    PERFORMANCE = "Performance"
    SECURITY = "Security"


@dataclass(frozen=True)
class Outcome:
    """What one check found.

    ``remedy`` names an entry of ``validator.remedies``: a check proposes from a fixed list and never writes a
    command of its own. ``not_installed`` marks a skip that only says that there is nothing to look at yet. ``figures`` are what was measured, by the keys of
    ``bundle.expectations``, for the host's history.
    """

    status: Status
    details: Text
    measured: str = ""
    expected: str = ""
    cause: Optional[Text] = None
    remedy: str = ""
    not_installed: bool = False
    figures: Mapping[str, float] = field(default_factory=dict)

    def to_wire(self) -> Dict[str, Any]:
        """Return plain data for the pipe between child and parent."""
        return {
            "status": self.status.value,
            "details": list(self.details),
            "measured": self.measured,
            "expected": self.expected,
            "cause": list(self.cause) if self.cause else None,
            "remedy": self.remedy,
            "not_installed": self.not_installed,
            "figures": dict(self.figures),
        }

    @classmethod
    def from_wire(cls, data: Dict[str, Any]) -> Outcome:
        """Rebuild an outcome; raises ``KeyError``, ``TypeError`` or ``ValueError`` on anything malformed."""
        cause = data["cause"]
        return cls(
            Status(data["status"]),
            _text(data["details"]),
            str(data["measured"]),
            str(data["expected"]),
            _text(cause) if cause else None,
            str(data["remedy"]),
            bool(data["not_installed"]),
            {str(key): float(value) for key, value in dict(data.get("figures", {})).items()},
        )


def _text(pair: Sequence[object]) -> Text:
    ko, en = pair
    return Text(str(ko), str(en))


def passed(details: Text, *, measured: str = "", expected: str = "") -> Outcome:
    """Return the outcome of a check that is satisfied."""
    return Outcome(Status.PASS, details, measured, expected)


def skipped(reason: Text) -> Outcome:
    """Return the outcome of a check that does not apply here; the reason is mandatory."""
    return Outcome(Status.SKIP, reason)


def unknown(reason: Text, *, measured: str = "", expected: str = "", remedy: str = "") -> Outcome:
    """Return the outcome of a check that ran but could not see what it needed."""
    return Outcome(Status.UNKNOWN, reason, measured, expected, None, remedy)


@dataclass(frozen=True)
class Check:
    """One registered check: stable identity, limits and the function that looks.

    ``plugin`` says where a check that is not ours comes from; ``settled`` is what is known about it already,
    without running anything (a plugin that could not be loaded).
    """

    id: str
    category: Category
    title: Text
    severity: Severity
    function: Callable[[Subject], Outcome]
    platforms: Tuple[str, ...] = ("linux", "darwin", "win32")
    timeout_s: float = 5.0
    memory_mb: int = limits.CHECK_MEMORY_MB
    needs_installation: bool = False
    needs_service: bool = False
    own_process: bool = False
    plugin: Optional[Source] = None
    settled: Optional[Outcome] = None

    @property
    def anchor(self) -> str:
        """Return where the documentation explains this check."""
        if self.plugin is not None:
            return "docs/how-to/validator-plugins.md"
        return "docs/reference/checks.md#" + self.id.lower()


@dataclass(frozen=True)
class Result:
    """Exactly one of these exists for every check that was asked for."""

    check: Check
    outcome: Outcome
    duration_s: float = 0.0
    notes: Tuple[str, ...] = field(default=())
    waiver: Optional[Waiver] = None

    @property
    def status(self) -> Status:
        """Return the raw status."""
        return self.outcome.status

    @property
    def counted(self) -> Status:
        """Return the status that verdict and exit code count: a waived finding counts as passed."""
        return self.status if self.waiver is None else Status.PASS

    @property
    def is_open(self) -> bool:
        """Tell whether somebody has to look at this result."""
        return self.counted not in (Status.PASS, Status.SKIP)


def check(
    identity: str,
    category: Category,
    title: Text,
    *,
    severity: Severity = Severity.MEDIUM,
    platforms: Tuple[str, ...] = ("linux", "darwin", "win32"),
    timeout_s: float = 5.0,
    memory_mb: int = limits.CHECK_MEMORY_MB,
    needs_installation: bool = False,
    needs_service: bool = False,
    own_process: bool = False,
) -> Callable[[Callable[[Subject], Outcome]], Check]:
    """Turn a function into a `Check`; a module lists its checks in ``CHECKS``."""

    def wrap(function: Callable[[Subject], Outcome]) -> Check:
        return Check(
            identity,
            category,
            title,
            severity,
            function,
            platforms,
            timeout_s,
            memory_mb,
            needs_installation or needs_service,
            needs_service,
            own_process,
        )

    return wrap
