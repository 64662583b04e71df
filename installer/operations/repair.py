"""Repair: find what is damaged, make the same release again from what is intact, and switch to it."""

from __future__ import annotations

import time
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Dict, List, Optional, Tuple

from bundle import layout, limits, trustrecords, verify
from bundle.errors import IntegrityError, RagTraceError, UsageProblem
from bundle.hashing import sha256_bytes
from bundle.manifest import FileEntry, Manifest, manifest_digest, parse_manifest
from bundle.text import Text
from bundle.verify import SignedManifest

from .. import activation, generations, pointer, preflight, store
from ..console import Console
from ..facts import HostFacts
from ..health import describe
from ..lock import Lock
from ..paths import Prefix, rebuild_name
from ..plan import BUNDLED, Arrival, Plan, PlannedStep, Request, build_steps, choose_interpreter
from ..pointer import Pointer
from ..recovery import recover
from ..signals import shielded
from ..sources import Offer, Supplier, open_supplier
from ..sources.stored import StoredSource
from ..state import InstallationState, generation_names
from ..survey import Survey, read_receipt, survey
from ..survey import size as survey_size
from ..transaction import translate
from .install import gather, observe
from .session import UNCHANGED, Done, aftercare, opened, record, require_installation, same_command, transact


@dataclass(frozen=True)
class Diagnosis:
    """What is damaged, what it can be mended with, and the plan; `plan` is None where no release is rebuilt.

    `lacking` are contents of the active release that the store does not have intact, `lost` those among them
    that nothing on this host, and nothing that was carried in, can replace.
    """

    state: InstallationState
    pointer: Pointer
    survey: Survey
    source: StoredSource
    lacking: Tuple[FileEntry, ...]
    lost: Tuple[FileEntry, ...]
    plan: Optional[Plan]

    @property
    def damaged(self) -> Tuple[str, ...]:
        """Every difference of the active release."""
        return self.survey.releases.get(self.pointer.generation, ())

    @property
    def unsound(self) -> Tuple[str, ...]:
        """Kept releases, other than the active one, that are not what their receipts say."""
        return tuple(name for name in self.pointer.previous if name in self.survey.releases)

    @property
    def sound(self) -> bool:
        """Whether there is nothing to repair."""
        return not (self.survey.releases or self.survey.objects or self.lacking)


@dataclass(frozen=True)
class Repaired:
    """What a repair came to: the release that runs now, and what was found."""

    done: Done
    diagnosis: Diagnosis
    lost: Tuple[FileEntry, ...] = ()


def repair(prefix: Prefix, offer: Offer, request: Request, console: Console) -> Repaired:
    """Diagnose, rebuild what is damaged beside what runs, switch, wait until healthy, commit.

    Raises:
        IntegrityError: contents are nowhere intact; every one is named.
        RagTraceError: it did not work; what ran before runs again as well as it did.
    """
    require_installation(prefix)
    begun = time.monotonic()
    with opened(prefix, console, serve=False, action="repair") as lock:
        found = diagnose(prefix, offer, request, console)
        lost: Tuple[FileEntry, ...] = ()
        action = "repair"
        if found.plan is not None:
            _rebuild(prefix, found, found.plan, lock, console)
        elif found.sound:
            action = "none"
        else:
            lost = _mended(prefix, found, console)
        if found.plan is None:
            # What was mended stays so: an interruption that said nothing was changed would not be true.
            with nullcontext() if found.sound else shielded():
                _derive(prefix, found)
                # The service was not started before, in case its files were what is damaged.
                for told in recover(prefix, same_command(), deliberate=True).actions:
                    console.note(Text(f"복구: {told.ko}", f"recovered: {told.en}"))
        now = found.plan.generation if found.plan is not None else found.pointer.generation
    seconds = time.monotonic() - begun
    version = found.source.manifest.version
    return Repaired(Done(action, now, version, found.state.service, seconds), found, lost)


def diagnose(prefix: Prefix, offer: Offer, request: Request, console: Console) -> Diagnosis:
    """Read everything that is installed, and decide; nothing is written.

    Raises:
        UsageProblem: nothing is installed.
        IntegrityError: a release has to be rebuilt and contents are nowhere intact; every one is named.
        PreflightError: the host does not fit any more.
    """
    state = observe(prefix)
    active = state.pointer
    if active is None:
        raise UsageProblem(
            Text("복구할 설치가 없습니다", "there is no installation to repair"), state=UNCHANGED
        )
    supplier = open_supplier(offer, offer.bundle) if offer.bundle is not None else None
    signed = _signed(prefix, active, offer, supplier)
    title = Text("설치와 저장소 확인 (모든 파일)", "read the installation and the store (every file)")
    total = survey_size(prefix, active)
    console.announce(title, total)
    seen = survey(prefix, active, console.progress(title, total))
    copies = _copies(prefix, signed.manifest)
    required = offer.anchors.required
    source = StoredSource(prefix, signed, required, copies, supplier, seen.intact)
    unique = {entry.sha256: entry for entry in signed.manifest.files}
    lacking = tuple(entry for digest, entry in unique.items() if digest not in seen.intact)
    shelf = store.Shelf(prefix)
    plan = None
    if active.generation in seen.releases:
        source.require(shelf)
        plan = _plan(prefix, state, active, source, lacking, request)
    return Diagnosis(state, active, seen, source, lacking, tuple(source.missing(shelf)), plan)


def _rebuild(prefix: Prefix, found: Diagnosis, plan: Plan, lock: Lock, console: Console) -> None:
    """Make the release again and switch to it; what was damaged is kept only until that is committed."""
    manifest = found.source.manifest
    transact("repair", prefix, plan, manifest, found.state.service, lock, console, found.source)
    try:
        _drop(prefix, found)
    except OSError as error:
        # The repaired release is committed: what lies behind it is the next repair's.
        text = describe(error)
        console.warn(
            Text(
                f"손상된 이전 릴리스를 목록에서 빼지 못했습니다: {text.ko}",
                f"damaged releases behind it could not be let go: {text.en}",
            )
        )
    aftercare(prefix, plan, console)


def _mended(prefix: Prefix, found: Diagnosis, console: Console) -> Tuple[FileEntry, ...]:
    """Tidy, to the end also where somebody wants to stop: half of it is no state to speak of.

    Raises:
        RagTraceError: it did not end; what was mended stays, the next run goes on.
    """
    try:
        with shielded():
            return _tidy(prefix, found, console)
    except OSError as error:
        going_on = Text(
            "현재 릴리스는 온전하고 그대로이며, 다시 실행하면 이어집니다",
            "the active release is intact and as it was; run again to go on",
        )
        raise translate(error, going_on) from error


def _tidy(prefix: Prefix, found: Diagnosis, console: Console) -> Tuple[FileEntry, ...]:
    """Mend the store, and let go of damaged releases behind the active one, which is as it should be.

    Returns the contents that are lost: a later repair would need them.
    """
    shelf = store.Shelf(prefix)
    lost = tuple(found.source.mend(shelf))
    shelf.settle()
    _drop(prefix, found)
    current = pointer.read(prefix)
    if current is not None:
        generations.collect(prefix, current)
    # Bytes under a name that they do not have are of no use to anybody.
    for digest in found.survey.objects:
        path = store.object_path(prefix, digest)
        entry = FileEntry(
            digest, path.lstat().st_size if path.is_file() else 0, digest, 0o644, "document", ""
        )
        if not shelf.has(entry):
            store.drop(prefix, digest)
    told = {"mended": len(found.lacking) - len(lost), "lost": len(lost), "dropped": list(found.unsound)}
    record(prefix, console, "repair", "ok", to=found.pointer.generation, **told)
    return lost


def _drop(prefix: Prefix, found: Diagnosis) -> None:
    """Point to what is active now, with only sound releases to go back to."""
    current = pointer.read(prefix)
    if current is None:
        return
    gone = {*found.survey.releases} - {current.generation}
    previous = tuple(name for name in found.pointer.previous if name not in gone)
    if current.previous != previous:
        pointer.write(prefix, replace(current, previous=previous))


def _derive(prefix: Prefix, found: Diagnosis) -> None:
    settings = found.state.service
    activation.derive(prefix, pointer.read(prefix), settings, activation.host_for(settings))


def _plan(
    prefix: Prefix,
    state: InstallationState,
    active: Pointer,
    source: StoredSource,
    lacking: Tuple[FileEntry, ...],
    request: Request,
) -> Plan:
    """Return the steps that make the active release again, beside itself; the host is looked at anew."""
    manifest, service = source.manifest, state.service
    wanted = replace(request, python=request.python or _interpreter_of(prefix, active.generation))
    if service is not None:
        wanted = replace(wanted, manager=service.manager, start=service.enabled)
    found: HostFacts = gather(prefix, manifest, state, wanted, False)
    interpreter = choose_interpreter(found, manifest, service, wanted.python)
    archive = None if interpreter else next(iter(manifest.of_kind("interpreter")), None)
    taken = [*generation_names(prefix), *state.accepted.generations]
    steps = build_steps(
        manifest, archive, Arrival("stored", sum(entry.size for entry in lacking))
    ) + _switch_steps(state)
    plan = Plan(
        action="repair",
        generation=rebuild_name(active.generation, taken),
        digest=source.digest,
        version=manifest.version,
        sequence=manifest.sequence,
        base=active,
        interpreter=interpreter,
        archive=archive,
        settings=service,
        steps=tuple(steps),
    )
    preflight.require(preflight.check_host(found, manifest, state, plan, wanted), str(prefix.root))
    return plan


def _switch_steps(state: InstallationState) -> List[PlannedStep]:
    steps = [
        PlannedStep("standby", Text("현재 상태 기록", "note what runs now")),
        PlannedStep("switch", Text("복구된 릴리스로 전환", "switch to the repaired release")),
        PlannedStep("unit", Text("서비스 등록", "register the service")),
    ]
    service = state.service
    if service is not None and service.enabled and service.manager != "none":
        steps.append(PlannedStep("start", Text("서비스 시작", "start the service")))
        steps.append(PlannedStep("health", Text("상태 확인", "wait until healthy")))
    return [*steps, PlannedStep("accept", Text("복구 확정", "commit"))]


def _interpreter_of(prefix: Prefix, generation: str) -> str:
    """Return which interpreter the release was made with, where that was the bundle's own."""
    known = read_receipt(prefix, generation)
    own = known is not None and any(entry.path.startswith("python/") for entry in known.entries)
    return BUNDLED if own else ""


def _copies(prefix: Prefix, manifest: Manifest) -> Dict[str, List[Path]]:
    """Return, by digest, the files of installed releases that should have contents of the manifest."""
    wanted = {entry.sha256 for entry in manifest.files}
    copies: Dict[str, List[Path]] = {}
    for name in generation_names(prefix):
        known = read_receipt(prefix, name)
        for entry in known.entries if known is not None else ():
            if entry.sha256 in wanted and not entry.path.startswith("venv/"):
                copies.setdefault(entry.sha256, []).append(prefix.generation(name) / entry.path)
    return copies


def _signed(prefix: Prefix, active: Pointer, offer: Offer, supplier: Optional[Supplier]) -> SignedManifest:
    """Return the manifest of the active release, verified again: the installed one, else a supplier's.

    Whether it has expired does not matter, it is installed. A signer who is not trusted any more does.

    Raises:
        IntegrityError: neither is intact.
        SignatureError: a signature does not hold, or its signer is not trusted.
    """
    data = store.manifest_bytes(prefix, active.generation)
    signatures = _signatures(prefix, active.generation)
    carried = {} if data is None else _trust_files(prefix, data)
    if data is None or manifest_digest(data) != active.manifest or not signatures or carried is None:
        if supplier is not None and manifest_digest(supplier.signed.manifest_bytes) == active.manifest:
            return supplier.signed
        raise _no_manifest(prefix, active, offer)
    signed = verify.judge(data, signatures, trustrecords.gather(carried), offer.anchors)
    # Where no signer was ever pinned, the release was taken without: it is the same one, by its digest.
    unpinned = not (offer.anchors.pinned or offer.anchors.allowed_signers or offer.anchors.fingerprints)
    verify.require_origin(signed.origin, offer.allow_unverified or unpinned)
    verify.require_signers(signed.origin, offer.anchors.required)
    return signed


def _signatures(prefix: Prefix, generation: str) -> Tuple[bytes, ...]:
    """Return the release's signatures, each as the receipt has it: its own copies, else the store's."""
    known = read_receipt(prefix, generation)
    wanted = {entry.path: entry.sha256 for entry in known.entries} if known is not None else {}
    found: List[bytes] = []
    for name in layout.SIGNATURES:
        inner = f"tools/{name}"
        places = [prefix.generation(generation) / inner]
        if inner in wanted:
            places.append(store.object_path(prefix, wanted[inner]))
        data = next((each for each in map(_read, places) if each and _is(each, wanted.get(inner))), None)
        if data is None:
            break
        found.append(data)
    expected = sum(1 for name in layout.SIGNATURES if f"tools/{name}" in wanted)
    return tuple(found) if len(found) >= expected else ()


def _trust_files(prefix: Prefix, manifest: bytes) -> Optional[Dict[str, bytes]]:
    """Return the trust records that the manifest declares, by name; None where one is damaged or gone."""
    files: Dict[str, bytes] = {}
    for entry in parse_manifest(manifest).of_kind("trust"):
        data = _read(store.object_path(prefix, entry.sha256))
        if data is None or not _is(data, entry.sha256):
            return None
        files[entry.path.rpartition("/")[2]] = data
    return files


def _read(path: Path) -> Optional[bytes]:
    try:
        return verify.read_capped(path, limits.MANIFEST_BYTES)
    except RagTraceError:
        return None


def _is(data: bytes, digest: Optional[str]) -> bool:
    return digest is None or sha256_bytes(data) == digest


def _no_manifest(prefix: Prefix, active: Pointer, offer: Offer) -> IntegrityError:
    given = f" ({offer.bundle})" if offer.bundle is not None else ""
    return IntegrityError(
        Text(
            f"현재 릴리스의 매니페스트 또는 서명이 손상되었고 저장소에도 없습니다{given and ', 주어진 번들은 다른 릴리스입니다' + given}",
            "the manifest of the active release, or its signature, is damaged, and the store has neither"
            + (f"; the bundle given is another release{given}" if given else ""),
        ),
        where=str(prefix.generation(active.generation) / "tools" / layout.MANIFEST),
        state=UNCHANGED,
        hint=Text(
            f"순번 {active.sequence}의 번들(매니페스트 {active.manifest[:12]})을 반입한 뒤 실행: "
            "install.py --repair --bundle 경로",
            f"carry in the bundle of sequence {active.sequence} (manifest {active.manifest[:12]}), then run: "
            "install.py --repair --bundle PATH",
        ),
    )
