"""Decide what an installation would do: `plan_install(facts, manifest, digest, state, request) -> Plan`.

Pure: nothing is read or written here. `--dry-run` prints the very object that would run.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Optional

from bundle import layout
from bundle.manifest import FileEntry, Manifest
from bundle.text import Text

from . import dataformat
from .dataformat import DataState
from .facts import HostFacts, Interpreter
from .paths import generation_name, release_of
from .pointer import Pointer
from .settings import ServiceSettings
from .state import InstallationState

# Receipt, journal, configuration and folders: small, and never worth a second thought.
OVERHEAD_BYTES = 4 * 1024 * 1024
# Who runs the service that root installs; a task of Windows has an account of the system's.
SERVICE_USERS = {"systemd": "ragtrace", "launchd": "_ragtrace"}


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


# As `Request.python`: the interpreter of the bundle, although the host has a fitting one.
BUNDLED = "bundled"


@dataclass(frozen=True)
class Arrival:
    """How a bundle's contents get into the store (see `sources.Source.arrives`), and the bytes it lacks."""

    way: str = "beside"
    lacking_bytes: Optional[int] = None


# An unpacked tree, of whose contents the store has none.
BESIDE = Arrival()


@dataclass(frozen=True)
class PlannedStep:
    """One step: its name (a key of `steps.STEPS`), what it does, and the bytes it writes."""

    name: str
    title: Text
    bytes: int = 0


@dataclass(frozen=True)
class Plan:
    """Everything decided before anything is touched. `restore` names the snapshot that a rollback puts back."""

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
    restore: str = ""
    # What `--config` writes below `config/`, by name (None removes the file), and the keys that change. The
    # contents may be secret: they are never printed.
    files: tuple[tuple[str, Optional[bytes]], ...] = field(default=(), repr=False)
    keys: tuple[str, ...] = ()

    @property
    def bytes_needed(self) -> int:
        """Bytes written by all steps together, and a twentieth on top for blocks and folders."""
        written = sum(step.bytes for step in self.steps)
        return written + written // 20 + OVERHEAD_BYTES

    def names(self) -> tuple[str, ...]:
        """Return the steps' names in order."""
        return tuple(step.name for step in self.steps)


def plan_install(
    facts: HostFacts,
    manifest: Manifest,
    digest: str,
    state: InstallationState,
    request: Request,
    arrival: Arrival = BESIDE,
) -> Plan:
    """Return the steps that make `manifest`'s release the running one, from the state things are in."""
    generation = generation_of(state, manifest.sequence, digest)
    settings = service_settings(facts, manifest, state, request)
    accepted = state.accepted.includes(generation)
    active = state.pointer is not None and state.pointer.generation == generation
    built = generation in state.complete
    interpreter = choose_interpreter(facts, manifest, settings, request.python)
    archive = None if interpreter or built else next(iter(manifest.of_kind("interpreter")), None)
    steps: list[PlannedStep] = []
    if not built:
        steps += build_steps(manifest, archive, arrival)
    elif not active:
        steps.append(
            PlannedStep("check", Text("이미 만들어진 릴리스 확인", "check the release built earlier"))
        )
    data = data_steps(manifest, state.data)
    if not built and state.running and settings is not None and settings.enabled:
        title = Text("첫 시작 준비 (서비스는 계속 동작)", "prepare the first start (the service goes on)")
        data = [PlannedStep("bytecode", title), *data]
    steps += _switch_steps(state, generation, settings, active and accepted, data)
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


def generation_of(state: InstallationState, sequence: int, digest: str) -> str:
    """Return the name of the generation that is, or would be, the release of this manifest.

    A release may have been repaired: then the active, the kept, or the last rebuild of it counts.
    """
    release = generation_name(sequence, digest)
    kept = state.pointer.kept if state.pointer is not None else ()
    for name in (*kept, *reversed(state.complete)):
        if release_of(name) == release and name in state.complete:
            return name
    return release


_ARRIVALS = {
    "stream": Text("번들의 내용을 저장소에 담기", "take the bundle's contents into the store"),
    "delta": Text("델타의 내용을 저장소에 담기", "take the delta's contents into the store"),
    "stored": Text("저장소의 내용 확인", "check the contents of the store"),
}


def build_steps(manifest: Manifest, archive: Optional[FileEntry], arrival: Arrival) -> list[PlannedStep]:
    """Return the steps that make a generation, without switching to it."""
    wheels = sum(entry.size for entry in manifest.of_kind("wheel"))
    placed = [entry for entry in manifest.files if destination(entry) is not None]
    # Models are written once, into the store, and linked; everything else also goes into the generation.
    files = sum(entry.size for entry in placed if entry.kind != "model")
    everything = sum({entry.sha256: entry.size for entry in manifest.files}.values())
    stored = everything if arrival.lacking_bytes is None else arrival.lacking_bytes
    unpacked = max(manifest.installed_bytes, wheels)
    steps = [PlannedStep("generation", Text("새 릴리스 폴더", "new release folder"))]
    if arrival.way in _ARRIVALS:
        steps.append(PlannedStep("contents", _ARRIVALS[arrival.way], stored))
        stored = 0
    if archive is not None:
        # A python-build-standalone archive unpacks to about three times its size.
        steps.append(PlannedStep("interpreter", Text("파이썬 풀기", "unpack Python"), 3 * archive.size))
    # The wheel is copied, and what is in it is about two and a half times its size.
    uv = 4 * sum(entry.size for entry in manifest.of_kind("uv"))
    steps.append(
        PlannedStep("environment", Text("가상 환경 만들기", "make the virtual environment"), unpacked + uv)
    )
    steps.append(
        PlannedStep("files", Text("소스·도구·모델 복사", "copy source, tools and models"), files + stored)
    )
    steps.append(
        PlannedStep("receipt", Text("디스크에서 검증하고 영수증 쓰기", "verify from disk, write the receipt"))
    )
    return steps


def _switch_steps(
    state: InstallationState,
    generation: str,
    settings: Optional[ServiceSettings],
    done: bool,
    data: list[PlannedStep],
) -> list[PlannedStep]:
    changed = settings is not None and settings != state.service
    runs = settings is not None and settings.manager != "none" and settings.enabled
    down = runs and state.running != generation
    if done and not changed and not down and state.configured and not data:
        return []
    steps = [PlannedStep("standby", Text("현재 상태 기록", "note what runs now"))]
    if changed or not state.configured:
        steps.append(PlannedStep("settings", Text("설정과 데이터 폴더", "configuration and data folders")))
    steps += data
    if not done:
        steps.append(PlannedStep("switch", Text("현재 릴리스 전환", "switch the current release")))
    steps.append(PlannedStep("unit", Text("서비스 등록", "register the service")))
    if runs:
        steps.append(PlannedStep("start", Text("서비스 시작", "start the service")))
        steps.append(PlannedStep("health", Text("상태 확인", "wait until healthy")))
    steps.append(PlannedStep("accept", Text("설치 확정", "commit")))
    return steps


def data_steps(manifest: Manifest, data: DataState) -> list[PlannedStep]:
    """Return what has to be done with the data before the release may run; what cannot be done is policy's."""
    wanted = dataformat.declared_by(manifest, data)
    found = dataformat.course(data, wanted)
    if found == "begin":
        return [PlannedStep("snapshot", Text("데이터 폴더의 상태 기록", "keep the data folder as it is"))]
    if found != "migrate" or wanted is None:
        return []
    change = f"{data.version} -> {wanted.version}"
    return [
        snapshot_step(data),
        PlannedStep("migrate", Text(f"데이터 형식 변환 ({change})", f"migrate the data ({change})")),
    ]


def snapshot_step(data: DataState) -> PlannedStep:
    """Return the step that keeps data which are about to change."""
    title = Text("서비스를 멈추고 데이터 스냅숏 만들기", "stop the service and take a snapshot of the data")
    return PlannedStep("snapshot", title, data.bytes)


def service_settings(
    facts: HostFacts, manifest: Manifest, state: InstallationState, request: Request
) -> Optional[ServiceSettings]:
    """Return how the service will be run: what was asked for, else as it is, else the default."""
    if manifest.service is None:
        return None
    before = state.service
    manager = request.manager
    if manager == "auto":
        manager = before.manager if before else facts.manager
    return ServiceSettings(
        manager=manager,
        name=request.service_name or (before.name if before else "ragtrace"),
        user=SERVICE_USERS.get(manager, "") if facts.euid == 0 else "",
        host=request.host or (before.host if before else state.address[0] or manifest.service.host),
        port=request.port or (before.port if before else state.address[1] or manifest.service.port),
        enabled=request.start,
    )


def choose_interpreter(
    facts: HostFacts, manifest: Manifest, settings: Optional[ServiceSettings], wanted: str = ""
) -> Optional[Interpreter]:
    """Return the host's interpreter to use, or None where the bundled one must be, or was asked to be, unpacked.

    A service user of its own must be able to reach it.
    """
    if wanted == BUNDLED:
        return None
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
