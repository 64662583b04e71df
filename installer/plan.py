"""Decide what an installation would do: `plan_install(facts, manifest, digest, state, request) -> Plan`.

Pure: nothing is read or written here. `--dry-run` prints the very object that would run.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Optional

from bundle import layout
from bundle.manifest import FileEntry, Manifest
from bundle.text import Text

from .facts import HostFacts, Interpreter
from .paths import generation_name
from .pointer import Pointer
from .settings import ServiceSettings
from .state import InstallationState

# Receipt, journal, configuration and folders: small, and never worth a second thought.
OVERHEAD_BYTES = 4 * 1024 * 1024
SERVICE_USER = "ragtrace"


@dataclass(frozen=True)
class Request:
    """What the operator asked for; None and empty mean "as it is, or the default"."""

    python: str = ""
    manager: str = "auto"
    service_name: str = ""
    host: str = ""
    port: int = 0
    start: bool = True
    allow_downgrade: bool = False


@dataclass(frozen=True)
class PlannedStep:
    """One step: its name (a key of `steps.STEPS`), what it does, and the bytes it writes."""

    name: str
    title: Text
    bytes: int = 0


@dataclass(frozen=True)
class Plan:
    """Everything decided before anything is touched."""

    action: str
    generation: str
    digest: str
    version: str
    sequence: int
    base: Optional[Pointer]
    interpreter: Optional[Interpreter]
    archive: Optional[FileEntry]
    settings: Optional[ServiceSettings]
    steps: tuple[PlannedStep, ...]

    @property
    def bytes_needed(self) -> int:
        """Bytes written by all steps together, and a twentieth on top for blocks and folders."""
        written = sum(step.bytes for step in self.steps)
        return written + written // 20 + OVERHEAD_BYTES

    def names(self) -> tuple[str, ...]:
        """Return the steps' names in order."""
        return tuple(step.name for step in self.steps)


def plan_install(
    facts: HostFacts, manifest: Manifest, digest: str, state: InstallationState, request: Request
) -> Plan:
    """Return the steps that make `manifest`'s release the running one, from the state things are in."""
    generation = generation_name(manifest.sequence, digest)
    settings = service_settings(facts, manifest, state, request)
    accepted = state.accepted.includes(generation)
    active = state.pointer is not None and state.pointer.generation == generation
    built = generation in state.complete
    interpreter = choose_interpreter(facts, manifest, settings)
    archive = None if interpreter or built else next(iter(manifest.of_kind("interpreter")), None)
    steps: list[PlannedStep] = []
    if not built:
        steps += _build_steps(manifest, archive)
    elif not active:
        steps.append(
            PlannedStep("check", Text("이미 만들어진 릴리스 확인", "check the release built earlier"))
        )
    steps += _switch_steps(state, generation, settings, active and accepted)
    return Plan(
        action=_action(state, generation, bool(steps)),
        generation=generation,
        digest=digest,
        version=manifest.version,
        sequence=manifest.sequence,
        base=None if active and not accepted else state.pointer,
        interpreter=interpreter,
        archive=archive,
        settings=settings,
        steps=tuple(steps),
    )


def _action(state: InstallationState, generation: str, work: bool) -> str:
    if not work:
        return "none"
    if state.pointer is None:
        return "install"
    return "resume" if state.pointer.generation == generation else "upgrade"


def _build_steps(manifest: Manifest, archive: Optional[FileEntry]) -> list[PlannedStep]:
    wheels = sum(entry.size for entry in manifest.of_kind("wheel"))
    files = sum(entry.size for entry in manifest.files if destination(entry) is not None)
    unpacked = max(manifest.installed_bytes, wheels)
    steps = [PlannedStep("generation", Text("새 릴리스 폴더", "new release folder"))]
    if archive is not None:
        # A python-build-standalone archive unpacks to about three times its size.
        steps.append(PlannedStep("interpreter", Text("파이썬 풀기", "unpack Python"), 3 * archive.size))
    # The wheel is copied, and what is in it is about two and a half times its size.
    uv = 4 * sum(entry.size for entry in manifest.of_kind("uv"))
    steps.append(
        PlannedStep("environment", Text("가상 환경 만들기", "make the virtual environment"), unpacked + uv)
    )
    steps.append(PlannedStep("files", Text("소스·도구·모델 복사", "copy source, tools and models"), files))
    steps.append(
        PlannedStep("receipt", Text("디스크에서 검증하고 영수증 쓰기", "verify from disk, write the receipt"))
    )
    return steps


def _switch_steps(
    state: InstallationState, generation: str, settings: Optional[ServiceSettings], done: bool
) -> list[PlannedStep]:
    changed = settings is not None and settings != state.service
    runs = settings is not None and settings.manager != "none" and settings.enabled
    down = runs and state.running != generation
    if done and not changed and not down and state.configured:
        return []
    steps = [PlannedStep("standby", Text("현재 상태 기록", "note what runs now"))]
    if changed or not state.configured:
        steps.append(PlannedStep("settings", Text("설정과 데이터 폴더", "configuration and data folders")))
    if not done:
        steps.append(PlannedStep("switch", Text("현재 릴리스 전환", "switch the current release")))
    steps.append(PlannedStep("unit", Text("서비스 등록", "register the service")))
    if runs:
        steps.append(PlannedStep("start", Text("서비스 시작", "start the service")))
        steps.append(PlannedStep("health", Text("상태 확인", "wait until healthy")))
    steps.append(PlannedStep("accept", Text("설치 확정", "commit")))
    return steps


def service_settings(
    facts: HostFacts, manifest: Manifest, state: InstallationState, request: Request
) -> Optional[ServiceSettings]:
    """Return how the service will be run: what was asked for, else as it is, else the default."""
    if manifest.service is None:
        return None
    before = state.service
    manager = request.manager
    if manager == "auto":
        manager = (
            before.manager if before else ("systemd" if facts.systemd and facts.euid == 0 else "process")
        )
    return ServiceSettings(
        manager=manager,
        name=request.service_name or (before.name if before else "ragtrace"),
        user=SERVICE_USER if manager == "systemd" and facts.euid == 0 else "",
        host=request.host or (before.host if before else manifest.service.host),
        port=request.port or (before.port if before else manifest.service.port),
        enabled=request.start,
    )


def choose_interpreter(
    facts: HostFacts, manifest: Manifest, settings: Optional[ServiceSettings]
) -> Optional[Interpreter]:
    """Return the host's interpreter to use, or None where the bundled one must be unpacked.

    A service user of its own must be able to reach it.
    """
    shared = settings is not None and bool(settings.user)
    for interpreter in facts.pythons:
        if interpreter.version in manifest.target.pythons and (interpreter.reachable or not shared):
            return interpreter
    return None


def destination(entry: FileEntry) -> Optional[PurePosixPath]:
    """Return where a bundle file goes inside a generation, or None where it is not copied as it is."""
    path = PurePosixPath(entry.path)
    inner = PurePosixPath(*path.parts[1:])
    if entry.kind == "source" and path.parts[0] == layout.SOURCE:
        return PurePosixPath("source") / inner
    if entry.kind == "config":
        return PurePosixPath("config.default") / PurePosixPath(*path.parts[2:] or [path.name])
    if entry.kind in ("installer", "validator", "advisories"):
        return PurePosixPath("tools") / path
    if entry.kind == "model":
        return PurePosixPath("models") / inner
    return None
