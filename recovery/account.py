"""What came of a session, as plain data: for ``--json`` and for the exit code."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, List, Sequence

from recovery.action import Action
from recovery.causes import Group
from recovery.diagnosis import Diagnosis, Finding
from validator.model import Status
from validator.report import FAIL_EXIT, INCOMPLETE_EXIT, PASS_EXIT, WARN_EXIT

FORMAT = 1
# How a step ended. Only `DONE`, `FAILED` and `INTERRUPTED` may have changed something.
PLANNED, UNAVAILABLE, RIGHTS, DECLINED = "planned", "unavailable", "needs-rights", "declined"
UNRECORDED, DONE, FAILED, INTERRUPTED = "unrecorded", "done", "failed", "interrupted"


@dataclass
class Step:
    """One action for one cause, and how it ended."""

    action: Action
    state: str
    detail: str = ""


@dataclass
class Case:
    """One cause, its findings, whether they were still there, and the steps."""

    group: Group
    gone: bool = False
    steps: List[Step] = field(default_factory=list)


@dataclass
class Account:
    """The whole session. `now` is the last word about every check of the report that was open."""

    diagnosis: Diagnosis
    cases: List[Case] = field(default_factory=list)
    now: Dict[str, Status] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Begin with what the report says."""
        self.now = {finding.id: finding.status for finding in self.open}

    @property
    def open(self) -> Sequence[Finding]:
        """Return the findings that nobody has accepted."""
        return [finding for finding in self.diagnosis.findings if not finding.waived]

    @property
    def changed(self) -> bool:
        """Whether something was tried."""
        states = {step.state for case in self.cases for step in case.steps}
        return bool(states & {DONE, FAILED, INTERRUPTED})

    @property
    def exit_code(self) -> int:
        """Return the validator's exit code for what is left."""
        left = set(self.now.values())
        if Status.FAIL in left:
            return FAIL_EXIT
        if left & {Status.ERROR, Status.UNKNOWN}:
            return INCOMPLETE_EXIT
        return WARN_EXIT if Status.WARN in left else PASS_EXIT

    def to_dict(self, lang: str, prefix: str) -> Dict[str, Any]:
        """Return plain data; nothing in it comes from the report but ids, statuses and its time."""
        return {
            "format": FORMAT,
            "report": self.diagnosis.timestamp or None,
            "prefix": prefix,
            "causes": [_case(case, lang) for case in self.cases],
            "waived": [finding.id for finding in self.diagnosis.findings if finding.waived],
            "left": {name: status.value for name, status in self.now.items() if _is_open(status)},
            "changed": self.changed,
            "exit_code": self.exit_code,
        }


def _is_open(status: Status) -> bool:
    return status not in (Status.PASS, Status.SKIP)


def _case(case: Case, lang: str) -> Dict[str, Any]:
    cause = case.group.cause
    return {
        "id": cause.id,
        "title": cause.title.to(lang),
        "explanation": cause.explanation.to(lang),
        "advice": cause.advice.to(lang),
        "findings": [{"id": found.id, "status": found.status.value} for found in case.group.findings],
        "gone": case.gone,
        "actions": [
            {
                "id": step.action.id,
                "title": step.action.title.to(lang),
                "changes": step.action.changes.to(lang),
                "undo": step.action.undo.to(lang),
                "state": step.state,
                "detail": step.detail,
            }
            for step in case.steps
        ],
    }
