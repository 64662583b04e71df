"""Remove an installation; data, configuration and trust stay unless they are to be purged.

The commit point is the removal of `current.json`. Up to it everything is taken back by undoing; from it on
everything is finished, by this run or by whichever comes next.
"""

from __future__ import annotations

import importlib
import os
import time
import uuid
from dataclasses import dataclass
from typing import Optional

from bundle.atomic import write_atomic
from bundle.errors import RagTraceError, RecoveryNeededError, UsageProblem
from bundle.text import Text

from .. import activation, removal, reserve, settings
from ..console import Console
from ..filesystem import make_directory, read_plain, remove_file
from ..health import describe, wait_until_healthy
from ..hosts.interface import ServiceError, ServiceHost
from ..journal import Journal
from ..lock import Lock
from ..paths import Prefix
from ..plan import PlannedStep
from ..recovery import recover
from ..removal import Marker, Removal
from ..service import define
from ..settings import ServiceSettings
from ..signals import shielded
from ..state import read_state
from ..transaction import run
from .session import UNCHANGED, record, same_command

STEPS = (
    PlannedStep("mark", Text("제거 시작 기록", "note that the uninstall begins")),
    PlannedStep("retire", Text("서비스 중지와 등록 해제", "stop the service, remove its registration")),
    PlannedStep(
        "forget", Text("현재 릴리스 포인터 제거 (여기서 확정)", "remove the pointer (the commit point)")
    ),
    PlannedStep("remove", Text("릴리스, 저장소, 상태 제거", "remove releases, store and state")),
)
# Modules that are imported late, and must be here before their files go.
_LATE = (
    "pwd",
    "grp",
    "getpass",
    "traceback",
    "linecache",
    "encodings.utf_8",
    "encodings.ascii",
    "encodings.idna",
)


@dataclass(frozen=True)
class Uninstalled:
    """What was removed, what stayed, and how the service was run."""

    removal: Removal
    service: Optional[ServiceSettings]
    purged: bool
    seconds: float


def require_something(prefix: Prefix, purge: bool) -> None:
    """Refuse where there is nothing to remove.

    Raises:
        UsageProblem: nothing of an installation is there.
    """
    if removal.installed(prefix) or (purge and removal.left_over(prefix)):
        return
    kept = removal.left_over(prefix)
    raise UsageProblem(
        Text("여기에는 설치된 것이 없습니다", "nothing is installed here"),
        where=str(prefix.root),
        state=UNCHANGED,
        hint=Text(
            "남은 데이터와 설정까지 지우려면 --uninstall --purge-data",
            "--uninstall --purge-data also removes the data and configuration that were left",
        )
        if kept
        else Text("--prefix를 확인하십시오", "check --prefix"),
    )


def uninstall(prefix: Prefix, purge: bool, console: Console) -> Uninstalled:
    """Stop and unregister the service, remove the pointer, then everything that the installer made.

    Raises:
        UsageProblem: nothing is installed.
        BusyError: another installer is at work.
        RecoveryNeededError: it is past the commit point and could not be finished; the hint finishes it.
    """
    require_something(prefix, purge)
    _load()
    begun = time.monotonic()
    make_directory(prefix.state)
    with Lock(prefix.lock):
        whole = _recovered(prefix, console)
        known = settings.read(prefix) or _running(prefix)
        surveyed = removal.survey(prefix, purge)
        state = read_state(prefix)
        generation = state.pointer.generation if state.pointer is not None else ""
        marker = Marker(uuid.uuid4().hex, generation, purge, whole or purge)
        _take_away(prefix, marker, known, console)
        _finish(prefix, marker, console)
    return Uninstalled(surveyed, known, purge, time.monotonic() - begun)


def _load() -> None:
    """Import what is imported late elsewhere: this code may be part of what it removes. The folder the process
    stands in may be too."""
    for name in _LATE:
        try:
            importlib.import_module(name)
        except ImportError:
            continue
    os.chdir(os.path.abspath(os.sep))


def _recovered(prefix: Prefix, console: Console) -> bool:
    """Put an earlier run right first, since it may have to restore the data that stays; return whether it could be."""
    try:
        recovered = recover(prefix, same_command(), serve=False)
    except RecoveryNeededError as error:
        console.warn(error.summary)
        return False
    for action in recovered.actions:
        console.note(Text(f"복구: {action.ko}", f"recovered: {action.en}"))
    return True


def _running(prefix: Prefix) -> Optional[ServiceSettings]:
    """Find a service of ours that runs although nobody remembers how: the settings are damaged or gone."""
    for manager in ("process", "systemd"):
        guess = ServiceSettings(manager, "ragtrace", "", "", 0, enabled=True)
        try:
            status = activation.observed(prefix, guess, activation.host_for(guess))
        except (OSError, ServiceError, ImportError):
            continue
        if status.running and os.path.lexists(prefix.generations / (status.generation or "?")):
            return guess
    return None


def _take_away(prefix: Prefix, marker: Marker, known: Optional[ServiceSettings], console: Console) -> None:
    """Do what can still be undone, as one transaction that ends with the commit point."""
    reserve.release(prefix)
    journal = Journal(prefix.journal, "uninstall")
    journal.begin(transaction=marker.transaction, **{"from": marker.generation})
    steps = (_Mark(prefix, marker), _Retire(prefix, known), _Forget(prefix))
    try:
        run(
            STEPS[: len(steps)], steps, journal, console,
            restored=Text("설치는 이전 그대로입니다", "the installation is as it was"),
            recovery_command=same_command(), make_room=lambda: reserve.release(prefix),
        )  # fmt: skip
    except RagTraceError as error:
        record(prefix, console, "uninstall", error.reference, **{"from": marker.generation})
        raise
    journal.note("end", outcome="committed")


def _finish(prefix: Prefix, marker: Marker, console: Console) -> None:
    console.stage(len(STEPS), len(STEPS), STEPS[-1].title)
    try:
        with shielded():
            removal.finish(prefix, marker)
            removal.leave(prefix)
    except OSError as error:
        summary = describe(error)
        raise RecoveryNeededError(
            Text(f"제거를 마치지 못했습니다: {summary.ko}", f"the uninstall did not end: {summary.en}"),
            where=str(error.filename or prefix.root),
            state=Text(
                "서비스는 멈추고 등록이 해제되었으며, 일부 파일이 남아 있습니다",
                "the service is stopped and unregistered, some files are left",
            ),
            hint=_again(prefix),
        ) from error


def _again(prefix: Prefix) -> Text:
    command = same_command()
    return Text(
        f"원인을 없앤 뒤 실행: {command} (설치된 도구가 이미 지워졌으면 번들의 install.py로, --prefix {prefix.root})",
        f"remove the cause, then run: {command} (with the bundle's install.py and --prefix {prefix.root}, where the installed tools are gone)",
    )


class _Mark:
    """The durable note that an uninstall has begun."""

    def __init__(self, prefix: Prefix, marker: Marker) -> None:
        self.prefix = prefix
        self.marker = marker

    def apply(self) -> None:
        """Write it."""
        removal.write_marker(self.prefix, self.marker)

    def undo(self) -> None:
        """Take it back."""
        remove_file(self.prefix.uninstalling)


class _Retire:
    """The service, stopped and no longer registered."""

    def __init__(self, prefix: Prefix, known: Optional[ServiceSettings]) -> None:
        self.prefix = prefix
        self.known = known
        self.host: ServiceHost = activation.host_for(known)
        self.was_running = False

    def apply(self) -> None:
        """Stop it, then remove its unit."""
        if self.known is None:
            return
        self.was_running = activation.observed(self.prefix, self.known, self.host).running
        activation.stop(self.prefix, self.known, self.host)
        self.host.remove_unit(self.known.name)

    def undo(self) -> None:
        """Register it again, and start it if it ran."""
        base = read_state(self.prefix).pointer
        if self.known is None or base is None:
            return
        activation.derive(self.prefix, base, self.known, self.host)
        definition = define(self.prefix, base.generation, self.known)
        if definition is not None and self.was_running:
            self.host.start(definition)
            wait_until_healthy(definition, self.host)


class _Forget:
    """The commit point."""

    def __init__(self, prefix: Prefix) -> None:
        self.prefix = prefix
        self.before: Optional[bytes] = None

    def apply(self) -> None:
        """Remove the pointer."""
        self.before = read_plain(self.prefix.pointer)
        remove_file(self.prefix.pointer)

    def undo(self) -> None:
        """Write it again, byte for byte."""
        if self.before is not None:
            write_atomic(self.prefix.pointer, self.before, 0o644)
