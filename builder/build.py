"""The build, top to bottom: resolve → plan → fetch → build sources → stage → seal → pack."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from bundle import layout
from bundle.errors import BuildError
from bundle.hashing import sha256_file
from bundle.manifest import Manifest, Package, Project, Target
from bundle.text import Text

from . import carried, fetch, pack, resolve, sdist, seal, stage, uvtool
from .cache import Cache
from .inputs import REPOSITORY, Profile, ProjectSpec, load_project, load_target
from .plan import Artifact, BundlePlan, Obstacle
from .sdist import BuiltWheel
from .signing import SigningKey
from .stage import StagedFile


class Progress(Protocol):
    """Where a build tells how far it is."""

    def stage(self, title: Text, total_bytes: int) -> None:
        """Begin a stage of so many bytes (0: unknown)."""

    def advance(self, count: int) -> None:
        """Note `count` more bytes of the stage."""

    def detail(self, line: str) -> None:
        """Tell one thing that only somebody who asked for more wants to know."""


@dataclass(frozen=True)
class Request:
    """What one build was asked for; `pythons`, `extras` and `groups` already joined with the profile's."""

    project: ProjectSpec
    profile: Profile
    target: str
    pythons: tuple[str, ...]
    extras: tuple[str, ...]
    groups: tuple[str, ...]
    output: Path
    python_archive: Path | None = None
    sequence: int | None = None


@dataclass(frozen=True)
class BuiltBundle:
    """What a build made; `downloaded_bytes` came over the network in this run."""

    archive: Path
    size: int
    sha256: str
    manifest: Manifest
    key: SigningKey
    allowed_signers: Path
    downloaded_bytes: int


def make_plan(request: Request) -> BundlePlan:
    """Resolve the request into a plan; obstacles are in it, not raised."""
    spec = load_target(request.target)
    lock = resolve.parse_pylock(uvtool.export_pylock(request.project, request.extras, request.groups))
    selection = resolve.select(lock, spec, request.pythons)
    artifacts = list(selection.sorted_artifacts())
    obstacles = list(selection.obstacles.values())
    tool = _uv_for(request)
    if isinstance(tool, Obstacle):
        obstacles.append(tool)
    else:
        artifacts.append(tool)
    if request.python_archive is not None:
        artifacts.append(_interpreter(request.python_archive))
    target = Target(spec.name, spec.os, spec.arch, spec.libc, spec.libc_min, request.pythons)
    return BundlePlan(
        request.project, request.profile, target, tuple(artifacts), selection.packages(), tuple(obstacles)
    )


def require_servable(plan: BundlePlan) -> None:
    """Refuse a plan that has obstacles.

    Raises:
        BuildError: naming every one of them.
    """
    if plan.obstacles:
        count = len(plan.obstacles)
        raise BuildError(
            Text(
                f"{plan.target.name} 대상의 번들을 만들 수 없습니다: {count}건",
                f"the bundle for {plan.target.name} cannot be built: {count} obstacle(s)",
            ),
            details=[item.text() for item in plan.obstacles],
        )


def build_bundle(request: Request, cache: Cache, key: SigningKey, progress: Progress) -> BuiltBundle:
    """Build one signed archive.

    Raises:
        BuildError: the target cannot be served, a source does not build, a wheel is not sound.
        DownloadError: files could not be fetched.
        IntegrityError: a cached file was not what its name says (it is removed; run again).
        SpaceError: the cache or the output cannot be written.
    """
    progress.stage(Text("잠금 파일에서 선택", "selecting from the lock"), 0)
    plan = make_plan(request)
    require_servable(plan)
    for item in plan.artifacts:
        progress.detail(f"{item.kind} {item.filename} sha256:{item.sha256} {item.source}")
    downloaded = _fetch(plan, cache, progress)
    progress.stage(Text("소스에서 휠 빌드", "building wheels from sources"), 0)
    epoch = seal.build_epoch(request.project)
    source = stage.project_source(request.project)
    built = [sdist.build(cache, item) for item in plan.of_kind("sdist")]
    own = sdist.build_project(cache, request.project, epoch, stage.source_digest(source))
    progress.stage(Text("배치와 서명", "staging and signing"), 0)
    wheels = carried.carried_wheels(plan, built)
    files = [*source, *carried.stage_wheels(plan, wheels, own, cache), *stage.far_side()]
    files += carried.stage_prerequisites(plan, cache)
    files = stage.sorted_files(files)
    needed = carried.installed_bytes(plan, wheels, own, cache)
    manifest = _manifest(request, plan, files, own, epoch, needed)
    sealed = seal.seal(manifest, key)
    progress.stage(Text("아카이브 쓰기", "writing the archive"), sum(item.entry.size for item in files))
    stem = layout.archive_stem(manifest.version, plan.target.name)
    packed = pack.write_archive(request.output, stem, files, sealed, epoch, cache, progress.advance)
    signers = pack.write_allowed_signers(request.output, key)
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


def _uv_for(request: Request) -> Artifact | Obstacle:
    """Select uv for the target from the builder's own lock: the version that the builder itself runs."""
    lock = resolve.parse_pylock(uvtool.export_pylock(load_project(REPOSITORY), (), ()))
    selection = resolve.select(lock, load_target(request.target), request.pythons[:1])
    for item in selection.artifacts.values():
        if item.name == "uv" and item.kind == "wheel":
            return replace(item, kind="uv", pythons=(), reason="creates the environment on the isolated host")
    return Obstacle(
        "uv",
        "",
        Text("대상에 맞는 uv 휠이 없습니다", "no uv wheel fits the target"),
        Text("다른 대상을 고르십시오", "choose another target"),
    )


def _interpreter(path: Path) -> Artifact:
    """Describe the interpreter archive that was given; it is packed from where it lies."""
    size, digest = sha256_file(path)
    reason = "given with --python-archive, for hosts without a fitting Python"
    return Artifact("interpreter", "python", "", path.name, path.as_uri(), digest, size, (), reason)


def _manifest(
    request: Request,
    plan: BundlePlan,
    files: list[StagedFile],
    own: BuiltWheel,
    epoch: int,
    wheels_bytes: int,
) -> Manifest:
    copied = sum(item.entry.size for item in files if item.entry.kind not in ("wheel", "uv", "interpreter"))
    packages = (*plan.packages, Package(own.name, own.version, plan.target.pythons))
    return Manifest(
        product=layout.PRODUCT,
        version=request.project.version,
        profile=request.profile.name,
        sequence=request.sequence if request.sequence is not None else epoch,
        created=seal.utc(epoch),
        expires=None,
        target=plan.target,
        project=Project(request.project.name, request.project.version),
        service=request.profile.service,
        memory_mb=request.profile.memory_mb,
        installed_bytes=wheels_bytes + copied,
        packages=tuple(sorted(packages, key=lambda item: (item.name, item.version))),
        files=tuple(item.entry for item in files),
    )
