"""Stage what was fetched or built: wheels, their requirements file and checksums, uv, an interpreter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bundle import checksums, layout
from bundle.manifest import FileEntry

from .. import stage
from ..cache import Cache
from ..plan import BUILT, BundlePlan, local_path
from ..sources.built import BuiltWheel
from ..stage import StagedFile
from . import wheelfile
from .requirements import requirements_text


@dataclass(frozen=True)
class CarriedWheel:
    """One wheel of the bundle, where its bytes came from, and the interpreters that install it."""

    name: str
    version: str
    filename: str
    sha256: str
    pythons: tuple[str, ...]
    source: str


def carried_wheels(plan: BundlePlan, built: Sequence[BuiltWheel]) -> list[CarriedWheel]:
    """Return the locked wheels and those built from the plan's sources (`built`, in the plan's order)."""
    wheels = [
        CarriedWheel(item.name, item.version, item.filename, item.sha256, item.pythons, item.source)
        for item in plan.of_kind("wheel")
    ]
    for item, wheel in zip(plan.of_kind(*BUILT), built, strict=True):
        source = f"{wheel.source} sha256:{wheel.source_sha256}, built here"
        wheels.append(
            CarriedWheel(wheel.name, wheel.version, wheel.filename, wheel.sha256, item.pythons, source)
        )
    return wheels


def stage_wheels(
    plan: BundlePlan, wheels: Sequence[CarriedWheel], own: BuiltWheel, cache: Cache
) -> list[StagedFile]:
    """Stage all wheels, ``requirements-<target>.txt``, and the folder's checksums."""
    project = project_wheel(plan, own)
    files = [
        stage.from_cache(f"{layout.WHEELS}/{wheel.filename}", cache, wheel.sha256, "wheel", wheel.name)
        for wheel in wheels
    ]
    lines = checksums.checksum_lines((f"wheels/{wheel.filename}", wheel.sha256) for wheel in wheels)
    pins = requirements_text([*wheels, project], plan.target.pythons, plan.limits()).encode("utf-8")
    name = f"{layout.DEPENDENCIES}/requirements-{plan.target.name}.txt"
    return [
        *files,
        stage.from_cache(f"{layout.SOURCE}/{own.filename}", cache, own.sha256, "wheel", own.name),
        stage.staged(name, pins, "requirements", own.name),
        stage.staged(f"{layout.DEPENDENCIES}/{layout.CHECKSUMS}", lines, "checksums", "wheels"),
    ]


def installed_bytes(plan: BundlePlan, wheels: Sequence[CarriedWheel], own: BuiltWheel, cache: Cache) -> int:
    """Return how many bytes the wheels unpack to on the host whose interpreter needs most."""
    sizes = {wheel.sha256: wheelfile.unpacked_size(cache.path(wheel.sha256)) for wheel in wheels}
    largest = max(
        sum(sizes[wheel.sha256] for wheel in wheels if python in wheel.pythons)
        for python in plan.target.pythons
    )
    return largest + wheelfile.unpacked_size(cache.path(own.sha256))


def stage_prerequisites(plan: BundlePlan, cache: Cache) -> list[StagedFile]:
    """Stage uv's wheel as its index publishes it, and the interpreter archive if one was given."""
    (tool,) = plan.of_kind("uv")
    place = f"{layout.PREREQUISITES}/{tool.filename}"
    files = [stage.from_cache(place, cache, tool.sha256, "uv", f"uv {tool.version}")]
    for item in plan.of_kind("interpreter"):
        name = f"{layout.PREREQUISITES}/{item.filename}"
        if item.source.startswith("file:"):
            entry = FileEntry(name, item.size, item.sha256, 0o644, "interpreter", "python")
            files.append(StagedFile(entry, local_path(item.source)))
        else:
            files.append(stage.from_cache(name, cache, item.sha256, "interpreter", f"python {item.version}"))
    return files


def project_wheel(plan: BundlePlan, own: BuiltWheel) -> CarriedWheel:
    """Return the packed project's own wheel as one of the bundle's."""
    return CarriedWheel(own.name, own.version, own.filename, own.sha256, plan.target.pythons, "this project")
