"""The use cases: install, roll back, start, stop. Each reads from top to bottom as what it does."""

from __future__ import annotations

import os
import shlex
import sys
import time
import uuid
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Iterator, Optional

from bundle.errors import PreflightError, RagTraceError, UsageProblem
from bundle.manifest import Manifest
from bundle.text import Text
from bundle.trust import Anchors
from bundle.verify import VerifiedBundle, clock_warning, open_bundle

from . import activation, audit, facts, generations, preflight, reserve, settings, steps
from .console import Console
from .facts import HostFacts
from .filesystem import make_directories, make_directory
from .health import describe
from .journal import Journal
from .lock import Lock
from .paths import TEMPORARY_PYTHON, Prefix, generation_name
from .plan import Plan, PlannedStep, Request, plan_install
from .recovery import recover
from .service import define, manifest_of
from .state import InstallationState, read_state
from .transaction import run, translate

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


def verify(root: Path, anchors: Anchors, allow_unverified: bool, console: Console) -> VerifiedBundle:
    """Verify a bundle with a stage line and a percentage; nothing is written.

    A clock that cannot tell whether the bundle has expired is warned about.
    """
    total = sum(entry.stat().st_size for entry in root.rglob("*") if entry.is_file()) if root.is_dir() else 0
    title = Text("번들 검증 (서명과 모든 파일)", "verify the bundle (signature and every file)")
    console.announce(title, total)
    bundle = open_bundle(
        root, anchors, allow_unverified_origin=allow_unverified, on_bytes=console.progress(title, total)
    )
    warning = clock_warning(bundle.manifest)
    if warning is not None:
        console.warn(warning)
    return bundle


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


@dataclass(frozen=True)
class Decision:
    """A verified bundle, the host and the plan made from them."""

    bundle: VerifiedBundle
    facts: HostFacts
    state: InstallationState
    plan: Plan


def decide(prefix: Prefix, bundle: VerifiedBundle, request: Request) -> Decision:
    """Look at host and installation, plan, and refuse with every finding where it would not work."""
    manifest = bundle.manifest
    state = read_state(prefix)
    status = activation.observed(prefix, state.service, activation.host_for(state.service))
    state = replace(state, running=status.generation if status.running else "")
    host, port = _address(manifest, state, request)
    pythons = () if _built(bundle, state) else manifest.target.pythons
    found = facts.gather(prefix.root, pythons, request.python, request.manager != "process", host, port)
    plan = plan_install(found, manifest, bundle.digest, state, request)
    preflight.check_policy(manifest, plan, state, request)
    preflight.require(preflight.check_host(found, manifest, state, plan, request), str(prefix.root))
    return Decision(bundle, found, state, plan)


def _built(bundle: VerifiedBundle, state: InstallationState) -> bool:
    return generation_name(bundle.manifest.sequence, bundle.digest) in state.complete


def _address(manifest: Manifest, state: InstallationState, request: Request) -> tuple[str, int]:
    if manifest.service is None or request.manager == "none" or not request.start:
        return "", 0
    known = state.service
    host = request.host or (known.host if known else manifest.service.host)
    return host, request.port or (known.port if known else manifest.service.port)


def install(
    prefix: Prefix, root: Path, anchors: Anchors, allow_unverified: bool, request: Request, console: Console
) -> Done:
    """Verify, decide, build, switch, start, wait until healthy, commit - or put everything back.

    Nothing is written before the bundle is verified and the host found fit, but what recovering an earlier
    run takes.
    """
    if not prefix.state.is_dir():
        bundle = verify(root, anchors, allow_unverified, console)
        decide(prefix, bundle, request)
        create(prefix)
        with opened(prefix, console) as lock:
            return _install(prefix, decide(prefix, bundle, request), request, lock, console)
    with opened(prefix, console) as lock:
        bundle = verify(root, anchors, allow_unverified, console)
        return _install(prefix, decide(prefix, bundle, request), request, lock, console)


def _install(prefix: Prefix, decision: Decision, request: Request, lock: Lock, console: Console) -> Done:
    bundle, plan = decision.bundle, decision.plan
    begun = time.monotonic()
    if plan.action != "none":
        _transact(prefix, plan, bundle.manifest, decision.state.service, lock, console, bundle)
        if plan.action == "upgrade" or plan.action == "install":
            _aftercare(prefix, plan, console)
    seconds = time.monotonic() - begun
    return Done(plan.action, plan.generation, plan.version, plan.settings, seconds, bundle.origin.status)


def _transact(
    prefix: Prefix,
    plan: Plan,
    manifest: Manifest,
    before: Optional[settings.ServiceSettings],
    lock: Lock,
    console: Console,
    bundle: Optional[VerifiedBundle] = None,
) -> steps.Context:
    """Run the plan's steps as one transaction, with journal and audit."""
    operation = "install" if bundle is not None else "rollback"
    journal = Journal(prefix.journal, operation)
    context = steps.Context(
        prefix=prefix, plan=plan, manifest=manifest, console=console,
        host=activation.host_for(plan.settings), old_host=activation.host_for(before), before=before,
        transaction=uuid.uuid4().hex, bundle=bundle, lock=lock.descriptor,
    )  # fmt: skip
    came_from = plan.base.generation if plan.base is not None else ""
    told = {"from": came_from, "to": plan.generation, "manifest": plan.digest}
    restored = _restored(plan)
    try:
        reserve.ensure(prefix)
        journal.begin(transaction=context.transaction, **told)
    except OSError as error:
        raise translate(error, UNCHANGED) from error
    try:
        run(
            plan.steps, steps.make(context), journal, console, restored=restored,
            recovery_command=same_command(), make_room=lambda: reserve.release(prefix),
        )  # fmt: skip
    except RagTraceError as error:
        _record(prefix, console, operation, error.reference, **told)
        raise
    journal.note("end", outcome="committed")
    origin = bundle.origin.status if bundle is not None else ""
    _record(prefix, console, operation, "ok", origin=origin, **told)
    return context


def _restored(plan: Plan) -> Text:
    if plan.base is None:
        return Text("아무것도 설치되지 않은 상태로 되돌렸습니다", "back to nothing being installed")
    name = plan.base.generation
    return Text(f"이전 릴리스 {name}의 상태 그대로입니다", f"the earlier release {name} is as it was")


def _record(prefix: Prefix, console: Console, action: str, outcome: str, **told: str) -> None:
    try:
        audit.record(prefix, action, outcome, **told)
    except OSError as error:
        console.warn(
            Text(f"감사 기록을 쓰지 못했습니다: {error}", f"the audit record could not be written: {error}")
        )


def _aftercare(prefix: Prefix, plan: Plan, console: Console) -> None:
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


def rollback(prefix: Prefix, wanted: str, console: Console) -> Done:
    """Point to a kept release, restart, wait until it is healthy - or stay where we were.

    Raises:
        UsageProblem: nothing is installed, or there is no such release.
    """
    require_installation(prefix)
    begun = time.monotonic()
    with opened(prefix, console) as lock:
        state = read_state(prefix)
        if state.pointer is not None and wanted and state.pointer.generation.startswith(wanted):
            name = state.pointer.generation
            version = manifest_of(prefix, name).version
            return Done("none", name, version, state.service, time.monotonic() - begun)
        target = choose_release(state, wanted)
        manifest = manifest_of(prefix, target)
        plan = plan_rollback(prefix, state, target, manifest)
        _transact(prefix, plan, manifest, state.service, lock, console)
    return Done("rollback", target, plan.version, plan.settings, time.monotonic() - begun)


def choose_release(state: InstallationState, wanted: str) -> str:
    """Return the kept release to go back to: the named one (a unique beginning is enough), else the newest
    that is older than the active one.

    Raises:
        UsageProblem: there is none; the message names what is kept.
    """
    if state.pointer is None:
        raise UsageProblem(Text("설치된 것이 없습니다", "nothing is installed"), state=UNCHANGED)
    kept = [name for name in state.pointer.previous if name in state.complete]
    fitting = [name for name in kept if name.startswith(wanted)] if wanted else []
    if not wanted:
        fitting = [name for name in kept if int(name.split("-")[0]) < state.pointer.sequence][:1]
    if len(fitting) != 1:
        names = ", ".join(kept) or "-"
        raise UsageProblem(
            Text(
                f"돌아갈 릴리스가 없습니다 (보관 중: {names})",
                f"no such release to go back to (kept: {names})",
            ),
            state=UNCHANGED,
            hint=Text("--rollback 뒤에 릴리스 이름을 주십시오", "name a kept release after --rollback"),
        )
    return fitting[0]


def plan_rollback(prefix: Prefix, state: InstallationState, target: str, manifest: Manifest) -> Plan:
    """Return the steps of a rollback."""
    steps_ = [
        PlannedStep("check", Text("돌아갈 릴리스 확인", "check the release to go back to")),
        PlannedStep("standby", Text("현재 상태 기록", "note what runs now")),
        PlannedStep("switch", Text("현재 릴리스 전환", "switch the current release")),
        PlannedStep("unit", Text("서비스 등록", "register the service")),
    ]
    service = state.service
    if service is not None and service.enabled and service.manager != "none":
        steps_.append(PlannedStep("start", Text("서비스 시작", "start the service")))
        steps_.append(PlannedStep("health", Text("상태 확인", "wait until healthy")))
    steps_.append(PlannedStep("accept", Text("확정", "commit")))
    digest = generations.digest_of(prefix, target)
    return Plan(
        "rollback",
        target,
        digest,
        manifest.version,
        manifest.sequence,
        state.pointer,
        None,
        None,
        service,
        tuple(steps_),
    )


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


def control(prefix: Prefix, start: bool, console: Console) -> Done:
    """Start or stop the service, and remember what was wanted.

    Raises:
        UsageProblem: there is no service to control.
    """
    from .health import Sick, wait_until_healthy
    from .hosts.interface import ServiceError

    require_installation(prefix)
    begun = time.monotonic()
    with opened(prefix, console, serve=False):
        state = read_state(prefix)
        if state.pointer is None or state.service is None:
            raise UsageProblem(
                Text("설치된 서비스가 없습니다", "no service is installed"), where=str(prefix.root)
            )
        wanted = replace(state.service, enabled=start)
        definition = define(prefix, state.pointer.generation, wanted)
        host = activation.host_for(wanted)
        try:
            settings.write(prefix, wanted)
            if not start or definition is None:
                activation.stop(prefix, wanted, host)
            else:
                host.install_unit(definition)
                host.start(definition)
                wait_until_healthy(definition, host)
        except (OSError, ServiceError, Sick) as error:
            raise translate(
                error, Text("릴리스는 바뀌지 않았습니다", "the release was not changed")
            ) from error
        _record(prefix, console, "start" if start else "stop", "ok", to=state.pointer.generation)
        version = manifest_of(prefix, state.pointer.generation).version
    return Done(
        "start" if start else "stop", state.pointer.generation, version, wanted, time.monotonic() - begun
    )
