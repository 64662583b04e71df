"""The build, top to bottom: plan → audit → fetch → build sources and stage → assess → seal → pack."""

from __future__ import annotations

import datetime
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from bundle import atomic, layout
from bundle.manifest import Manifest
from bundle.text import Text
from bundle.trustrecords import Carried

from . import contents, network, planning, stage
from .assessment import assess, audit, policy, snapshot
from .cache import Cache
from .contents import Contents, Standing
from .disk import Need, require_room
from .gather import gather
from .plan import BundlePlan
from .planning import Request
from .sealing import expiry, provenance, records, seal
from .sealing.signing import Signer
from .sources import permission
from .transport import delta, pack, ship
from .transport.output import Packed
from .wheels import carried

if TYPE_CHECKING:
    from .assessment.findings import AuditReport, Verdict, Waiver


class Progress(Protocol):
    """Where a build tells how far it is."""

    def work(self, total_bytes: int) -> None:
        """Say how many bytes the whole run will move."""

    def stage(self, title: Text, total_bytes: int) -> None:
        """Begin a stage of so many bytes (0: unknown)."""

    def advance(self, count: int) -> None:
        """Note `count` more bytes of the stage."""

    def note(self, text: Text) -> None:
        """Tell something that is not a result."""

    def detail(self, line: str) -> None:
        """Tell one thing that only somebody who asked for more wants to know."""


@dataclass(frozen=True)
class Order:
    """How the bundles are to be made and where they go; the same for all targets of one run.

    `expires` is a day or ``90d``; `fail_on` a level of `assessment.findings.LEVELS`; `volume_size` is in
    bytes; `base` the manifest of the bundle that a delta is to build on; `token` the model hub's;
    `trust_records` the chain by which hosts that know an earlier key learn of today's.
    """

    output: Path
    sequence: int | None = None
    expires: str | None = None
    allow_build: frozenset[str] = frozenset()
    auditing: audit.Settings = field(default_factory=audit.Settings)
    fail_on: str = "none"
    waivers: tuple[Waiver, ...] = ()
    volume_size: int | None = None
    base: delta.BaseManifest | None = None
    token: str | None = None
    trust_records: tuple[Carried, ...] = ()


@dataclass(frozen=True)
class BuiltBundle:
    """What a build made; `downloaded_bytes` came over the network in this run, for all its targets."""

    packed: Packed
    manifest: Manifest
    signers: tuple[Signer, ...]
    allowed_signers: Path
    provenance: Path
    downloaded_bytes: int
    report: AuditReport | None
    flagged: int

    @property
    def archive(self) -> Path:
        """The archive, or the index of its volumes."""
        return self.packed.path


@dataclass(frozen=True)
class _Run:
    """What the bundles of one run share, once everything is in the cache."""

    order: Order
    cache: Cache
    signers: tuple[Signer, ...]
    progress: Progress
    report: AuditReport | None
    downloaded: int


def build_bundles(
    requests: Sequence[Request], order: Order, cache: Cache, signers: Sequence[Signer], progress: Progress
) -> Iterator[BuiltBundle]:
    """Build one signed bundle for each request; obstacles of any are told before anything is fetched.

    Raises:
        UsageProblem: an expiry that is none; extras, groups or targets that do not exist.
        BuildError: a target cannot be served, a source does not build or may not, a wheel is not sound.
        AssessmentError: findings that the policy does not let pass.
        DownloadError: files could not be fetched.
        IntegrityError: a cached file was not what its name says (it is removed; run again).
        SpaceError: the cache or the output cannot be written, or is too small.
    """
    progress.stage(Text("잠금 파일에서 선택", "selecting from the lock"), 0)
    plans = planning.make_plans(requests)
    planning.require_servable(plans)
    permission.require_permission(plans, order.allow_build)
    standings = [_standing(plan, order) for plan in plans]
    for note in dict.fromkeys(note for plan in plans for note in plan.notes):
        progress.note(note)
    progress.stage(Text("알려진 취약점 확인", "asking about known vulnerabilities"), 0)
    report = _audit(plans, order, cache, progress)
    downloaded = gather(plans, cache, order.output if order.base is None else None, progress, order.token)
    run = _Run(order, cache, tuple(signers), progress, report, downloaded)
    for plan, standing in zip(plans, standings, strict=True):
        yield _build_bundle(plan, standing, run)


def _build_bundle(plan: BundlePlan, standing: Standing, run: _Run) -> BuiltBundle:
    for item in plan.artifacts:
        run.progress.detail(f"{item.kind} {item.filename} sha256:{item.sha256} {network.shown(item.source)}")
    run.progress.stage(Text("소스에서 휠 빌드", "building wheels from sources"), 0)
    found = contents.collect(plan, run.cache, standing.epoch, run.order.allow_build, run.progress)
    run.progress.stage(Text("평가와 서명", "assessing and signing"), 0)
    report = None if run.report is None else snapshot.narrowed(run.report, audit.subjects(found.plan)[0])
    if report is not None:
        document = stage.staged(snapshot.PATH, snapshot.to_bytes(report), "advisories", "assessment")
        found = found.with_files([document])
    carried_records = [
        stage.staged(f"{layout.TRUST}/{name}", data, "trust", "trust")
        for item in run.order.trust_records
        for name, data in item.files().items()
    ]
    found = found.with_files(carried_records)
    assessed = assess.assess(_subject(found, standing, report, run), run.cache)
    found = found.with_files(assessed.files)
    listed = None if report is None else snapshot.manifest_entry(report)
    manifest = contents.manifest_of(found, run.cache, standing, listed)
    packed = _write(found, manifest, standing, run)
    statement = _state_provenance(found.plan, manifest, packed, run)
    signers = pack.write_allowed_signers(run.order.output, run.signers)
    if run.order.trust_records:
        records.write_beside(run.order.output, run.order.trust_records)
    return BuiltBundle(
        packed, manifest, run.signers, signers, statement, run.downloaded, report, assessed.flagged
    )


def _standing(plan: BundlePlan, order: Order) -> Standing:
    epoch = seal.build_epoch(plan.project)
    expires = None if order.expires is None else expiry.parse(order.expires, epoch, int(time.time()))
    return Standing(epoch, epoch if order.sequence is None else order.sequence, expires)


def _subject(found: Contents, standing: Standing, report: AuditReport | None, run: _Run) -> assess.Subject:
    return assess.Subject(
        plan=found.plan,
        own=carried.project_wheel(found.plan, found.own),
        wheels=found.wheels,
        files=found.entries(),
        builds=found.builds,
        models=contents.carried_models(found.models),
        audit=report,
        verdict=None if report is None else _judge(report, run.order),
        signers=tuple((signer.principal, signer.public.fingerprint) for signer in run.signers),
        epoch=standing.epoch,
        sequence=standing.sequence,
        expires=standing.expires,
    )


def _write(found: Contents, manifest: Manifest, standing: Standing, run: _Run) -> Packed:
    """Seal the contents and write them in the form that was ordered."""
    order = run.order
    sealed = seal.seal(manifest, run.signers)
    written = manifest.files if order.base is None else delta.delta_entries(manifest, order.base)
    total = sum(entry.size for entry in written)
    require_room([Need(order.output, total, Text("번들", "the bundle"))])
    run.progress.stage(Text("아카이브 쓰기", "writing the archive"), total)
    return ship.ship(
        order.output,
        layout.archive_stem(manifest.version, found.plan.target.name),
        found.files,
        sealed,
        standing.epoch,
        run.cache,
        run.progress.advance,
        keys=run.signers,
        volume_size=order.volume_size,
        base=order.base,
    )


def _state_provenance(plan: BundlePlan, manifest: Manifest, packed: Packed, run: _Run) -> Path:
    made = provenance.Made(packed.archive_name, packed.sha256, manifest)
    data = provenance.provenance(made, plan, run.signers, extras=plan.extras, groups=plan.groups)
    place = run.order.output / f"{packed.archive_name}{provenance.SUFFIX}"
    atomic.write_atomic(place, data)
    return place


def _audit(plans: Sequence[BundlePlan], order: Order, cache: Cache, progress: Progress) -> AuditReport | None:
    """Ask once about everything that any of the plans carries, and stop early where the policy says so."""
    subjects = [audit.subjects(plan) for plan in plans]
    packages = {item for found, _ in subjects for item in found}
    unpublished = {name for _, names in subjects for name in names}
    report = audit.audit(packages, cache, order.auditing, unpublished=unpublished)
    if report is not None:
        verdict = _judge(report, order)
        for note in policy.notes(verdict):
            progress.note(note)
        policy.require_passed(verdict)
    return report


def _judge(report: AuditReport, order: Order) -> Verdict:
    today = datetime.datetime.now(datetime.timezone.utc).date()
    return policy.judge(report, order.fail_on, order.waivers, today)
