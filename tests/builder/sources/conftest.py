"""Plans with one source each, and a count of the processes that a step starts."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from builder import inputs
from builder.cache import Cache
from builder.plan import Artifact, BundlePlan
from builder.sources.build import build_sources
from builder.sources.built import BuiltWheel
from bundle.manifest import Target

_STARTED: list[str] = []


def _watch(event: str, arguments: tuple[object, ...]) -> None:
    if event == "subprocess.Popen":
        _STARTED.append(str(arguments[0]))


sys.addaudithook(_watch)


@contextmanager
def processes() -> Iterator[list[str]]:
    """Collect the programs started meanwhile."""
    before = len(_STARTED)
    found: list[str] = []
    yield found
    found += _STARTED[before:]


class Quiet:
    """A progress that remembers what it was told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def detail(self, line: str) -> None:
        self.lines.append(line)


def plan_of(workspace: Path, *artifacts: Artifact, allow: tuple[str, ...] = ()) -> BundlePlan:
    """Return a plan of these artefacts for a project in `workspace`."""
    profile = replace(inputs.load_profile("library"), allow_build=allow)
    target = Target("linux-x86_64", "linux", "x86_64", "glibc", "2.28", ("3.11",))
    project = inputs.ProjectSpec(workspace, workspace, "sample", "1.0.0")
    return BundlePlan(project, profile, target, artifacts, (), ())


Build = Callable[..., BuiltWheel]


@pytest.fixture
def build(cache: Cache, tmp_path: Path) -> Build:
    """Build one source, allowed."""
    workspace = tmp_path / "workspace"
    workspace.mkdir()

    def call(item: Artifact) -> BuiltWheel:
        plan = plan_of(workspace, item)
        (wheel,) = build_sources(cache, plan, allow_build=frozenset({"*"}), progress=Quiet())
        return wheel

    return call


def sdist(cache: Cache, name: str, version: str, data: bytes, filename: str = "") -> Artifact:
    """Put an sdist into the cache and return its artefact."""
    import hashlib

    digest = hashlib.sha256(data).hexdigest()
    place = cache.root / "work" / digest
    place.write_bytes(data)
    cache.admit(place, digest)
    return Artifact(
        "sdist", name, version, filename or f"{name}-{version}.tar.gz",
        f"https://somebody:secret@index.example/{name}-{version}.tar.gz", digest, len(data), ("3.11",), "",
    )  # fmt: skip
