"""Errors of the service: each says what, where, what state things are in, and what to do next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from ragtrace.text import Text


class RagTraceError(Exception):
    """Base of every error a user can meet.

    `error_type` and `status` are what the HTTP interface answers with, `exit_code` what the command line ends with.
    """

    reference: ClassVar[str] = "RT-000"
    exit_code: ClassVar[int] = 1
    status: ClassVar[int] = 500
    error_type: ClassVar[str] = "internal"

    def __init__(
        self,
        summary: Text,
        *,
        where: str = "",
        state: Text | None = None,
        hint: Text | None = None,
        details: Sequence[Text] = (),
    ) -> None:
        super().__init__(summary.en)
        self.summary = summary
        self.where = where
        self.state = state
        self.hint = hint
        self.details = tuple(details)

    def render(self, lang: str) -> str:
        """Return the error for a person, several lines."""
        label = {"ko": ("오류", "위치", "상태", "다음"), "en": ("error", "where", "state", "next")}[lang]
        lines = [f"{label[0]} [{self.reference}]: {self.summary.to(lang)}"]
        lines += [f"  - {detail.to(lang)}" for detail in self.details]
        if self.where:
            lines.append(f"  {label[1]}: {self.where}")
        if self.state:
            lines.append(f"  {label[2]}: {self.state.to(lang)}")
        if self.hint:
            lines.append(f"  {label[3]}: {self.hint.to(lang)}")
        return "\n".join(lines)


class UsageProblem(RagTraceError):
    """A command was called in a way that cannot work."""

    reference = "RT-100"
    exit_code = 2


class ConfigProblem(RagTraceError):
    """The configuration cannot be used."""

    reference = "RT-101"
    exit_code = 2


class AccessProblem(RagTraceError):
    """A file or folder may not be read or written by the user the program runs as."""

    reference = "RT-102"


class BusyProblem(RagTraceError):
    """Another process is changing the documents right now."""

    reference = "RT-103"
    status = 503
    error_type = "busy"


class ParseProblem(RagTraceError):
    """A document cannot be read as what it claims to be."""

    reference = "RT-110"
    status = 422
    error_type = "unreadable_document"


class StorageProblem(RagTraceError):
    """The records or the index cannot be opened, read or written."""

    reference = "RT-120"
    error_type = "storage"


class FormatProblem(StorageProblem):
    """The data is of another release, or nobody knows of which: waiting does not help."""

    reference = "RT-121"


class IndexDamage(StorageProblem):
    """The search index is damaged; the records, from which it is made anew, are not concerned."""

    reference = "RT-122"


class BackupProblem(StorageProblem):
    """A backup cannot be made, or what is given is none that could be put back."""

    reference = "RT-123"


class StartProblem(RagTraceError):
    """The service cannot start."""

    reference = "RT-130"


class InvalidRequest(RagTraceError):
    """A request cannot be understood."""

    reference = "RT-200"
    exit_code = 2
    status = 422
    error_type = "invalid_request"


class TooLarge(InvalidRequest):
    """A request is over a size limit."""

    reference = "RT-201"
    status = 413
    error_type = "too_large"


class NotSupported(InvalidRequest):
    """A request asks for something this configuration has no part for."""

    reference = "RT-202"
    error_type = "not_supported"


class NoVisionModel(NotSupported):
    """A request carries an image, and no vision model is configured."""

    reference = "RT-203"
    error_type = "no_vision_model"


class NotReady(RagTraceError):
    """The service is still loading its parts."""

    reference = "RT-210"
    status = 503
    error_type = "not_ready"


class LocalOnly(RagTraceError):
    """A request may only come from the host itself."""

    reference = "RT-212"
    status = 403
    error_type = "local_only"


class Overloaded(RagTraceError):
    """As many requests as allowed are being answered already."""

    reference = "RT-211"
    status = 503
    error_type = "overloaded"


class ModelProblem(RagTraceError):
    """A model is missing, damaged, of another kind, or its numbers mean nothing."""

    reference = "RT-140"
    status = 503
    error_type = "model_unavailable"


class UpstreamProblem(RagTraceError):
    """A server that the configuration names cannot be reached, or answered nonsense."""

    reference = "RT-141"
    status = 502
    error_type = "upstream"
