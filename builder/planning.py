"""Planning: from requests to the plans of their bundles. Obstacles are in the plans, not raised.

What requests share is done once: reading the lock, exporting a project's part of it, finding uv.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bundle.errors import BuildError
from bundle.hashing import sha256_file
from bundle.manifest import Target
from bundle.text import Text

from . import uvtool
from .inputs import REPOSITORY, Profile, ProjectSpec, TargetSpec, load_target
from .plan import Artifact, BundlePlan, Obstacle
from .selection import choices, tags
from .selection.lock import Lock, LockedPackage, read_pylock
from .selection.select import best_wheel, select
from .selection.uvlock import UvLock, newer_revision, read_uv_lock, unpinned


@dataclass(frozen=True)
class Request:
    """What one build was asked for; `pythons`, `extras` and `groups` already joined with the profile's.

    `interpreter` is the version (``X.Y``) of a pinned interpreter to carry; a `python_archive` takes its place.

    `plain_linux` names packages whose wheels tagged plain ``linux_x86_64`` may be carried. `models` are carried
    too, those in `model_folders` from there instead of from their repository.
    """

    project: ProjectSpec
    profile: Profile
    target: str
    pythons: tuple[str, ...]
    extras: tuple[str, ...]
    groups: tuple[str, ...]
    python_archive: Path | None = None
    interpreter: str = ""
    plain_linux: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    model_folders: tuple[tuple[str, Path], ...] = ()


def make_plans(requests: Sequence[Request]) -> list[BundlePlan]:
    """Resolve every request into a plan.

    Raises:
        BuildError: a lock cannot be read, is newer than this builder, or does not fit its project.
        UsageProblem: extras or groups that do not exist, or that exclude one another; an unknown target.
    """
    desk = _Desk()
    return [_plan(request, desk) for request in requests]


def require_servable(plans: Sequence[BundlePlan]) -> None:
    """Refuse plans that have obstacles.

    Raises:
        BuildError: naming every one of them, for every target.
    """
    refused = [plan for plan in plans if plan.obstacles]
    if not refused:
        return
    names = ", ".join(plan.target.name for plan in refused)
    count = sum(len(plan.obstacles) for plan in refused)
    lines = [(plan.target.name, item.text()) for plan in refused for item in plan.obstacles]
    raise BuildError(
        Text(
            f"{names} 대상의 번들을 만들 수 없습니다: {count}건",
            f"the bundle for {names} cannot be built: {count} obstacle(s)",
        ),
        details=[Text(f"[{name}] {text.ko}", f"[{name}] {text.en}") for name, text in lines],
    )


class _Desk:
    """What the requests of one run share."""

    def __init__(self) -> None:
        self._facts: dict[Path, UvLock] = {}
        self._locks: dict[tuple[ProjectSpec, tuple[str, ...], tuple[str, ...]], Lock] = {}
        self._archives: dict[Path, Artifact] = {}
        self._models: dict[tuple[object, ...], tuple[list[Artifact], list[Obstacle]]] = {}

    def facts(self, workspace: Path) -> UvLock:
        if workspace not in self._facts:
            self._facts[workspace] = read_uv_lock(workspace / "uv.lock")
        return self._facts[workspace]

    def lock(self, request: Request) -> Lock:
        key = (request.project, request.extras, request.groups)
        if key not in self._locks:
            facts = self.facts(request.project.workspace)
            choices.check(facts, request.project, request.extras, request.groups)
            exported = uvtool.export_pylock(*key)
            lock = read_pylock(exported, request.project.workspace)
            self._locks[key] = _with_versions(lock, facts)
        return self._locks[key]

    def models(self, request: Request) -> tuple[list[Artifact], list[Obstacle]]:
        """Return the files of the request's models: the same for every target."""
        if not request.models:
            return [], []
        # Imported here: most bundles carry no weights.
        from .models.planning import plan_models

        key = (request.models, request.model_folders)
        if key not in self._models:
            self._models[key] = plan_models(request.models, dict(request.model_folders))
        return self._models[key]

    def notes(self, project: ProjectSpec, artifacts: Iterable[Artifact]) -> list[Text]:
        facts = self.facts(project.workspace)
        told = (newer_revision(facts), unpinned(facts, (item.filename for item in artifacts)))
        return [*(note for note in told if note is not None), *choices.ignored_settings(project)]

    def interpreter(self, path: Path) -> Artifact:
        """Describe the interpreter archive that was given; it is packed from where it lies."""
        if path not in self._archives:
            size, digest = sha256_file(path)
            reason = "given with --python-archive, for hosts without a fitting Python"
            self._archives[path] = Artifact(
                "interpreter", "python", "", path.name, path.as_uri(), digest, size, (), reason
            )
        return self._archives[path]


def _plan(request: Request, desk: _Desk) -> BundlePlan:
    spec = load_target(request.target)
    selection = select(desk.lock(request), spec, request.pythons, request.plain_linux)
    artifacts, obstacles = list(selection.sorted_artifacts()), list(selection.obstacles())
    tool = uv_for(spec, request.pythons, desk.facts(REPOSITORY))
    if isinstance(tool, Obstacle):
        obstacles.append(tool)
    else:
        artifacts.append(tool)
    weights, missing = desk.models(request)
    artifacts += weights
    obstacles += missing
    if request.python_archive is not None:
        artifacts.append(desk.interpreter(request.python_archive))
    elif request.interpreter:
        # Imported here: most bundles leave the interpreter to the host.
        from .interpreters import pins

        archive = pins.chosen(spec.name, request.interpreter, pins.load())
        if isinstance(archive, Obstacle):
            obstacles.append(archive)
        else:
            artifacts.append(archive)
    return BundlePlan(
        project=request.project,
        profile=request.profile,
        target=Target(spec.name, spec.os, spec.arch, spec.libc, spec.libc_min, request.pythons),
        artifacts=tuple(artifacts),
        packages=selection.packages(),
        obstacles=tuple(obstacles),
        notes=(*desk.notes(request.project, selection.artifacts.values()), *selection.notes),
        extras=request.extras,
        groups=request.groups,
    )


def uv_for(target: TargetSpec, pythons: Sequence[str], facts: UvLock | None = None) -> Artifact | Obstacle:
    """Select uv for the target from the builder's own lock: the version that the builder itself runs."""
    lock = facts or read_uv_lock(REPOSITORY / "uv.lock")
    package = lock.published("uv", REPOSITORY) or LockedPackage("uv", "")
    wheel = best_wheel(package, tags.ranks(target, pythons[0]))
    if wheel is None or not wheel.sha256:
        return Obstacle(
            "uv",
            package.version,
            Text("대상에 맞는 uv 휠이 없습니다", "no uv wheel fits the target"),
            Text("다른 대상을 고르십시오", "choose another target"),
        )
    return Artifact(
        kind="uv",
        name="uv",
        version=package.version,
        filename=wheel.filename,
        source=wheel.url,
        sha256=wheel.sha256,
        size=wheel.size,
        pythons=(),
        reason="creates the environment on the isolated host",
    )


def _with_versions(lock: Lock, facts: UvLock) -> Lock:
    """Return the lock with the versions of its folders, which only ``uv.lock`` has."""
    packages = (
        replace(item, version=facts.folder_version(item.name))
        if item.tree is not None and not item.version
        else item
        for item in lock.packages
    )
    return replace(lock, packages=tuple(packages))
