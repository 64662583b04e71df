"""Run steps; if one fails, undo those begun, newest first."""

from __future__ import annotations

from typing import Callable, Optional, Protocol, Sequence

from bundle.errors import (
    InternalError,
    Interrupted,
    RagTraceError,
    RecoveryNeededError,
    RestoredError,
    UnhealthyError,
)
from bundle.text import Text

from .console import Console
from .health import Sick, describe
from .hosts.interface import ServiceError
from .journal import Journal
from .plan import PlannedStep
from .reserve import is_full
from .signals import Stopped, settle, shielded


class Step(Protocol):
    """One reversible change. `undo` must also cope with an `apply` that got only part of the way."""

    def apply(self) -> None:
        """Make the change."""

    def undo(self) -> None:
        """Take it back; twice does no harm."""


def run(
    planned: Sequence[PlannedStep],
    steps: Sequence[Step],
    journal: Journal,
    console: Console,
    *,
    restored: Text,
    recovery_command: str,
    make_room: Callable[[], None],
) -> None:
    """Apply the steps in order; after a failure undo them and raise what says so.

    Args:
        planned: names and titles, one for each step.
        steps: what to apply.
        journal: told of every step.
        console: told of every stage.
        restored: the state things are in once everything is undone.
        recovery_command: what the operator must run if undoing fails too.
        make_room: frees reserved bytes; called when the disk is full, before undoing.

    Raises:
        RagTraceError: always the final state of things; the cause is its ``__cause__``.
    """
    begun: list[tuple[PlannedStep, Step]] = []
    try:
        for number, (plan, step) in enumerate(zip(planned, steps), 1):
            console.stage(number, len(planned), plan.title, plan.bytes)
            journal.note("step", step=plan.name, bytes=plan.bytes)
            begun.append((plan, step))
            step.apply()
        settle()
    except BaseException as cause:
        with shielded():
            if is_full(cause):
                make_room()
            _undo(begun, cause, journal, console, recovery_command)
            journal.note("end", outcome="undone", cause=repr(cause))
        raise translate(cause, restored) from cause


def _undo(
    begun: Sequence[tuple[PlannedStep, Step]],
    cause: BaseException,
    journal: Journal,
    console: Console,
    recovery_command: str,
) -> None:
    """Undo everything that can be undone, also past a failure, and only then report failures."""
    failures: list[tuple[str, Exception]] = []
    console.note(Text("되돌리는 중", "putting things back"))
    for plan, step in reversed(begun):
        journal.note("undo", step=plan.name)
        try:
            step.undo()
        except Exception as error:  # noqa: BLE001 - collected and raised below
            failures.append((plan.name, error))
    if failures:
        journal.note("stuck", failures=[f"{name}: {error!r}" for name, error in failures])
        raise RecoveryNeededError(
            Text(
                "작업이 실패했고 완전히 되돌리지 못했습니다",
                "the operation failed and could not be undone completely",
            ),
            where=failures[0][0],
            details=[describe(cause), *(describe(error) for _, error in failures)],
            state=Text("일부만 되돌려졌습니다", "some steps were put back, some were not"),
            hint=Text(
                f"원인을 없앤 뒤 실행: {recovery_command}", f"remove the cause, then run: {recovery_command}"
            ),
        ) from cause


def translate(cause: BaseException, restored: Optional[Text]) -> RagTraceError:
    """Return the error a person sees for what happened, now that everything is as it was."""
    if isinstance(cause, (Stopped, KeyboardInterrupt)):
        return Interrupted(
            Text("중단되었습니다", "interrupted"),
            state=restored,
            hint=Text("다시 실행할 수 있습니다", "it can be run again"),
        )
    if isinstance(cause, Sick):
        details = [Text(line, line) for line in cause.log.splitlines()[-10:]]
        return UnhealthyError(cause.reason, details=details, state=restored, hint=_look(cause))
    if isinstance(cause, RagTraceError):
        cause.state, cause.hint = cause.state or restored, cause.hint or _again()
        return cause
    if isinstance(cause, (OSError, ServiceError)):
        summary = describe(cause)
        where = str(getattr(cause, "filename", None) or "")
        return RestoredError(
            Text(f"실패했습니다: {summary.ko}", f"failed: {summary.en}"),
            where=where,
            state=restored,
            hint=_again(),
        )
    return InternalError(
        Text(f"내부 오류: {cause!r}", f"internal error: {cause!r}"),
        state=restored,
        hint=Text(
            "이 메시지와 state/journal.jsonl을 보내 주십시오", "please report this with state/journal.jsonl"
        ),
    )


def _look(sick: Sick) -> Text:
    kept = ", ".join(str(path) for path in sick.kept)
    if not kept:
        return Text("data/logs의 로그를 확인하십시오", "see the logs in data/logs")
    return Text(f"보관한 로그를 확인하십시오: {kept}", f"see the logs that were kept: {kept}")


def _again() -> Text:
    return Text("원인을 없앤 뒤 다시 실행하십시오", "remove the cause and run again")
