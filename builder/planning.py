"""Planning: from a request to the plan of its bundle. Obstacles are in the plan, not raised."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bundle.errors import BuildError
from bundle.hashing import sha256_file
from bundle.manifest import Target
from bundle.text import Text

from . import uvtool
from .inputs import REPOSITORY, Profile, ProjectSpec, load_project, load_target
from .plan import Artifact, BundlePlan, Obstacle
from .selection import resolve


@dataclass(frozen=True)
class Request:
    """What one build was asked for; `pythons`, `extras` and `groups` already joined with the profile's."""

    project: ProjectSpec
    profile: Profile
    target: str
    pythons: tuple[str, ...]
    extras: tuple[str, ...]
    groups: tuple[str, ...]
    python_archive: Path | None = None


def make_plans(requests: Sequence[Request]) -> list[BundlePlan]:
    """Resolve every request into a plan."""
    return [make_plan(request) for request in requests]


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
