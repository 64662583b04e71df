"""Wheels from sources, built once on this machine and remembered by the source's digest."""

from __future__ import annotations

import shutil
from pathlib import Path

from packaging.utils import parse_wheel_filename

from bundle.errors import BuildError
from bundle.hashing import sha256_bytes, sha256_file
from bundle.text import Text

from .. import uvtool
from ..cache import Cache
from ..inputs import ProjectSpec
from ..plan import Artifact
from ..wheels import wheelfile
from .built import BuiltWheel as BuiltWheel

# Archive members cannot be older than 1980; backends clamp to it. Sdists carry no better date.
_EPOCH = 1_577_836_800


def build(cache: Cache, item: Artifact) -> BuiltWheel:
    """Build the sdist `item`, which lies in the cache, into a wheel in the cache.

    Raises:
        BuildError: the backend failed, or the wheel is bound to this machine instead of the target.
        IntegrityError: the cached sdist is not what its name says.
    """
    key = sha256_bytes(f"sdist {item.sha256} uv {uvtool.uv_version()}".encode())
    known = cache.built(key)
    if known is None:
        with cache.work_folder() as work:
            copy = work / item.filename
            shutil.copyfile(cache.verified(item.sha256), copy)
            known = _admit(cache, uvtool.build_wheel(copy, _empty(work / "out"), _EPOCH))
            cache.remember_built(key, known)
    wheel = _wheel(cache, known, item.sha256)
    _require_portable(wheel, item.name, item.version)
    return wheel


def build_project(cache: Cache, project: ProjectSpec, epoch: int, source_digest: str) -> BuiltWheel:
    """Build the project's own wheel; an unchanged source tree is built once.

    Raises:
        BuildError: the backend failed, or the wheel is not pure Python.
    """
    key = sha256_bytes(f"project {project.name} {source_digest} {epoch} uv {uvtool.uv_version()}".encode())
    known = cache.built(key)
    if known is None:
        with cache.work_folder() as work:
            known = _admit(cache, uvtool.build_wheel(project.root, _empty(work / "out"), epoch))
            cache.remember_built(key, known)
    wheel = _wheel(cache, known, source_digest)
    _require_portable(wheel, project.name, project.version)
    return wheel


def _empty(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _admit(cache: Cache, wheel: Path) -> dict[str, str]:
    wheelfile.check(wheel, wheel.name)
    size, digest = sha256_file(wheel)
    cache.admit(wheel, digest)
    return {"filename": wheel.name, "sha256": digest, "size": str(size)}


def _wheel(cache: Cache, record: dict[str, str], source_digest: str) -> BuiltWheel:
    name, version, _, _ = parse_wheel_filename(record["filename"])
    return BuiltWheel(
        name, str(version), record["filename"], record["sha256"], int(record["size"]), "", source_digest, ()
    )


def _require_portable(wheel: BuiltWheel, name: str, version: str) -> None:
    _, _, _, tags = parse_wheel_filename(wheel.filename)
    if any(tag.platform == "any" and tag.interpreter.startswith("py3") for tag in tags):
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
