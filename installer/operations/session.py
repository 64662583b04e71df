"""What every operation does around its own work: the lock, recovery, the transaction, the record."""

from __future__ import annotations

import os
import shlex
import sys
import time
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Iterator, Optional

from bundle.atomic import fsync_directory
from bundle.errors import PreflightError, RagTraceError, UsageProblem
from bundle.manifest import Manifest
from bundle.text import Text

from .. import accepted, activation, audit, breaker, generations, logs, removal, reserve, settings, snapshot
from ..configuration import shown_words
from ..console import Console
from ..filesystem import make_directories, make_directory
from ..health import describe
from ..journal import Journal
from ..lock import Lock
from ..paths import TEMPORARY_PYTHON, Prefix
from ..plan import Plan
from ..recovery import recover
from ..signals import Stopped
from ..sources.interface import Source
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
            shlex.quote(w)
            for w in ["sh", str(Path(sys.argv[0]).with_name("install.sh")), *shown_words(sys.argv[1:])]
        )
    return " ".join(shlex.quote(word) for word in [sys.executable or "python3", *shown_words(sys.argv)])


def command_for(prefix: Prefix, *words: str) -> str:
    """Return another command of the same installer for this installation, ready to be given."""
    if os.environ.get(TEMPORARY_PYTHON):
        program = ["sh", str(Path(sys.argv[0]).with_name("install.sh"))]
    else:
        program = [sys.executable or "python3", sys.argv[0]]
    return " ".join(shlex.quote(word) for word in [*program, "--prefix", str(prefix.root), *words])


# Operations by which an operator says that another attempt is wanted, whatever failed before.
DELIBERATE = ("rollback", "repair", "recover", "start")


@contextmanager
def opened(
    prefix: Prefix, console: Console, *, serve: bool = True, action: str = "attempt"
) -> Iterator[Lock]:
    """Hold the lock of an installation that exists, recovered from whatever happened before.

    Args:
        prefix: the installation.
        console: told of what was recovered.
        serve: recovery also starts the service where it should run.
        action: the operation's name in the audit log, where everything is recorded that fails or is refused
            before its own record is written.
    """
    begun = time.monotonic()
    try:
        with Lock(prefix.lock) as lock:
            recovered = recover(
                prefix, same_command(), serve=serve, deliberate=action in DELIBERATE,
                go_on=command_for(prefix, "--start"),
            )  # fmt: skip
            for done in recovered.actions:
                console.note(Text(f"복구: {done.ko}", f"recovered: {done.en}"))
            yield lock
    except (Exception, Stopped, KeyboardInterrupt) as error:
        if not getattr(error, "audited", False):
            failure = error if isinstance(error, RagTraceError) else translate(error, None)
            seconds = round(time.monotonic() - begun, 3)
            record(prefix, console, action, failure.reference, exit=failure.exit_code, seconds=seconds)
        raise


def create(prefix: Prefix) -> None:
    """Make the folders that every installation has.

    Raises:
        PreflightError: the place cannot be written to.
    """
    try:
        make_directories(prefix.root)
        for folder in (prefix.state, prefix.trust, prefix.generations):
            make_directory(folder)
        # The lock, journal and audit log that follow are worth nothing in a folder that a power cut takes away.
        for folder in (prefix.root, prefix.root.parent):
            fsync_directory(folder)
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
    if not removal.installed(prefix):
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
    bundle: Optional[Source] = None,
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
    told: dict[str, object] = {"from": came_from, "to": plan.generation, "manifest": plan.digest}
    told.update(version=plan.version, transaction=context.transaction)
    if plan.keys:
        told["keys"] = list(plan.keys)
    if bundle is not None:
        told.update(audit.provenance(bundle))
        # Only --allow-downgrade lets this happen: the log says what it let pass.
        older_than = accepted.read(prefix).downgrade_of(plan.generation, plan.sequence)
        if older_than:
            told.update(downgrade_from=older_than)
    begun = time.monotonic()
    try:
        reserve.ensure(prefix)
        journal.begin(**told)
    except OSError as error:
        raise translate(error, UNCHANGED) from error
    try:
        run(
            plan.steps, make(context), journal, console, restored=_restored(plan),
            recovery_command=same_command(), make_room=lambda: reserve.release(prefix),
        )  # fmt: skip
    except RagTraceError as error:
        seconds = round(time.monotonic() - begun, 3)
        record(prefix, console, operation, error.reference, exit=error.exit_code, seconds=seconds, **told)
        error.audited = True
        raise
    # Recorded first: where this is the last that happens, recovery records that the run had not noted its end.
    record(prefix, console, operation, "ok", exit=0, seconds=round(time.monotonic() - begun, 3), **told)
    journal.note("end", outcome="committed")
    try:
        breaker.reset(prefix)
        snapshot.settle(prefix)
    except OSError as error:
        console.warn(describe(error))
    return context


def _restored(plan: Plan) -> Text:
    if plan.base is None:
        return Text("아무것도 설치되지 않은 상태로 되돌렸습니다", "back to nothing being installed")
    name = plan.base.generation
    return Text(f"이전 릴리스 {name}의 상태 그대로입니다", f"the earlier release {name} is as it was")


def record(prefix: Prefix, console: Console, action: str, outcome: str, **told: object) -> None:
    """Write an audit record; the operation is over, so trouble here is a warning."""
    try:
        audit.record(prefix, action, outcome, **told)
    except OSError as error:
        console.warn(
            Text(f"감사 기록을 쓰지 못했습니다: {error}", f"the audit record could not be written: {error}")
        )


def aftercare(prefix: Prefix, plan: Plan, console: Console) -> None:
    """Collect old releases and logs, and fill the reserve again. The release is committed: trouble here is a
    warning."""
    try:
        current = read_state(prefix).pointer
        if current is not None:
            for name in generations.collect(prefix, current):
                console.note(Text(f"오래된 릴리스 제거: {name}", f"removed the old release {name}"))
        logs.prune(prefix)
        reserve.ensure(prefix)
    except OSError as error:
        text = describe(error)
        console.warn(Text(f"정리를 마치지 못했습니다: {text.ko}", f"tidying up did not end: {text.en}"))
