"""The build, top to bottom: plan → audit → fetch → build sources → stage → assess → seal → pack."""

from __future__ import annotations

import datetime
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from bundle import atomic, layout
from bundle.manifest import Build, Manifest, Model, Package, Project
from bundle.text import Text

from . import fetch, network, planning, stage
from .assessment import assess, audit, policy, snapshot
from .cache import Cache
from .disk import Need, require_room
from .plan import BundlePlan
from .planning import Request
from .sealing import expiry, provenance, seal
from .sealing.signing import Signer
from .sources import build as sources
from .sources import permission
from .stage import StagedFile
from .transport import delta, pack, ship
from .transport.output import Packed
from .wheels import carried

if TYPE_CHECKING:
    from .assessment.findings import AuditReport, Verdict, Waiver
    from .sources.built import BuiltWheel


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
    bytes; `base` the manifest of the bundle that a delta is to build on; `token` the model hub's.
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
class _Contents:
    """What one bundle will hold before it is assessed, and what has to be known of it."""

    plan: BundlePlan
    files: list[StagedFile]
    wheels: list[carried.CarriedWheel]
    own: BuiltWheel
    builds: tuple[Build, ...]
    models: tuple[Model, ...]


def build_bundles(
    requests: Sequence[Request], order: Order, cache: Cache, signers: Sequence[Signer], progress: Progress
) -> Iterator[BuiltBundle]:
    """Build one signed bundle for each request; obstacles of any are told before anything is fetched.

    Raises:
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
    for note in dict.fromkeys(note for plan in plans for note in plan.notes):
        progress.note(note)
    progress.stage(Text("알려진 취약점 확인", "asking about known vulnerabilities"), 0)
    report = _audit(plans, order, cache, progress)
    downloaded = _fetch(plans, order, cache, progress)
    for plan in plans:
        yield build_bundle(plan, order, cache, signers, progress, report=report, downloaded=downloaded)


def build_bundle(
    plan: BundlePlan,
    order: Order,
    cache: Cache,
    signers: Sequence[Signer],
    progress: Progress,
    *,
    report: AuditReport | None,
    downloaded: int,
) -> BuiltBundle:
    """Build the bundle of one plan, whose files are in the cache; errors as of `build_bundles`."""
    for item in plan.artifacts:
        progress.detail(f"{item.kind} {item.filename} sha256:{item.sha256} {network.shown(item.source)}")
    epoch = seal.build_epoch(plan.project)
    expires = None if order.expires is None else expiry.parse(order.expires, epoch, int(time.time()))
    progress.stage(Text("소스에서 휠 빌드", "building wheels from sources"), 0)
    contents = _contents(plan, order, cache, progress, epoch)
    progress.stage(Text("평가와 서명", "assessing and signing"), 0)
    narrowed = None if report is None else snapshot.narrowed(report, audit.subjects(contents.plan)[0])
    if narrowed is not None:
        document = snapshot.to_bytes(narrowed)
        contents.files.append(stage.staged(snapshot.PATH, document, "advisories", "assessment"))
    sequence = order.sequence if order.sequence is not None else epoch
    subject = assess.Subject(
        plan=contents.plan,
        own=carried.project_wheel(contents.plan, contents.own),
        wheels=tuple(contents.wheels),
        files=tuple(item.entry for item in stage.sorted_files(contents.files)),
        builds=contents.builds,
        models=_carried_models(contents.models),
        audit=narrowed,
        verdict=None if narrowed is None else _judge(narrowed, order),
        signers=tuple((signer.principal, signer.public.fingerprint) for signer in signers),
        epoch=epoch,
        sequence=sequence,
        expires=expires,
        extras=plan.extras,
    )
    assessed = assess.assess(subject, cache)
    contents.files.extend(assessed.files)
    manifest = _manifest(contents, cache, epoch, sequence, expires, narrowed)
    return _finish(
        contents, manifest, epoch, order, cache, signers, progress, narrowed, assessed.flagged, downloaded
    )


def _finish(
    contents: _Contents,
    manifest: Manifest,
    epoch: int,
    order: Order,
    cache: Cache,
    signers: Sequence[Signer],
    progress: Progress,
    report: AuditReport | None,
    flagged: int,
    downloaded: int,
) -> BuiltBundle:
    """Seal and write: the archive or its volumes, the provenance and the signers beside it."""
    files = stage.sorted_files(contents.files)
    sealed = seal.seal(manifest, signers)
    total = sum(item.entry.size for item in files)
    if order.base is not None:
        total = sum(entry.size for entry in delta.delta_entries(manifest, order.base))
    require_room([Need(order.output, total, Text("번들", "the bundle"))])
    progress.stage(Text("아카이브 쓰기", "writing the archive"), total)
    packed = ship.ship(
        order.output,
        layout.archive_stem(manifest.version, contents.plan.target.name),
        files,
        sealed,
        epoch,
        cache,
        progress.advance,
        keys=signers,
        volume_size=order.volume_size,
        base=order.base,
    )
    made = provenance.Made(packed.archive_name, packed.sha256, manifest)
    plan = contents.plan
    statement = provenance.provenance(made, plan, signers, extras=plan.extras, groups=plan.groups)
    place = order.output / f"{packed.archive_name}{provenance.SUFFIX}"
    atomic.write_atomic(place, statement)
    trusted = pack.write_allowed_signers(order.output, signers)
    return BuiltBundle(packed, manifest, tuple(signers), trusted, place, downloaded, report, flagged)


def _audit(plans: Sequence[BundlePlan], order: Order, cache: Cache, progress: Progress) -> AuditReport | None:
    """Ask once about everything that any of the plans carries, and stop early where the policy says so."""
    packages, unpublished = set(), set()
    for plan in plans:
        found, private = audit.subjects(plan)
        packages |= set(found)
        unpublished |= set(private)
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


def _fetch(plans: Sequence[BundlePlan], order: Order, cache: Cache, progress: Progress) -> int:
    """Fetch what the cache lacks, each file once for all plans; return the bytes that came."""
    artifacts = [item for plan in plans for item in plan.artifacts]
    wanted = fetch.missing(cache, artifacts)
    logins = network.logins_of(plans[0].project) if wanted else None
    if wanted:
        sizes = fetch.remote_sizes(wanted, cache, logins)
        wanted = [replace(item, size=size) for item, size in zip(wanted, sizes, strict=True)]
    models = [item for item in artifacts if item.kind == "model"]
    weights = {item.sha256: item.size for item in models if not cache.has(item.sha256)}
    total = sum(item.size for item in wanted) + sum(weights.values())
    known = {item.sha256: item.size for item in wanted} | {item.sha256: item.size for item in models}
    bundles = sum(known.get(item.sha256) or fetch.cached_size(cache, item.sha256) for item in artifacts)
    room = 0 if order.base is not None else bundles
    require_room(
        [
            Need(cache.root, total, Text("내려받기", "downloads")),
            Need(order.output, room, Text("번들", "bundles")),
        ]
    )
    progress.work(total + bundles)
    progress.stage(Text("내려받기", "downloading"), total)
    fetch.fetch(cache, wanted, progress.advance, logins)
    if weights:
        from .models.fetch import fetch_models

        fetch_models(cache, models, progress.advance, order.token)
    return total


def _contents(plan: BundlePlan, order: Order, cache: Cache, progress: Progress, epoch: int) -> _Contents:
    """Build what has to be built and stage everything but the assessment's documents."""
    source = stage.project_source(plan.project)
    built = sources.build_sources(cache, plan, allow_build=order.allow_build, progress=progress)
    own = sources.build_project(cache, plan.project, epoch, source, plan.target.pythons)
    plan = plan.with_versions({wheel.name: wheel.version for wheel in built})
    wheels = carried.carried_wheels(plan, built)
    files = [*source, *carried.stage_wheels(plan, wheels, own, cache), *stage.far_side()]
    files += carried.stage_prerequisites(plan, cache)
    models: tuple[Model, ...] = ()
    if plan.of_kind("model"):
        from .models.carry import stage_models
        from .models.spec import load_model

        names = dict.fromkeys(item.name for item in plan.of_kind("model"))
        weights, models = stage_models([load_model(name) for name in names], plan.artifacts, cache)
        files += weights
    builds = tuple({wheel.sha256: wheel.as_build() for wheel in (*built, own)}.values())
    return _Contents(plan, files, wheels, own, builds, models)


def _carried_models(models: Sequence[Model]) -> tuple[assess.CarriedModel, ...]:
    if not models:
        return ()
    from .models.spec import load_model

    return tuple(assess.CarriedModel.of(model, load_model(model.name)) for model in models)


def _manifest(
    contents: _Contents,
    cache: Cache,
    epoch: int,
    sequence: int,
    expires: str | None,
    report: AuditReport | None,
) -> Manifest:
    plan, own = contents.plan, contents.own
    files = stage.sorted_files(contents.files)
    copied = sum(item.entry.size for item in files if item.entry.kind not in ("wheel", "uv", "interpreter"))
    unpacked = carried.installed_bytes(plan, contents.wheels, own, cache)
    packages = (*plan.packages, Package(own.name, own.version, plan.target.pythons))
    return Manifest(
        product=layout.PRODUCT,
        version=plan.project.version,
        profile=plan.profile.name,
        sequence=sequence,
        created=seal.utc(epoch),
        expires=expires,
        target=plan.target,
        project=Project(plan.project.name, plan.project.version),
        service=plan.profile.service,
        memory_mb=plan.profile.memory_mb,
        installed_bytes=unpacked + copied,
        packages=tuple(sorted(packages, key=lambda item: (item.name, item.version))),
        files=tuple(item.entry for item in files),
        builds=contents.builds,
        models=contents.models,
        advisories=None if report is None else snapshot.manifest_entry(report),
    )
