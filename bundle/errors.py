"""Errors as small objects: reference, exit code, summary, where, state, hint.

Every error that a person can meet derives from `RagTraceError`; `render` is the one place that turns
one into text. The exit codes are those of `docs/reference/exit-codes.md`.
"""

from __future__ import annotations

from typing import ClassVar, Optional, Sequence

from .text import Text


class RagTraceError(Exception):
    """An error with everything its reader needs: what, where, what state things are in, what to do."""

    reference: ClassVar[str] = "RT-000"
    exit_code: ClassVar[int] = 70
    # Whether the audit log tells of it already.
    audited = False

    def __init__(
        self,
        summary: Text,
        *,
        where: str = "",
        state: Optional[Text] = None,
        hint: Optional[Text] = None,
        details: Sequence[Text] = (),
    ) -> None:
        super().__init__(summary.en)
        self.summary = summary
        self.where = where
        self.state = state
        self.hint = hint
        self.details = tuple(details)

    def render(self, lang: str) -> str:
        """Return the error as lines for a terminal, in `lang`."""
        label = _LABELS["ko" if lang == "ko" else "en"]
        lines = [f"{label['error']} {self.reference}: {self.summary.to(lang)}"]
        lines += [f"  - {detail.to(lang)}" for detail in self.details]
        if self.where:
            lines.append(f"  {label['where']}: {self.where}")
        if self.state is not None:
            lines.append(f"  {label['state']}: {self.state.to(lang)}")
        if self.hint is not None:
            lines.append(f"  {label['next']}: {self.hint.to(lang)}")
        return "\n".join(lines)

    def as_dict(self, lang: str) -> "dict[str, object]":
        """Return the error for ``--json`` output."""
        return {
            "reference": self.reference,
            "exit_code": self.exit_code,
            "summary": self.summary.to(lang),
            "details": [detail.to(lang) for detail in self.details],
            "where": self.where,
            "state": self.state.to(lang) if self.state else "",
            "next": self.hint.to(lang) if self.hint else "",
        }


_LABELS = {
    "ko": {"error": "오류", "where": "위치", "state": "현재 상태", "next": "다음 조치"},
    "en": {"error": "error", "where": "where", "state": "state", "next": "next"},
}


class UsageProblem(RagTraceError):
    """The command line or a configuration file is wrong."""

    reference = "RT-USAGE"
    exit_code = 2


class IntegrityError(RagTraceError):
    """Bytes are not what they were promised to be."""

    reference = "RT-INTEGRITY"
    exit_code = 10


class SignatureError(RagTraceError):
    """The signature is missing, broken, or by somebody who is not trusted."""

    reference = "RT-SIGNATURE"
    exit_code = 10


class PolicyError(RagTraceError):
    """The bundle is genuine but must not be used here: other product, downgrade, expired."""

    reference = "RT-POLICY"
    exit_code = 11


class PreflightError(RagTraceError):
    """The host does not fit; `details` holds every finding."""

    reference = "RT-PREFLIGHT"
    exit_code = 12


class RestoredError(RagTraceError):
    """The operation failed and what ran before runs again."""

    reference = "RT-RESTORED"
    exit_code = 13


class RecoveryNeededError(RagTraceError):
    """The operation failed and could not be undone; the hint holds the command that continues."""

    reference = "RT-RECOVERY"
    exit_code = 14


class BusyError(RagTraceError):
    """Another run holds the lock."""

    reference = "RT-BUSY"
    exit_code = 15


class UnhealthyError(RagTraceError):
    """The new release did not become healthy; the earlier one was restored."""

    reference = "RT-UNHEALTHY"
    exit_code = 16


class BuildError(RagTraceError):
    """The connected side cannot build what was asked for; `details` names every obstacle."""

    reference = "RT-BUILD"
    exit_code = 20


class DownloadError(RagTraceError):
    """A file could not be fetched from its index."""

    reference = "RT-DOWNLOAD"
    exit_code = 21


class SpaceError(RagTraceError):
    """The disk is full, or would be."""

    reference = "RT-SPACE"
    exit_code = 22


class AssessmentError(RagTraceError):
    """What is carried does not pass the policy on known vulnerabilities; `details` lists every finding."""

    reference = "RT-ASSESSMENT"
    exit_code = 23


class InternalError(RagTraceError):
    """A fault of ours; the text says how to report it."""

    reference = "RT-INTERNAL"
    exit_code = 70


class Interrupted(RagTraceError):
    """Ctrl-C or SIGTERM; what was begun has been put back."""

    reference = "RT-INTERRUPTED"
    exit_code = 130
