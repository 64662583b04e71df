"""Kill and fail the installer at every mutating operation; whatever happens, old or new runs, whole."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

import pytest

from .harness import Scenario, Workshop

NAMES = ("install", "upgrade", "rollback", "unhealthy")
# fail: a full disk at odd operations, a broken one at even ones.
MODES = ("kill", "fail")
# Under pytest-xdist the tests themselves run side by side.
WORKERS = 1 if os.environ.get("PYTEST_XDIST_WORKER") else 2
# The quick run of `make test` strikes at every so-many-th operation; `make test-fault` at each.
QUICK_STRIDE = 60

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="/proc and record locks of Linux"
)


@pytest.fixture(scope="module")
def workshops(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Workshop]]:
    """One workshop per worker."""
    made = [Workshop(tmp_path_factory.mktemp(f"worker{number}")) for number in range(WORKERS)]
    yield made
    for workshop in made:
        workshop.stop()
        shutil.rmtree(workshop.folder, ignore_errors=True)


def sweep(workshops: list[Workshop], name: str, mode: str, stride: int, offset: int = 1) -> None:
    """Strike one scenario at every `stride`-th operation, on all workers, and report every problem at once."""
    points = workshops[0].points(workshops[0].scenarios()[name])
    chosen = range(offset, len(points) + 1, stride)
    print(f"\n{name}/{mode}: {len(points)} mutating operations, {len(chosen)} struck")
    idle: SimpleQueue[Workshop] = SimpleQueue()
    for workshop in workshops:
        idle.put(workshop)

    def one(number: int) -> list[str]:
        workshop = idle.get()
        try:
            scenario: Scenario = workshop.scenarios()[name]
            how = ("EIO", "ENOSPC")[number % 2] if mode == "fail" else mode
            return [
                f"{name}/{how} {points[number - 1]}: {line}"
                for line in workshop.strike(scenario, number, how)
            ]
        finally:
            idle.put(workshop)

    with ThreadPoolExecutor(max_workers=len(workshops)) as pool:
        problems = [line for found in pool.map(one, chosen) for line in found]
    assert not problems, "\n".join(problems[:60])


@pytest.mark.fault
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", NAMES)
def test_a_fault_at_any_operation_leaves_the_old_or_the_new_release_whole(
    workshops: list[Workshop], name: str, mode: str
) -> None:
    sweep(workshops, name, mode, int(os.environ.get("RAGTRACE_FAULT_STRIDE", "1")))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", NAMES)
def test_a_fault_at_some_operations_leaves_the_old_or_the_new_release_whole(
    workshops: list[Workshop], name: str, mode: str
) -> None:
    sweep(workshops, name, mode, QUICK_STRIDE, offset=QUICK_STRIDE // 2 + MODES.index(mode))


@pytest.mark.parametrize("delay", ("0.005", "0.02", "0.05"))
def test_killing_the_installer_while_uv_runs_leaves_no_orphan_and_converges(
    workshops: list[Workshop], delay: str
) -> None:
    workshop = workshops[0]
    scenario = workshop.scenarios()["upgrade"]
    points = workshop.points(scenario)
    installing = [
        number for number, line in enumerate(points, 1) if "subprocess.Popen" in line and "require" in line
    ]
    assert len(installing) == 1
    assert workshop.strike(scenario, installing[0], "during", DELAY=delay) == []


def test_the_hook_sees_what_it_is_meant_to_see(workshops: list[Workshop]) -> None:
    points = workshops[0].points(workshops[0].scenarios()["upgrade"])
    seen = {line.split()[1] for line in points}
    assert seen >= {"open", "os.rename", "os.mkdir", "os.link", "os.symlink", "os.remove", "os.rmdir"}
    assert seen >= {"os.chmod", "os.fsync", "os.write", "subprocess.Popen"}
    switched = [number for number, line in enumerate(points) if line.endswith(" os.rename current.json")]
    received = [
        number for number, line in enumerate(points) if line.endswith("/RECEIPT.json") and "rename" in line
    ]
    assert len(switched) == len(received) == 1
    assert received[0] < switched[0], "the receipt is written before the pointer"


def test_bundles_of_the_sweep_do_not_gain_files(workshops: list[Workshop], tmp_path: Path) -> None:
    for workshop in workshops:
        for bundle in workshop.bundles.values():
            declared = {entry.path for entry in bundle.manifest.files}
            found = {
                path.relative_to(bundle.root).as_posix() for path in bundle.root.rglob("*") if path.is_file()
            }
            assert found - declared == {"MANIFEST.json", "MANIFEST.json.sig", "checksums.sha256"}
