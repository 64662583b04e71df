"""The build, top to bottom: plan → fetch → build sources → assess → stage → seal → pack."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from bundle import layout
from bundle.manifest import Manifest, Package, Project
from bundle.text import Text

from . import fetch, planning, stage
from .cache import Cache
from .plan import BundlePlan
from .planning import Request
from .sealing import seal
from .sealing.signing import Signer
from .sources import sdist
from .sources.sdist import BuiltWheel
from .stage import StagedFile
from .transport import pack
from .wheels import carried


class Progress(Protocol):
    """Where a build tells how far it is."""

    def stage(self, title: Text, total_bytes: int) -> None:
        """Begin a stage of so many bytes (0: unknown)."""

    def advance(self, count: int) -> None:
        """Note `count` more bytes of the stage."""

    def detail(self, line: str) -> None:
        """Tell one thing that only somebody who asked for more wants to know."""


@dataclass(frozen=True)
class Order:
    """How the bundles are to be made and where they go; the same for all targets of one run."""

    output: Path
    sequence: int | None = None


@dataclass(frozen=True)
class BuiltBundle:
    """What a build made; `downloaded_bytes` came over the network in this run."""

    archive: Path
    size: int
    sha256: str
    manifest: Manifest
    key: Signer
    allowed_signers: Path
    downloaded_bytes: int


def build_bundles(
    requests: Sequence[Request], order: Order, cache: Cache, key: Signer, progress: Progress
) -> Iterator[BuiltBundle]:
    """Build one signed archive for each request; obstacles of any are told before anything is fetched.

    Raises:
        BuildError: a target cannot be served, a source does not build, a wheel is not sound.
        DownloadError: files could not be fetched.
        IntegrityError: a cached file was not what its name says (it is removed; run again).
        SpaceError: the cache or the output cannot be written.
    """
    progress.stage(Text("잠금 파일에서 선택", "selecting from the lock"), 0)
    plans = planning.make_plans(requests)
    planning.require_servable(plans)
    for plan in plans:
        yield build_bundle(plan, order, cache, key, progress)


def build_bundle(
    plan: BundlePlan, order: Order, cache: Cache, key: Signer, progress: Progress
) -> BuiltBundle:
    """Build the signed archive of one plan; errors as of `build_bundles`."""
    for item in plan.artifacts:
        progress.detail(f"{item.kind} {item.filename} sha256:{item.sha256} {item.source}")
    downloaded = _fetch(plan, cache, progress)
    progress.stage(Text("소스에서 휠 빌드", "building wheels from sources"), 0)
    epoch = seal.build_epoch(plan.project)
    source = stage.project_source(plan.project)
    built = [sdist.build(cache, item) for item in plan.of_kind("sdist")]
    own = sdist.build_project(cache, plan.project, epoch, stage.source_digest(source))
    progress.stage(Text("배치와 서명", "staging and signing"), 0)
    wheels = carried.carried_wheels(plan, built)
    files = [*source, *carried.stage_wheels(plan, wheels, own, cache), *stage.far_side()]
    files += carried.stage_prerequisites(plan, cache)
    files = stage.sorted_files(files)
    needed = carried.installed_bytes(plan, wheels, own, cache)
    manifest = _manifest(plan, order, files, own, epoch, needed)
    sealed = seal.seal(manifest, [key])
    progress.stage(Text("아카이브 쓰기", "writing the archive"), sum(item.entry.size for item in files))
    stem = layout.archive_stem(manifest.version, plan.target.name)
    packed = pack.write_archive(order.output, stem, files, sealed, epoch, cache, progress.advance)
    signers = pack.write_allowed_signers(order.output, [key])
    return BuiltBundle(packed.path, packed.size, packed.sha256, manifest, key, signers, downloaded)


def _fetch(plan: BundlePlan, cache: Cache, progress: Progress) -> int:
    wanted = fetch.missing(cache, (item for item in plan.artifacts if item.kind != "interpreter"))
    if wanted:
        sizes = fetch.remote_sizes(wanted, cache)
        wanted = [replace(item, size=size) for item, size in zip(wanted, sizes, strict=True)]
    total = sum(item.size for item in wanted)
    progress.stage(Text("내려받기", "downloading"), total)
    fetch.fetch(cache, wanted, progress.advance)
    return total


def _manifest(
    plan: BundlePlan, order: Order, files: list[StagedFile], own: BuiltWheel, epoch: int, wheels_bytes: int
) -> Manifest:
    copied = sum(item.entry.size for item in files if item.entry.kind not in ("wheel", "uv", "interpreter"))
    packages = (*plan.packages, Package(own.name, own.version, plan.target.pythons))
    return Manifest(
        product=layout.PRODUCT,
        version=plan.project.version,
        profile=plan.profile.name,
        sequence=order.sequence if order.sequence is not None else epoch,
        created=seal.utc(epoch),
        expires=None,
        target=plan.target,
        project=Project(plan.project.name, plan.project.version),
        service=plan.profile.service,
        memory_mb=plan.profile.memory_mb,
        installed_bytes=wheels_bytes + copied,
        packages=tuple(sorted(packages, key=lambda item: (item.name, item.version))),
        files=tuple(item.entry for item in files),
    )
