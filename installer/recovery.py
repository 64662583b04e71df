"""`recover()`: runs before every operation, is idempotent, and never needs the journal.

Truth is the pointer, the receipts and the hashes. A release that the commit record does not name and that
has an accepted one before it was never finished: the earlier one comes back. Everything derived is then made
to agree with the pointer, leftovers go, and the service that should run does.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Iterator, Optional, Sequence

from bundle import chainlog
from bundle.errors import RagTraceError, RecoveryNeededError
from bundle.text import Text

from . import (
    accepted,
    activation,
    audit,
    breaker,
    journal,
    pointer,
    receipt,
    removal,
    reserve,
    sealed,
    settings,
    snapshot,
    store,
    trust_store,
)
from .filesystem import remove_file, remove_tree
from .generations import discard
from .health import Sick, describe, wait_until_healthy
from .hosts.interface import ServiceError, ServiceHost
from .paths import Prefix
from .pointer import Pointer
from .provision import restore_settings
from .service import define
from .state import InstallationState, generation_names, read_state


@dataclass(frozen=True)
class Recovered:
    """What was found and done; `needed` is false when there was nothing to do."""

    needed: bool
    actions: tuple[Text, ...] = ()


def recover(
    prefix: Prefix,
    command: str,
    *,
    serve: bool = True,
    host: Optional[ServiceHost] = None,
    deliberate: bool = False,
    go_on: str = "",
) -> Recovered:
    """Bring an installation to a consistent state, using the reserve where the disk is full.

    Args:
        prefix: the installation; the caller holds its lock.
        command: what to run again where this fails.
        serve: also start the service where it should run and does not.
        host: the service host to use instead of the one the settings name.
        deliberate: a person asked for another attempt, however many have failed.
        go_on: the command that asks for one.

    Raises:
        RecoveryNeededError: it could not be done, or failed so often that it is not tried again; the hint holds
            the command.
    """
    tries = _Tries(prefix, command, serve, deliberate, go_on or command)
    try:
        return _recover(prefix, tries, host)
    except (OSError, ServiceError) as first:
        try:
            if reserve.is_full(first):
                reserve.release(prefix)
                return _recover(prefix, tries, host)
            raise
        except (OSError, ServiceError) as error:
            raise _stuck(error, command) from error


def _stuck(error: Exception, command: str) -> RagTraceError:
    summary = describe(error)
    return RecoveryNeededError(
        Text(
            f"이전 작업을 정리하지 못했습니다: {summary.ko}",
            f"an earlier run could not be put right: {summary.en}",
        ),
        where=str(getattr(error, "filename", None) or ""),
        state=Text("현재 릴리스는 바꾸지 않았습니다", "the active release was not replaced"),
        hint=Text(f"원인을 없앤 뒤 실행: {command}", f"remove the cause, then run: {command}"),
    )


class _Tries:
    """Counts this recovery among those that failed, unless it comes to its end.

    Where the service is not to be started, nothing here can go round in circles: then nothing is counted.
    """

    def __init__(self, prefix: Prefix, command: str, serve: bool, deliberate: bool, go_on: str) -> None:
        self.prefix = prefix
        self.command = command
        self.serve = serve
        self.go_on = go_on
        self.begun = False
        self.failed = False
        self.deliberate = deliberate

    def begin(self) -> None:
        """Count, durably, before anything is switched or started.

        Raises:
            RecoveryNeededError: the same command failed so often in a row that it is not tried again.
        """
        if self.begun or not self.serve:
            return
        attempts = breaker.read(self.prefix)
        if attempts.exhausted:
            if not self.deliberate and attempts.made_by(self.command):
                raise self._given_up(attempts.count)
            breaker.reset(self.prefix)
        breaker.count(self.prefix, self.command)
        self.begun = True

    def end(self) -> None:
        """Forget earlier failures, unless the service could not be brought up again."""
        if self.deliberate or (self.serve and not self.failed):
            breaker.reset(self.prefix)

    def _given_up(self, count: int) -> RecoveryNeededError:
        return RecoveryNeededError(
            Text(
                f"복구가 연달아 {count}번 실패하여 더 시도하지 않습니다",
                f"recovery failed {count} times in a row and is not tried again",
            ),
            where=str(self.prefix.root),
            state=Text(
                "현재 릴리스는 바꾸지 않았고, 서비스도 시작하지 않았습니다",
                "the active release was not changed and the service not started",
            ),
            hint=Text(
                f"원인(data/logs)을 없앤 뒤 실행: {self.go_on} (또는 --rollback, --repair, 다른 번들 설치)",
                f"remove the cause (see data/logs), then run: {self.go_on} (or --rollback, --repair, or install another bundle)",
            ),
        )


def _recover(prefix: Prefix, tries: _Tries, given: Optional[ServiceHost]) -> Recovered:
    ended = removal.resume(prefix)
    state = read_state(prefix)
    begun = journal.unfinished(prefix.journal)
    actions = [*ended, *_sweep(prefix)]
    if trust_store.derive(prefix):
        actions.append(
            Text(
                "서명자 파일을 키 기록에 맞추었습니다", "made the signers' file agree with the trust records"
            )
        )
    # What a killed repair was about is damaged, and known to be: that is no reason to go to another release.
    doubtful = begun is not None and begun.get("operation") != "repair"
    chosen = choose(prefix, state, deep=doubtful or state.pointer_damaged)
    if chosen != state.pointer or state.pointer_damaged:
        tries.begin()
        pointer.write(prefix, chosen)
        actions.append(_pointed(chosen))
    # Data go back with the pointer, while the settings are still those that whatever runs was started with.
    found = settings.read(prefix)
    running = given or activation.host_for(found)
    actions += snapshot.recover(prefix, chosen, lambda: activation.stop(prefix, found, running))
    # What runs has read the settings that are taken back: it has to start anew.
    if restore_settings(prefix, state.accepted.transaction, lambda: activation.stop(prefix, found, running)):
        actions.append(Text("이전 설정을 되돌렸습니다", "put the earlier settings back"))
    for name in generation_names(prefix):
        # Never what the pointer named, complete or not: it may be running, and installing replaces it.
        if name not in state.complete and (state.pointer is None or name != state.pointer.generation):
            discard(prefix, name)
            actions.append(Text(f"미완성 릴리스 {name} 제거", f"removed the unfinished release {name}"))
    current = settings.read(prefix)
    host = given or activation.host_for(current)
    if actions or begun is not None:
        activation.derive(prefix, chosen, current, host)
    else:
        activation.derive_link(prefix, chosen)
    if tries.serve:
        actions += _serve(prefix, chosen, current, host, tries)
    tries.end()
    needed = bool(actions) or begun is not None
    if needed:
        _record(prefix, state, begun, actions)
    return Recovered(needed, tuple(actions))


def _record(
    prefix: Prefix, state: InstallationState, begun: Optional[dict[str, Any]], actions: Sequence[Text]
) -> None:
    """Note in audit log and journal what was done, and which run had not noted its end; trouble here must not
    undo a recovery."""
    facts: dict[str, object] = {"actions": [text.en for text in actions]}
    if begun is not None:
        kept = ("operation", "from", "to", "version", "manifest", "transaction")
        facts["unfinished"] = {name: str(begun[name]) for name in kept if name in begun}
        facts["committed"] = begun.get("transaction") == state.accepted.transaction
    try:
        if prefix.state.is_dir():
            audit.record(prefix, "recover", "ok", **facts)
    except OSError as error:
        facts["unaudited"] = repr(error)
    journal.Journal(prefix.journal, "recover").note("recovered", **facts)


def _pointed(chosen: Optional[Pointer]) -> Text:
    if chosen is None:
        return Text("확정되지 않은 설치를 되돌렸습니다", "took back an installation that was not finished")
    return Text(f"{chosen.generation}(으)로 되돌렸습니다", f"went back to {chosen.generation}")


def _serve(
    prefix: Prefix,
    chosen: Optional[Pointer],
    current: Optional[settings.ServiceSettings],
    host: ServiceHost,
    tries: _Tries,
) -> list[Text]:
    """Make the running process agree with the pointer; a service that does not come up counts as a failure."""
    status = activation.observed(prefix, current, host)
    if current is None or chosen is None or (status.running and status.generation == chosen.generation):
        return []
    definition = define(prefix, chosen.generation, current)
    if definition is None or not (current.enabled or status.running) or current.manager == "none":
        return []
    tries.begin()
    if status.running:
        activation.stop(prefix, current, host)
    host.start(definition)
    try:
        wait_until_healthy(definition, host)
    except Sick as sick:
        tries.failed = True
        ko, en = sick.reason
        return [
            Text(
                f"서비스를 시작했지만 아직 정상이 아닙니다: {ko}",
                f"started the service, not healthy yet: {en}",
            )
        ]
    return [Text(f"{chosen.generation} 서비스를 시작했습니다", f"started the service of {chosen.generation}")]


def _sweep(prefix: Prefix) -> Iterator[Text]:
    """Remove what a killed run left: the scratch folder and half-written state files."""
    if chainlog.sweep(prefix.state):
        yield Text("쓰다 만 감사 상태 파일 제거", "removed a half-written state file of the audit log")
    if prefix.scratch.exists():
        remove_tree(prefix.scratch)
        yield Text("임시 폴더 제거", "removed the scratch folder")
    for path in store.sweep(prefix):
        yield Text(f"쓰다 만 파일 제거: {path.name}", f"removed a half-written file: {path.name}")
    for folder in (prefix.root, prefix.state, prefix.trust, prefix.config):
        for path in leftovers(folder):
            remove_file(path)
            yield Text(f"쓰다 만 파일 제거: {path.name}", f"removed a half-written file: {path.name}")


def leftovers(folder: Path) -> list[Path]:
    """Return the temporary files that `bundle.atomic` and `filesystem.replace_link` use in a folder."""
    if not folder.is_dir():
        return []
    return sorted(
        path
        for path in folder.iterdir()
        if path.name.startswith(".") and path.name.endswith(".new") and not chainlog.owns(path.name[1:-4])
    )


def choose(prefix: Prefix, state: InstallationState, deep: bool) -> Optional[Pointer]:
    """Decide which release is the active one; change nothing.

    The first candidate that is complete counts; with `deep` it must also match its receipt byte for byte.
    Where none matches, the pointer stays as it is: a damaged release that runs is better than none, and can be
    repaired. It goes where there is not even a folder.
    """
    candidates = list(_candidates(prefix, state))
    for candidate in candidates:
        if sound(prefix, candidate.generation, deep):
            return _with_existing(candidate, state)
    if candidates:
        return _with_existing(candidates[0], state)
    # A release without its receipt, and none beside it: a repair can make it again from what the pointer says.
    pointed = state.pointer
    return pointed if pointed is not None and prefix.generation(pointed.generation).is_dir() else None


def _candidates(prefix: Prefix, state: InstallationState) -> Iterator[Pointer]:
    """Yield complete releases, the one that should be active first."""
    names: list[str] = []
    if state.pointer is not None:
        names = list(state.pointer.kept)
        known = state.accepted
        if known.known and not known.includes(names[0]) and any(known.includes(name) for name in names[1:]):
            names = [*names[1:], names[0]]
        if not any(prefix.generation(name).is_dir() for name in names):
            # Nothing of what it names is there, and what was accepted may lie beside: as good as a lost pointer.
            names += reversed(known.generations)
    elif state.pointer_damaged:
        names = [_link_target(prefix), *reversed(state.accepted.generations), *reversed(state.complete)]
    ordered = [name for name in dict.fromkeys(names) if name in state.complete]
    for name in ordered:
        try:
            found = receipt.read(prefix.generation(name))
        except (OSError, sealed.Damaged):
            continue
        previous = tuple(other for other in ordered if other != name)
        yield Pointer(name, found.manifest, found.sequence, previous)


def _with_existing(candidate: Pointer, state: InstallationState) -> Pointer:
    """Keep the pointer's own order where it stays; name only releases that exist and were accepted."""
    pointed = state.pointer
    if pointed is not None and pointed.generation == candidate.generation:
        kept = tuple(name for name in pointed.previous if name in state.complete)
        return replace(pointed, previous=kept)
    known: accepted.Accepted = state.accepted
    previous = tuple(name for name in candidate.previous if not known.known or known.includes(name))
    return replace(candidate, previous=previous[:2])


def _link_target(prefix: Prefix) -> str:
    return Path(prefix.link.resolve()).name if prefix.link.is_symlink() else ""


def sound(prefix: Prefix, generation: str, deep: bool) -> bool:
    """Return whether the release is complete, and with `deep` also whether every byte is as received."""
    folder = prefix.generation(generation)
    if not receipt.exists(folder):
        return False
    if not deep:
        return True
    try:
        return not receipt.differences(folder, receipt.read(folder))
    except (OSError, sealed.Damaged):
        return False
