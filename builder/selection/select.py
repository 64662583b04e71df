"""Select, for the target, the exact files of a lock. Pure: a lock in, artefacts and obstacles out.

uv decides versions, extras and groups (`uv export`); here is what it leaves: several interpreters in one
bundle, another host's wheel tags, files without a hash, packages with no usable file, all refusals at once.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import unquote, urlsplit

from packaging.markers import InvalidMarker, UndefinedComparison, UndefinedEnvironmentName
from packaging.tags import Tag

from bundle.manifest import Package
from bundle.text import Text

from ..inputs import TargetSpec
from ..plan import NO_WHEEL_FITS, Artifact, Obstacle
from . import obstacles, tags
from .environments import Host, both_ends, patches
from .lock import Lock, LockedFile, LockedPackage, LockedTree
from .obstacles import Refusal

_NO_ANSWER = (InvalidMarker, UndefinedComparison, UndefinedEnvironmentName)
_COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
_BUILT = "uv.lock; built into a wheel on the build box"
# A user name so long is an access token; a shorter one, such as ssh's git@, is no secret.
_TOKEN_LENGTH = 20


@dataclass
class Selection:
    """What was selected so far, for the interpreters `wanted`; every mapping keeps the order of finding."""

    wanted: tuple[str, ...]
    artifacts: dict[tuple[str, str, str], Artifact] = field(default_factory=dict)
    pythons: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    refused: dict[tuple[str, str, str], tuple[Obstacle, list[str]]] = field(default_factory=dict)
    notes: list[Text] = field(default_factory=list)

    def packages(self) -> tuple[Package, ...]:
        """Return the packages with the interpreters that install them, sorted."""
        return tuple(
            Package(name, version, tuple(used)) for (name, version), used in sorted(self.pythons.items())
        )

    def sorted_artifacts(self) -> tuple[Artifact, ...]:
        """Return the artefacts by kind, name and file name."""
        return tuple(
            sorted(
                self.artifacts.values(), key=lambda item: (item.kind, item.name, item.version, item.filename)
            )
        )

    def obstacles(self) -> tuple[Obstacle, ...]:
        """Return the obstacles by package, each with the interpreters that meet it unless all do."""
        found = [
            replace(item, pythons=() if len(met) == len(self.wanted) else tuple(met))
            for item, met in self.refused.values()
        ]
        return tuple(sorted(found, key=lambda item: (item.package, item.version)))

    def refuse(self, name: str, version: str, refusal: Refusal, python: str) -> None:
        """Note an obstacle that `python` meets; what has one remedy is told once, in the first one's words."""
        obstacle = Obstacle(name, version, refusal.reason, refusal.remedy)
        _, met = self.refused.setdefault((name, version, refusal.remedy.en), (obstacle, []))
        if python not in met:
            met.append(python)

    def take(self, artifact: Artifact, python: str, limit: str) -> None:
        """Note an artefact that `python` needs, if there is a `limit` only its patch releases that fit it."""
        key = (artifact.sha256 or artifact.source, artifact.commit, artifact.subdirectory)
        known = self.artifacts.get(key, artifact)
        limits = dict(known.limits)
        if python in known.pythons:
            # One file under two entries: between them they need it for more than each alone.
            limits.pop(python, None)
        elif limit:
            limits[python] = limit
        used = self.pythons.setdefault((artifact.name, artifact.version), [])
        pythons = dict.fromkeys((*known.pythons, python))
        self.artifacts[key] = replace(known, pythons=tuple(pythons), limits=tuple(limits.items()))
        if python not in used:
            used.append(python)


def select(
    lock: Lock, target: TargetSpec, pythons: Sequence[str], accepted: Collection[str] = ()
) -> Selection:
    """Select the files for every interpreter in `pythons`; problems are collected, never raised one by one.

    Args:
        lock: the project's part of its lock.
        target: the kind of host.
        pythons: interpreter versions, ``X.Y``.
        accepted: names of packages whose plain ``linux_x86_64`` wheels may be carried.
    """
    selection = Selection(tuple(pythons))
    for python in pythons:
        ends = _served(lock, target, python, selection)
        usual = tags.ranks(target, python)
        needed = [package for package in lock.packages if _needed(package, ends, selection)]
        for package, limit in _limited(needed, target, python, selection):
            places = tags.ranks(target, python, True) if package.name in accepted else usual
            chosen = best_wheel(package, places) or package.sdist or package.tree
            if chosen is None:
                found: Artifact | Refusal = obstacles.no_wheel(package, target, python)
            else:
                found = _artifact(package, chosen)
            if isinstance(found, Refusal):
                selection.refuse(package.name, package.version, found, python)
            else:
                selection.take(found, python, limit)
    return selection


def best_wheel(package: LockedPackage, places: Mapping[Tag, int]) -> LockedFile | None:
    """Return the wheel with the best tag; of several, that with the highest build number."""
    best: tuple[int, tuple[()] | tuple[int, str]] | None = None
    found = None
    for wheel in package.wheels:
        place = min((places[tag] for tag in wheel.tags if tag in places), default=None)
        if place is not None and (best is None or (-place, wheel.build) > best):
            best, found = (-place, wheel.build), wheel
    return found


def _served(lock: Lock, target: TargetSpec, python: str, selection: Selection) -> list[Host]:
    """Return the patch releases of `python` that the lock serves; of none, say why."""
    ends = both_ends(target, python)
    fitting = [host for host in ends if lock.requires_python.contains(host.full_version)]
    if not fitting:
        selection.refuse("python", python, obstacles.wrong_python(lock), python)
        return []
    if fitting[0] is not ends[0]:
        selection.notes.append(
            Text(
                f"Python {python}은 {lock.requires_python}에 맞는 패치 버전이어야 합니다",
                f"Python {python} has to be a patch release that fits {lock.requires_python}",
            )
        )
    try:
        resolved = [
            host for host in fitting if not lock.environments or any(map(host.fits, lock.environments))
        ]
    except _NO_ANSWER as error:
        refusal = obstacles.bad_marker(" | ".join(lock.environments), str(error).splitlines()[0])
        selection.refuse("uv.lock", "", refusal, python)
        return []
    if not resolved:
        selection.refuse("uv.lock", "", obstacles.outside_environments(lock, target), python)
    return resolved


def _needed(package: LockedPackage, ends: Sequence[Host], selection: Selection) -> bool:
    try:
        return any(host.fits(package.marker) for host in ends)
    except _NO_ANSWER as error:
        refusal = obstacles.bad_marker(package.marker, str(error).splitlines()[0])
        selection.refuse(package.name, package.version, refusal, ends[0].python)
        return False


def _limited(
    needed: Sequence[LockedPackage], target: TargetSpec, python: str, selection: Selection
) -> Iterator[tuple[LockedPackage, str]]:
    """Yield the packages, each with the condition on patch releases that tells it from its other version."""
    by_name: dict[str, list[LockedPackage]] = {}
    for package in needed:
        by_name.setdefault(package.name, []).append(package)
    for name, several in by_name.items():
        conditions = [""] if len(several) == 1 else patches([item.marker for item in several], target, python)
        if conditions is None:
            listed = sorted({f"{item.version} {item.index}".strip() for item in several})
            selection.refuse(name, "", obstacles.rivals(listed), python)
        else:
            yield from zip(several, conditions, strict=True)


def _artifact(package: LockedPackage, chosen: LockedFile | LockedTree) -> Artifact | Refusal:
    """Return what was chosen as an artefact, or why it cannot be used."""
    login = urlsplit(chosen.url).netloc.rpartition("@")[0]
    if "****" in login:
        return obstacles.REDACTED
    if ":" in login or len(login) >= _TOKEN_LENGTH:
        return obstacles.SECRET
    if isinstance(chosen, LockedTree):
        return _tree(package, chosen)
    if not chosen.sha256 or not chosen.url:
        return obstacles.no_hash(chosen)
    wheel = chosen is not package.sdist
    return Artifact(
        kind="wheel" if wheel else "sdist",
        name=package.name,
        version=package.version,
        filename=chosen.filename,
        source=chosen.url,
        sha256=chosen.sha256,
        size=chosen.size,
        pythons=(),
        reason="uv.lock" if wheel else NO_WHEEL_FITS if package.wheels else _BUILT,
        subdirectory=chosen.subdirectory,
    )


def _tree(package: LockedPackage, tree: LockedTree) -> Artifact | Refusal:
    if tree.kind not in ("git", "directory"):
        return obstacles.not_git(tree.kind)
    if tree.kind == "git" and not _COMMIT.fullmatch(tree.commit):
        return obstacles.not_a_commit(tree.commit)
    return Artifact(
        kind=tree.kind,
        name=package.name,
        version=package.version,
        filename=unquote(tree.url.rstrip("/").rsplit("/", 1)[-1]),
        source=tree.url,
        sha256="",
        size=0,
        pythons=(),
        reason=f"{_BUILT} (editable in the project)" if tree.editable else _BUILT,
        commit=tree.commit,
        subdirectory=tree.subdirectory,
    )
