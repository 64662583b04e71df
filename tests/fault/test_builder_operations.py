"""Kill and fail the builder at its mutating operations: nothing half-made looks whole, and a second run finishes."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from builder.cache import Cache
from tests.support import carried_uv
from tests.support.bundles import REPOSITORY
from tests.support.index import Index, serve
from tests.support.projects import locked_project
from tests.support.wheels import sdist_bytes, wheel_bytes

from .harness import HOOK

MODES = ("kill", "ENOSPC", "EIO")
QUICK_STRIDE = 100
# So many tests for each mode, so that processes which share the work finish at about the same time.
PARTS = 2

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc of Linux")


@dataclass
class BuildBox:
    """A project, a loopback index, and one folder that holds cache, output and keys of the builds under test."""

    folder: Path
    project: Path

    @property
    def root(self) -> Path:
        """Everything a build may write to."""
        return self.folder / "box"

    def reset(self) -> None:
        """Begin with nothing but uv in the cache."""
        shutil.rmtree(self.root, ignore_errors=True)
        carried_uv.in_cache(Cache(self.root / "cache"))

    def build(self, **fault: str) -> tuple[int, str]:
        """Build in a child, with a fault or without; return exit code and output."""
        environment = {
            **os.environ,
            "RAGTRACE_CACHE_DIR": str(self.root / "cache"),
            "XDG_CONFIG_HOME": str(self.folder / "config"),
            "TMPDIR": str(self.root / "cache"),
            "UV_NO_CACHE": "1",
            "PYTHONPATH": os.pathsep.join([str(HOOK), str(REPOSITORY)] if fault else [str(REPOSITORY)]),
            "RAGTRACE_FAULT_ROOT": str(self.root),
            "RAGTRACE_FAULT_LOOSE": "1",
            **{f"RAGTRACE_FAULT_{name}": value for name, value in fault.items()},
        }
        words = ["--project-root", str(self.project), "--output-dir", str(self.root / "out")]
        words += ["--python", "3.11", "--allow-build", "*", "--audit", "none"]
        done = subprocess.run(
            [sys.executable, "-B", "-c", carried_uv.BUILDER, "build", *words],
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    def archives(self) -> dict[str, str]:
        """Return the digest of everything in the output that has the name of a finished file."""
        found = (self.root / "out").glob("*") if (self.root / "out").is_dir() else ()
        return {
            path.name: hashlib.sha256(path.read_bytes()).hexdigest()
            for path in found
            if not path.name.startswith(".")
        }

    def leftovers(self) -> list[str]:
        """Return what a finished build should not leave: unfinished files and work folders."""
        out = [path.name for path in (self.root / "out").glob(".*")]
        return out + [path.name for path in (self.root / "cache" / "work").iterdir()]


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BuildBox]:
    """One build box with a wheel and an sdist to pack."""
    content = Index()
    content.add("alpha-1.0-py3-none-any.whl", wheel_bytes("alpha", "1.0"))
    content.add("beta_pkg-2.0.tar.gz", sdist_bytes("beta_pkg", "2.0"))
    folder = tmp_path_factory.mktemp("build-box")
    with serve(content):
        yield BuildBox(folder, locked_project(folder / "sample", content, ["alpha", "beta-pkg"]))


@pytest.fixture(scope="module")
def reference(box: BuildBox) -> tuple[dict[str, str], list[str]]:
    """What an undisturbed build makes, and its mutating operations."""
    box.reset()
    log = box.folder / "points.txt"
    code, text = box.build(MODE="count", LOG=str(log))
    assert code == 0, text
    assert box.leftovers() == []
    return box.archives(), log.read_text(encoding="utf-8").splitlines()


def strike(
    box: BuildBox, reference: tuple[dict[str, str], list[str]], mode: str, chosen: Sequence[int]
) -> None:
    """Strike a cold build at the chosen operations and report every problem at once."""
    wanted, points = reference
    print(f"\nbuild/{mode}: {len(points)} mutating operations, {len(chosen)} struck")
    problems = []
    for number in chosen:
        box.reset()
        code, text = box.build(MODE=mode, AT=str(number))
        where = f"{mode} at {points[number - 1]}"
        # A fault in a child of the build is the build's own error (20); an operation that may fail leaves 0.
        if code not in ((-9, 0, 20) if mode == "kill" else (0, 10, 20, 21, 22, 70)):
            problems.append(f"{where}: exit code {code}: {text[-300:]}")
        if "Traceback" in text:
            problems.append(f"{where}: traceback: {text[-600:]}")
        for name, digest in box.archives().items():
            if digest != wanted.get(name):
                problems.append(f"{where}: {name} looks whole and is not")
        again, text = box.build()
        if again != 0 or box.archives() != wanted:
            problems.append(
                f"{where}: second run: exit code {again}, {sorted(box.archives())}: {text[-300:]}"
            )
        problems += [f"{where}: second run leaves {name}" for name in box.leftovers()]
    assert not problems, "\n".join(problems[:40])


@pytest.mark.fault
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("mode", MODES)
def test_a_fault_at_any_operation_of_a_build_leaves_nothing_that_looks_whole(
    box: BuildBox, reference: tuple[dict[str, str], list[str]], mode: str, part: int
) -> None:
    stride = int(os.environ.get("RAGTRACE_FAULT_STRIDE", "1"))
    strike(box, reference, mode, range(1, len(reference[1]) + 1, stride)[part::PARTS])


@pytest.mark.parametrize("mode", MODES)
def test_a_fault_at_some_operations_of_a_build_leaves_nothing_that_looks_whole(
    box: BuildBox, reference: tuple[dict[str, str], list[str]], mode: str
) -> None:
    strike(box, reference, mode, range(3 + MODES.index(mode) * 20, len(reference[1]) + 1, QUICK_STRIDE))


def test_two_builds_at_once_make_the_same_bundle(
    box: BuildBox, reference: tuple[dict[str, str], list[str]]
) -> None:
    from concurrent.futures import ThreadPoolExecutor

    box.reset()
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda number: box.build(), range(2)))
    assert [code for code, _ in results] == [0, 0], results
    assert box.archives() == reference[0]
    assert box.leftovers() == []
