"""Return to a kept release - with the data it can read."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Optional

from bundle.errors import PolicyError, RecoveryNeededError, UsageProblem
from bundle.manifest import Manifest
from bundle.text import Text

from .. import dataformat, facts, generations, preflight, snapshot
from ..console import Console
from ..paths import Prefix
from ..plan import Plan, PlannedStep, data_steps, snapshot_step
from ..service import manifest_of
from ..snapshot import Snapshot
from ..state import InstallationState, read_state
from .session import UNCHANGED, Done, opened, require_installation, transact


@dataclass(frozen=True)
class Return:
    """What a rollback would do: its plan, the state it starts from, and the release it goes back to."""

    plan: Plan
    state: InstallationState
    manifest: Manifest


def rollback(prefix: Prefix, wanted: str, console: Console, *, restore_data: bool = False) -> Done:
    """Point to a kept release, restart, wait until it is healthy - or stay where we were.

    Args:
        prefix: the installation.
        wanted: the release's name or its beginning; empty for the one before.
        console: told of every step.
        restore_data: also put back the data that the release used, where the present data are not for it.

    Raises:
        UsageProblem: nothing is installed, or there is no such release.
        PolicyError: the data are not for the release, and were not asked to go back too, or cannot.
    """
    require_installation(prefix)
    begun = time.monotonic()
    with opened(prefix, console, action="rollback") as lock:
        decided = decide(prefix, wanted, restore_data)
        state, plan = decided.state, decided.plan
        if plan.steps:
            if plan.restore:
                _announce(prefix, state, plan, console)
            transact("rollback", prefix, plan, decided.manifest, state.service, lock, console)
    return Done(plan.action, plan.generation, plan.version, plan.settings, time.monotonic() - begun)


def decide(prefix: Prefix, wanted: str, restore_data: bool) -> Return:
    """Look, plan, and refuse what would not work; change nothing.

    Raises:
        UsageProblem: there is no such release.
        PolicyError: the release cannot work with the data.
        PreflightError: the disk has no room for a snapshot.
    """
    state = read_state(prefix)
    if state.pointer is not None and wanted and state.pointer.generation.startswith(wanted):
        target = state.pointer.generation
        manifest = manifest_of(prefix, target)
        return Return(_plan(prefix, state, target, manifest, "none", []), state, manifest)
    target = choose_release(state, wanted)
    manifest = manifest_of(prefix, target)
    state = replace(state, data=snapshot.survey(prefix, manifest, state.pointer))
    chosen = choose_data(prefix, state, target, manifest, restore_data)
    if chosen is not None:
        state = replace(state, data=snapshot.counted(prefix, state.data))
    plan = plan_rollback(prefix, state, target, manifest, chosen)
    room = preflight.check_room(facts.look_at(prefix.root), plan, state)
    preflight.require(room, str(prefix.root))
    return Return(plan, state, manifest)


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


def choose_data(
    prefix: Prefix, state: InstallationState, target: str, manifest: Manifest, restore_data: bool
) -> Optional[Snapshot]:
    """Return the snapshot to put back, None where the release can work with the data that are there.

    Raises:
        PolicyError: it cannot, and there is no snapshot for it, or nobody asked for one to be put back.
    """
    wanted = dataformat.declared_by(manifest, state.data)
    found = dataformat.course(state.data, wanted)
    if wanted is None or found in ("none", "begin"):
        return None
    taken = snapshot.fitting(prefix, target, wanted.version)
    if found == "migrate" and (taken is None or not restore_data):
        return None
    if taken is None:
        raise _no_snapshot(state, wanted.version, manifest.version)
    if restore_data:
        return taken
    losses = snapshot.losses(prefix, taken)
    raise PolicyError(
        Text(
            f"데이터의 형식({state.data.version or '?'})이 릴리스 {manifest.version}의 것({wanted.version})이 아닙니다",
            f"the data has format {state.data.version or '?'}, release {manifest.version} uses {wanted.version}",
        ),
        where=str(prefix.data),
        details=[
            losses,
            Text(
                f"지금의 데이터는 {prefix.snapshots} 아래에 스냅숏으로 남고, 다시 앞으로 갈 때 쓸 수 있습니다",
                f"the present data would be kept as a snapshot below {prefix.snapshots}, for going forward again",
            ),
        ],
        state=UNCHANGED,
        hint=Text(
            f"그래도 돌아가려면 --rollback {target} --restore-data",
            f"to go back all the same: --rollback {target} --restore-data",
        ),
    )


def _no_snapshot(state: InstallationState, needed: int, version: str) -> PolicyError:
    return PolicyError(
        Text(
            f"데이터의 형식은 {state.data.version or '?'}인데 릴리스 {version}은(는) {needed}만 읽고, "
            "그 형식의 스냅숏이 없습니다",
            f"the data has format {state.data.version or '?'}, release {version} only reads {needed}, and there is no "
            "snapshot of that format",
        ),
        where=state.data.problem,
        state=UNCHANGED,
        hint=Text(
            "현재 릴리스에 머물거나, data 폴더를 백업에서 되돌린 뒤 다시 실행하십시오",
            "stay with the active release, or put the data folder back from a backup and run again",
        ),
    )


def plan_rollback(
    prefix: Prefix,
    state: InstallationState,
    target: str,
    manifest: Manifest,
    taken: Optional[Snapshot] = None,
) -> Plan:
    """Return the steps of a rollback; `taken` is the snapshot to put back."""
    data = data_steps(manifest, state.data)
    if taken is not None:
        title = Text(f"{taken.created}의 데이터 되돌리기", f"put the data of {taken.created} back")
        data = [snapshot_step(state.data), PlannedStep("restore", title, taken.bytes)]
    steps_ = [
        PlannedStep("check", Text("돌아갈 릴리스 확인", "check the release to go back to")),
        PlannedStep("standby", Text("현재 상태 기록", "note what runs now")),
        *data,
        PlannedStep("switch", Text("현재 릴리스 전환", "switch the current release")),
        PlannedStep("unit", Text("서비스 등록", "register the service")),
    ]
    service = state.service
    if service is not None and service.enabled and service.manager != "none":
        steps_.append(PlannedStep("start", Text("서비스 시작", "start the service")))
        steps_.append(PlannedStep("health", Text("상태 확인", "wait until healthy")))
    steps_.append(PlannedStep("accept", Text("확정", "commit")))
    return _plan(prefix, state, target, manifest, "rollback", steps_, "" if taken is None else taken.name)


def _plan(
    prefix: Prefix,
    state: InstallationState,
    target: str,
    manifest: Manifest,
    action: str,
    steps: list[PlannedStep],
    restore: str = "",
) -> Plan:
    return Plan(
        action=action,
        generation=target,
        digest=generations.digest_of(prefix, target),
        version=manifest.version,
        sequence=manifest.sequence,
        base=state.pointer,
        interpreter=None,
        archive=None,
        settings=state.service,
        steps=tuple(steps),
        restore=restore,
    )


def _announce(prefix: Prefix, state: InstallationState, plan: Plan, console: Console) -> None:
    """Say what goes back, what is lost, and where the present data are kept."""
    taken = snapshot.read(prefix, plan.restore)
    active = state.pointer.generation if state.pointer is not None else ""
    if taken is None:
        raise RecoveryNeededError(Text("스냅숏이 없습니다", "the snapshot is gone"), where=plan.restore)
    console.warn(snapshot.losses(prefix, taken))
    console.note(
        Text(
            f"지금의 데이터는 {prefix.snapshots}에 {active}의 스냅숏으로 남습니다. "
            f"다시 앞으로: --rollback {active} --restore-data",
            f"the present data are kept in {prefix.snapshots} as the snapshot of {active}; "
            f"forward again: --rollback {active} --restore-data",
        )
    )
