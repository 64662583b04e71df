"""Wheels from sources: built once on this machine, remembered by their source, refused unless allowed."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from packaging.tags import compatible_tags
from packaging.utils import canonicalize_name, parse_wheel_filename
from packaging.version import Version

from bundle import layout
from bundle.errors import BuildError, RagTraceError
from bundle.hashing import sha256_bytes, sha256_file
from bundle.text import Text
from bundle.zipstructure import Malformed

from .. import uvtool
from ..cache import Cache
from ..inputs import ProjectSpec
from ..plan import BUILT, Artifact, BundlePlan, local_path
from ..stage import StagedFile, source_digest
from ..wheels import wheelfile
from ..wheels.catalogue import text_of
from . import archives, environment, git, outlook
from .backend import build_constraints
from .built import BuiltWheel, from_record
from .environment import Settings
from .permission import require_permission
from .trees import EPOCH, SourceTree, copy_directory, directory_digest

# Changes when the same source would be built in another way: what was built before is then built anew.
_RECIPE = "2"


class Progress(Protocol):
    """Where a build tells how far it is."""

    def detail(self, line: str) -> None:
        """Tell one thing that only somebody who asked for more wants to know."""


@dataclass(frozen=True)
class _Source:
    """A source to build: the artefact, its public name, and what it is recognised by before it is read."""

    item: Artifact
    origin: str
    identity: str


def build_sources(
    cache: Cache, plan: BundlePlan, *, allow_build: frozenset[str] = frozenset(), progress: Progress
) -> list[BuiltWheel]:
    """Build every sdist, git and directory artefact of the plan, in plan order; sdists lie in the cache.

    A source that was built before, with the same uv, interpreter and pins, is not built again: then no
    process is started and nothing is fetched.

    Raises:
        BuildError: a build was not allowed (all are named), some failed (all are named), or a wheel is
            bound to this machine.
        IntegrityError: a cached source is not what its name says.
    """
    require_permission([plan], allow_build)
    built: list[BuiltWheel] = []
    failed: list[RagTraceError] = []
    for item in plan.of_kind(*BUILT):
        try:
            built.append(_build(cache, plan, item, progress))
        except BuildError as error:
            failed.append(error)
    if len(failed) == 1:
        raise failed[0]
    if failed:
        raise BuildError(
            Text(f"빌드하지 못한 소스: {len(failed)}개", f"{len(failed)} source(s) could not be built"),
            details=[line for error in failed for line in (error.summary, *error.details[-4:])],
            hint=failed[0].hint,
        )
    return built


def build_project(
    cache: Cache, project: ProjectSpec, epoch: int, files: Sequence[StagedFile], pythons: Sequence[str] = ()
) -> BuiltWheel:
    """Build the project's own wheel from `files`, the very sources that the bundle carries.

    Raises:
        BuildError: the backend failed, or the wheel is not pure Python.
    """
    digest = source_digest(files)
    settings = _settings(project, pythons, epoch)
    key = _key(f"project {project.name} {digest} {epoch}", settings)
    with cache.lock(f"build-{key}"):
        known = cache.built(key)
        if known is None:
            with cache.work_folder() as work:
                tree = SourceTree(work / project.name)
                for file in files:
                    data = file.source if isinstance(file.source, bytes) else file.source.read_bytes()
                    tree.add(file.entry.path.removeprefix(f"{layout.SOURCE}/"), [data])
                known = _admit(
                    cache, *environment.build_wheel(tree.root, work, settings), digest, "03_Source"
                )
            cache.remember_built(key, known)
    wheel = from_record(known)
    _require_fitting(wheel, project.name, project.version, pythons)
    return wheel


def _build(cache: Cache, plan: BundlePlan, item: Artifact, progress: Progress) -> BuiltWheel:
    source = _source(plan, item)
    settings = _settings(plan.project, item.pythons, EPOCH, item.version if item.kind == "git" else "")
    key = _key(source.identity, settings)
    # Of two builds that want the same wheel at once, one makes it and the other then finds it.
    with cache.lock(f"build-{key}"):
        known = cache.built(key)
        if known is None:
            progress.detail(f"build {item.name} {item.version} {source.origin}")
            with cache.work_folder() as work:
                known = _build_in(cache, source, work, settings)
            cache.remember_built(key, known)
    wheel = from_record(known)
    _require_fitting(wheel, item.name, item.version, item.pythons)
    return wheel


def _build_in(cache: Cache, source: _Source, work: Path, settings: Settings) -> dict[str, str]:
    item = source.item
    tree = SourceTree(work / canonicalize_name(item.name))
    if item.kind == "sdist":
        archives.unpack(cache.verified(item.sha256), item.filename, tree)
        digest = item.sha256
    elif item.kind == "git":
        digest = git.take_commit(item, work, tree)
    else:
        digest = copy_directory(local_path(item.source), tree)
    try:
        folder = tree.project(item.subdirectory, in_top_folder=item.kind == "sdist")
        made = environment.build_wheel(folder, work, settings)
    except Malformed as error:
        raise BuildError(
            Text(f"{item.name}: 소스를 쓸 수 없습니다", f"{item.name}: the source cannot be used"),
            details=[text_of(error.problem)],
        ) from error
    except BuildError as error:
        name = f"{item.name} {item.version}".strip()
        raise BuildError(
            Text(f"{name}: {error.summary.ko}", f"{name}: {error.summary.en}"),
            where=error.where,
            details=error.details,
            hint=error.hint,
        ) from error
    return _admit(cache, *made, digest, source.origin)


def _source(plan: BundlePlan, item: Artifact) -> _Source:
    """Return the source with what it is recognised by; a folder is read for that, a commit is its own name."""
    origin = outlook.origin(item, plan.project.workspace)
    content = item.sha256 or item.commit
    if item.kind == "directory":
        folder = local_path(item.source)
        if not folder.is_dir():
            raise BuildError(
                Text(f"{item.name}: 폴더가 없습니다", f"{item.name}: there is no such folder"),
                where=str(folder),
            )
        content = directory_digest(folder)
    return _Source(item, origin, f"{item.kind} {origin} {content} {item.subdirectory}")


def _settings(project: ProjectSpec, pythons: Sequence[str], epoch: int, version: str = "") -> Settings:
    return Settings(
        environment.choose_python(pythons),
        build_constraints(project.workspace),
        project.workspace,
        epoch,
        version,
    )


def _key(identity: str, settings: Settings) -> str:
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    python = own if settings.python == sys.executable else settings.python
    parts = [_RECIPE, identity, uvtool.uv_version(), python, settings.epoch, settings.version]
    return sha256_bytes(json.dumps([*parts, settings.constraints]).encode())


def _admit(
    cache: Cache, wheel: Path, requires: tuple[str, ...], source_sha256: str, origin: str
) -> dict[str, str]:
    wheelfile.check(wheel, wheel.name)
    size, digest = sha256_file(wheel)
    cache.admit(wheel, digest)
    name, version, _, _ = parse_wheel_filename(wheel.name)
    return BuiltWheel(name, str(version), wheel.name, digest, size, origin, source_sha256, requires).record()


def _require_fitting(wheel: BuiltWheel, name: str, version: str, pythons: Sequence[str]) -> None:
    """Require that the wheel is what was locked, and that it runs anywhere (docs/adr/0006)."""
    if wheel.name != canonicalize_name(name) or (version and Version(wheel.version) != Version(version)):
        raise BuildError(
            Text(
                f"{name} {version}: 다른 패키지가 만들어졌습니다 ({wheel.filename})",
                f"{name} {version}: another package came out of it ({wheel.filename})",
            ),
            hint=Text("uv lock으로 다시 잠그십시오", "lock it again with uv lock"),
        )
    _, _, _, tags = parse_wheel_filename(wheel.filename)
    needed = pythons or (f"{sys.version_info.major}.{sys.version_info.minor}",)
    if all(tags & _anywhere(python) for python in needed):
        return
    raise BuildError(
        Text(
            f"{name} {version}: 이 컴퓨터에 묶인 휠이 만들어졌습니다 ({wheel.filename})",
            f"{name} {version}: the wheel built here is bound to this machine ({wheel.filename})",
        ),
        hint=Text(
            "휠을 배포하는 버전을 잠그거나, 대상의 glibc에서 만든 휠을 색인에 올리십시오",
            "lock a version that publishes wheels, or publish one built on the target's glibc to your index",
        ),
    )


def _anywhere(python: str) -> frozenset[object]:
    """Return the tags of wheels that CPython `python` runs on every platform."""
    major, minor = (int(part) for part in python.split("."))
    return frozenset(compatible_tags((major, minor), f"cp{major}{minor}", []))
