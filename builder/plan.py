"""The plan: every artefact of a bundle as frozen data, and every obstacle. What is printed is what runs."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

from bundle.manifest import Package, Target
from bundle.text import Text

from .inputs import Profile, ProjectSpec

# The kinds of artefacts that are built into a wheel on this machine.
BUILT = ("sdist", "git", "directory")
# The reason of an sdist whose package publishes wheels, but none for the target: so probably native code.
NO_WHEEL_FITS = "uv.lock; built into a wheel on the build box: no wheel of it fits"


@dataclass(frozen=True)
class Artifact:
    """One thing to fetch or to build: where from, and what it must hash to.

    Kinds: ``wheel``, ``uv``, ``interpreter`` and ``model`` are carried as they are; ``sdist``, ``git`` and
    ``directory`` are built into a wheel on this machine. `size` is in bytes and 0 while unknown; `pythons`
    are the interpreter versions that need it. `version` of a ``directory`` is empty where only its build can
    tell. `source` is a URL; of ``git`` the repository, of ``directory``
    a file URL, of ``model`` ``hf://owner/name@commit/file`` or a file URL. `sha256` is empty for ``git`` and
    ``directory``, whose digest is only known once the tree has been read. `commit` is git's;
    `subdirectory` is where the project lies inside the source. `limits` are the interpreters of which only some
    patch releases need it, because others need another version: ``("3.11", "python_full_version < '3.11.5'")``.
    """

    kind: str
    name: str
    version: str
    filename: str
    source: str
    sha256: str
    size: int
    pythons: tuple[str, ...]
    reason: str
    commit: str = ""
    subdirectory: str = ""
    limits: tuple[tuple[str, str], ...] = ()


def local_path(url: str) -> Path:
    """Return the place that a file URL names."""
    path = unquote(urlsplit(url).path)
    # file:///C:/x has a slash before the drive.
    return Path(path[1:] if os.name == "nt" and path.startswith("/") else path)


@dataclass(frozen=True)
class Obstacle:
    """Why a target cannot be served: package, version, reason, remedy.

    `pythons` are the interpreters that meet it, where it is not all of the target's.
    """

    package: str
    version: str
    reason: Text
    remedy: Text
    pythons: tuple[str, ...] = ()

    def text(self) -> Text:
        """Return the obstacle as one line."""
        name = f"{self.package} {self.version}".strip()
        if self.pythons:
            name += f" (Python {', '.join(self.pythons)})"
        return Text(
            f"{name}: {self.reason.ko} → {self.remedy.ko}", f"{name}: {self.reason.en} → {self.remedy.en}"
        )


@dataclass(frozen=True)
class BundlePlan:
    """Everything one bundle will hold that has to be fetched or built.

    `notes` are what somebody should know about the selection although it can be built; `extras` and
    `groups` are those that were asked for.
    """

    project: ProjectSpec
    profile: Profile
    target: Target
    artifacts: tuple[Artifact, ...]
    packages: tuple[Package, ...]
    obstacles: tuple[Obstacle, ...]
    notes: tuple[Text, ...] = ()
    extras: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()

    def of_kind(self, *kinds: str) -> tuple[Artifact, ...]:
        """Return the artefacts of the given kinds."""
        return tuple(item for item in self.artifacts if item.kind in kinds)

    def limits(self) -> dict[tuple[str, str], dict[str, str]]:
        """Return the conditions on patch releases, by package name and version, then by interpreter."""
        found: dict[tuple[str, str], dict[str, str]] = {}
        for item in self.artifacts:
            if item.limits:
                found.setdefault((item.name, item.version), {}).update(item.limits)
        return found

    def with_sizes(self, sizes: Sequence[int]) -> BundlePlan:
        """Return the plan with the sizes filled in, one for each artefact in order."""
        paired = zip(self.artifacts, sizes, strict=True)
        return replace(self, artifacts=tuple(replace(item, size=size) for item, size in paired))

    def with_versions(self, built: Mapping[str, str]) -> BundlePlan:
        """Return the plan with the versions that only the build could tell (``dynamic``), by package name."""

        def known(name: str, version: str) -> str:
            return version or built.get(name, "")

        return replace(
            self,
            artifacts=tuple(
                replace(item, version=known(item.name, item.version)) if item.kind in BUILT else item
                for item in self.artifacts
            ),
            packages=tuple(replace(item, version=known(item.name, item.version)) for item in self.packages),
        )

    def as_dict(self) -> dict[str, object]:
        """Return the plan as ``plan --json`` prints it."""
        return {
            "project": {"name": self.project.name, "version": self.project.version},
            "profile": self.profile.name,
            "target": asdict(self.target),
            "total_bytes": sum(item.size for item in self.artifacts),
            "artifacts": [asdict(item) for item in self.artifacts],
            "packages": [asdict(item) for item in self.packages],
            "obstacles": [
                {
                    "package": item.package,
                    "version": item.version,
                    "reason": item.reason._asdict(),
                    "remedy": item.remedy._asdict(),
                    "pythons": item.pythons,
                }
                for item in self.obstacles
            ],
            "notes": [item._asdict() for item in self.notes],
        }
