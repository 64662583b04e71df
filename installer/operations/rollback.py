"""Return to a kept release."""

from __future__ import annotations

import time

from bundle.errors import UsageProblem
from bundle.manifest import Manifest
from bundle.text import Text

from .. import generations
from ..console import Console
from ..paths import Prefix
from ..plan import Plan, PlannedStep
from ..service import manifest_of
from ..state import InstallationState, read_state
from .session import UNCHANGED, Done, opened, require_installation, transact


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
        transact("rollback", prefix, plan, manifest, state.service, lock, console)
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
