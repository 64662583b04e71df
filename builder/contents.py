"""Contents: what one bundle will hold, from a plan whose files are in the cache, and the manifest over it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from bundle import layout
from bundle.manifest import Advisories, Build, FileEntry, Manifest, Model, Package, Project
from bundle.text import Text

from . import containers, stage
from .cache import Cache
from .plan import BundlePlan
from .sealing import seal
from .sources import build as sources
from .stage import StagedFile
from .wheels import carried

if TYPE_CHECKING:
    from .assessment.subject import CarriedModel
    from .sources.built import BuiltWheel


class Progress(Protocol):
    """Where collecting tells what takes its time."""

    def note(self, text: Text) -> None:
        """Tell something that is not a result."""

    def detail(self, line: str) -> None:
        """Tell one thing that only somebody who asked for more wants to know."""


@dataclass(frozen=True)
class Standing:
    """What a manifest says of the release as such: its time in seconds since 1970, sequence, expiry."""

    epoch: int
    sequence: int
    expires: str | None


@dataclass(frozen=True)
class Contents:
    """The staged files of one bundle, and what has to be known of them; `plan` has all versions by now."""

    plan: BundlePlan
    files: tuple[StagedFile, ...]
    wheels: tuple[carried.CarriedWheel, ...]
    own: BuiltWheel
    builds: tuple[Build, ...]
    models: tuple[Model, ...]

    def entries(self) -> tuple[FileEntry, ...]:
        """Return the files as the manifest lists them."""
        return tuple(item.entry for item in self.files)

    def with_files(self, added: Sequence[StagedFile]) -> Contents:
        """Return the contents with more files."""
        files = tuple(stage.sorted_files([*self.files, *added]))
        return Contents(self.plan, files, self.wheels, self.own, self.builds, self.models)


def collect(
    plan: BundlePlan, cache: Cache, epoch: int, allow_build: frozenset[str], progress: Progress
) -> Contents:
    """Build what has to be built here and stage everything but the assessment's documents.

    Raises:
        BuildError: a source does not build or may not, a name cannot be carried, a model is not fit.
        IntegrityError: a cached file is not what its name says.
    """
    source = stage.project_source(plan.project)
    built = sources.build_sources(cache, plan, allow_build=allow_build, progress=progress)
    own = sources.build_project(cache, plan.project, epoch, source, plan.target.pythons)
    plan = plan.with_versions({wheel.name: wheel.version for wheel in built})
    wheels = carried.carried_wheels(plan, built)
    weights, models = _models(plan, cache, progress)
    files = [
        *source,
        *carried.stage_wheels(plan, wheels, own, cache),
        *stage.far_side(),
        *containers.stage_containers(plan),
        *carried.stage_prerequisites(plan, cache),
        *weights,
    ]
    builds = tuple({wheel.sha256: wheel.as_build() for wheel in (*built, own)}.values())
    return Contents(plan, tuple(stage.sorted_files(files)), tuple(wheels), own, builds, models)


def _models(plan: BundlePlan, cache: Cache, progress: Progress) -> tuple[list[StagedFile], tuple[Model, ...]]:
    names = dict.fromkeys(item.name for item in plan.of_kind("model"))
    if not names:
        return [], ()
    # Imported here: most bundles carry no weights.
    from .models.carry import stage_models
    from .models.spec import load_model

    return stage_models([load_model(name) for name in names], plan.artifacts, cache, progress.note)


def carried_models(models: Sequence[Model]) -> tuple[CarriedModel, ...]:
    """Return the models with what their declarations say about waivers and conversions."""
    if not models:
        return ()
    from .assessment.subject import CarriedModel
    from .models.spec import load_model

    return tuple(CarriedModel.of(model, load_model(model.name)) for model in models)


def manifest_of(
    contents: Contents, cache: Cache, standing: Standing, advisories: Advisories | None
) -> Manifest:
    """Return the manifest over the contents."""
    plan, own = contents.plan, contents.own
    service = plan.profile.service
    entries = contents.entries()
    copied = sum(entry.size for entry in entries if entry.kind not in ("wheel", "uv", "interpreter"))
    unpacked = carried.installed_bytes(plan, contents.wheels, own, cache)
    packages = (*plan.packages, Package(own.name, own.version, plan.target.pythons))
    return Manifest(
        product=layout.PRODUCT,
        version=plan.project.version,
        profile=plan.profile.name,
        sequence=standing.sequence,
        created=seal.utc(standing.epoch),
        expires=standing.expires,
        target=plan.target,
        project=Project(plan.project.name, plan.project.version),
        service=None if service is None else replace(service, data=plan.project.data),
        memory_mb=plan.profile.memory_mb,
        installed_bytes=unpacked + copied,
        packages=tuple(sorted(packages, key=lambda item: (item.name, item.version))),
        files=entries,
        builds=contents.builds,
        models=contents.models,
        advisories=advisories,
        expectations=dict(plan.profile.expectations),
    )
