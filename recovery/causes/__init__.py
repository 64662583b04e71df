"""The fixed table: which findings have one cause, what it means, what to do, and which actions may put it right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import List, Sequence, Tuple

from bundle.text import Text
from recovery.causes import host, installation, models, security, service
from recovery.causes.cause import Cause
from recovery.diagnosis import Finding

__all__ = ["CAUSES", "UNKNOWN", "Cause", "Group", "group"]


@dataclass(frozen=True)
class Group:
    """A cause together with the findings of one report that point to it."""

    cause: Cause
    findings: Tuple[Finding, ...]

    @property
    def ids(self) -> Tuple[str, ...]:
        """Return the check ids of the findings."""
        return tuple(finding.id for finding in self.findings)


# In the order in which they are put right: room to work in, then an intact installation, then models, then running
# it; what only a person can do comes last.
CAUSES: Tuple[Cause, ...] = (
    *installation.CAUSES,
    *models.CAUSES,
    *service.CAUSES,
    *security.CAUSES,
    *host.CAUSES,
)

UNKNOWN = Cause(
    "unknown",
    (),
    Text("이 프로그램이 모르는 검사", "Checks that this program does not know"),
    Text(
        "플러그인의 검사이거나, 보고서가 다른 버전의 검증기에서 왔습니다.",
        "They are a plugin's, or the report comes from another version of the validator.",
    ),
    Text(
        "검증기가 그 검사에 적은 내용을 보거나, 이 호스트의 검증기로 보고서를 새로 만드십시오.",
        "See what the validator says about them, or make a new report with this host's validator.",
    ),
)


def group(findings: Sequence[Finding]) -> Tuple[Group, ...]:
    """Return the findings by cause, in the order in which causes are put right; unknown ids come last."""
    known = {identity for cause in CAUSES for identity in cause.checks}
    groups: List[Group] = []
    for cause in CAUSES:
        mine = tuple(finding for finding in findings if finding.id in cause.checks)
        if mine:
            groups.append(Group(cause, mine))
    strangers = tuple(finding for finding in findings if finding.id not in known)
    if strangers:
        groups.append(Group(UNKNOWN, strangers))
    return tuple(groups)
