"""What every operation does around its own work: the lock, recovery, the transaction, the record."""

from __future__ import annotations

import os
import shlex
import sys
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Iterator, Optional

from bundle.errors import PreflightError, RagTraceError, UsageProblem
from bundle.manifest import Manifest
from bundle.text import Text
from bundle.verify import VerifiedBundle

from .. import activation, audit, generations, reserve, settings
from ..console import Console
from ..filesystem import make_directories, make_directory
from ..health import describe
from ..journal import Journal
from ..lock import Lock
from ..paths import TEMPORARY_PYTHON, Prefix
from ..plan import Plan
from ..recovery import recover
from ..state import read_state
from ..steps import make
from ..steps.context import Context
from ..transaction import run, translate

UNCHANGED = Text("아무것도 바꾸지 않았습니다", "nothing was changed")


@dataclass(frozen=True)
class Done:
    """What an operation came to."""

    action: str
    generation: str
    version: str
    service: Optional[settings.ServiceSettings]
    seconds: float
    origin: str = ""


def same_command() -> str:
    """Return the command that was given, ready to be given again."""
    if os.environ.get(TEMPORARY_PYTHON):
        # This interpreter goes with the run; install.sh unpacks it again.
        return " ".join(
            shlex.quote(w) for w in ["sh", str(Path(sys.argv[0]).with_name("install.sh")), *sys.argv[1:]]
        )
    return " ".join(shlex.quote(word) for word in [sys.executable or "python3", *sys.argv])


@contextmanager
def opened(prefix: Prefix, console: Console, *, serve: bool = True) -> Iterator[Lock]:
    """Hold the lock of an installation that exists, recovered from whatever happened before."""
    with Lock(prefix.lock) as lock:
        recovered = recover(prefix, same_command(), serve=serve)
        for action in recovered.actions:
            console.note(Text(f"복구: {action.ko}", f"recovered: {action.en}"))
        yield lock


def create(prefix: Prefix) -> None:
    """Make the folders that every installation has.

    Raises:
        PreflightError: the place cannot be written to.
    """
    try:
        make_directories(prefix.root)
        for folder in (prefix.state, prefix.trust, prefix.generations):
            make_directory(folder)
    except (PermissionError, NotADirectoryError) as error:
        raise PreflightError(
            Text(f"쓸 수 없습니다: {error}", f"not writable: {error}"),
            where=str(prefix.root),
            state=UNCHANGED,
            hint=Text("다른 --prefix를 주거나 관리자 권한으로 실행", "give another --prefix, or run as root"),
        ) from error


def require_installation(prefix: Prefix) -> None:
    """Refuse where there is no installation to work on.

    Raises:
        UsageProblem: there is none.
    """
    if not prefix.state.is_dir():
        raise UsageProblem(
            Text("여기에는 설치된 것이 없습니다", "nothing is installed here"),
            where=str(prefix.root),
            hint=Text("--prefix를 확인하십시오", "check --prefix"),
        )


def transact(
    operation: str,
    prefix: Prefix,
    plan: Plan,
    manifest: Manifest,
    before: Optional[settings.ServiceSettings],
    lock: Lock,
    console: Console,
    bundle: Optional[VerifiedBundle] = None,
) -> Context:
    """Run the plan's steps as one transaction, with journal and audit.

    Args:
        operation: its name in journal and audit: ``install``, ``rollback``, ``repair`` …
        prefix: the installation; `lock` is held.
        plan: what to do.
        manifest: of the release that is to run afterwards.
        before: how the service was run until now.
        lock: children inherit its descriptor.
        console: told of every step.
        bundle: what is installed, if anything is.

    Raises:
        RagTraceError: it did not work; everything is as it was, or the error says what is not.
    """
    journal = Journal(prefix.journal, operation)
    context = Context(
        prefix=prefix, plan=plan, manifest=manifest, console=console,
        host=activation.host_for(plan.settings), old_host=activation.host_for(before), before=before,
        transaction=uuid.uuid4().hex, bundle=bundle, lock=lock.descriptor,
    )  # fmt: skip
    came_from = plan.base.generation if plan.base is not None else ""
    told = {"from": came_from, "to": plan.generation, "manifest": plan.digest}
    try:
        reserve.ensure(prefix)
        journal.begin(transaction=context.transaction, **told)
    except OSError as error:
        raise translate(error, UNCHANGED) from error
    try:
        run(
            plan.steps, make(context), journal, console, restored=_restored(plan),
            recovery_command=same_command(), make_room=lambda: reserve.release(prefix),
        )  # fmt: skip
    except RagTraceError as error:
        record(prefix, console, operation, error.reference, **told)
        raise
    journal.note("end", outcome="committed")
    origin = bundle.origin.status if bundle is not None else ""
    record(prefix, console, operation, "ok", origin=origin, **told)
    return context


def _restored(plan: Plan) -> Text:
    if plan.base is None:
        return Text("아무것도 설치되지 않은 상태로 되돌렸습니다", "back to nothing being installed")
    name = plan.base.generation
    return Text(f"이전 릴리스 {name}의 상태 그대로입니다", f"the earlier release {name} is as it was")


def record(prefix: Prefix, console: Console, action: str, outcome: str, **told: str) -> None:
    """Write an audit record; the operation is over, so trouble here is a warning."""
    try:
        audit.record(prefix, action, outcome, **told)
    except OSError as error:
        console.warn(
            Text(f"감사 기록을 쓰지 못했습니다: {error}", f"the audit record could not be written: {error}")
        )


def aftercare(prefix: Prefix, plan: Plan, console: Console) -> None:
    """Collect old releases and fill the reserve again. The release is committed: trouble here is a warning."""
    try:
        current = read_state(prefix).pointer
        if current is not None:
            for name in generations.collect(prefix, current):
                console.note(Text(f"오래된 릴리스 제거: {name}", f"removed the old release {name}"))
        reserve.ensure(prefix)
    except OSError as error:
        text = describe(error)
        console.warn(Text(f"정리를 마치지 못했습니다: {text.ko}", f"tidying up did not end: {text.en}"))
