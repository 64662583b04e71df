"""A disk that is really full: a small tmpfs, filled to its last byte at one operation after another.

The kernel, uv and the service meet it too, not only what the hook can see. The old service keeps running, the
message names the disk, and once there is room again the same command comes to its end.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .conftest import PROPERTY
from .harness import strike
from .scenarios import SCENARIOS, count
from .workshop import Workshop, open_workshop

NAMES = (
    "install",
    "upgrade",
    "unhealthy upgrade",
    "delta",
    "upgrade with migration",
    "repair",
    "configuration",
)
SIZE_MB = 48
STRIDE = int(os.environ.get("RAGTRACE_FAULT_STRIDE", "1"))

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux") or os.geteuid() != 0,
    reason="NOT RUN: a real full disk needs root, to mount a small tmpfs",
)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    """A workshop whose prefix lies on a tmpfs of its own."""
    made = open_workshop()
    disk = made.prefix.root.parent
    disk.mkdir()
    mount(disk, SIZE_MB)
    try:
        yield made
    finally:
        made.stop()
        subprocess.run(["umount", "-l", str(disk)], check=False)
        made.close()


def mount(disk: Path, megabytes: int) -> None:
    """Mount a small tmpfs.

    Raises:
        pytest.skip.Exception: this host does not allow it.
    """
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(disk)],
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        pytest.skip(f"NOT RUN: this host does not let root mount a tmpfs: {done.stderr.strip()}")


def full(workshop: Workshop, name: str, number: int) -> list[str]:
    """Fill the disk at one operation; return what is wrong, then and after making room."""
    scenario, ballast = SCENARIOS[name], workshop.prefix.root.parent / "ballast"

    def make_room(code: int, err: str) -> list[str]:
        problems = []
        if code in (13, 14) and "No space left" not in err:
            problems.append("the message does not name the disk")
        if workshop.active() == workshop.release(scenario.old) and workshop.answering() != workshop.release(
            scenario.old
        ):
            problems.append(f"the old service does not answer, {workshop.answering()!r} does")
        ballast.unlink(missing_ok=True)
        return problems

    ballast.unlink(missing_ok=True)
    return strike(workshop, scenario, number, "fill", make_room, FILL=str(ballast))[0]


def sweep(workshop: Workshop, name: str, numbers: range, note: Callable[[str, object], None]) -> None:
    """Fill the disk at each of these operations."""
    points = workshop.points(name, count)
    problems, failed = [], 0
    for number in numbers:
        found = full(workshop, name, number)
        failed += bool(found)
        problems += [f"{name}, full at {points[number - 1]}: {line}" for line in found]
    told = {"scenario": name, "operations": len(points), "full disk": len(numbers), "failed": failed}
    note(PROPERTY, json.dumps(told))
    assert not problems, f"{failed} of {len(numbers)}\n" + "\n".join(problems[:60])


@pytest.mark.fault
@pytest.mark.parametrize("name", NAMES)
def test_a_disk_that_fills_up_at_any_operation_costs_nothing(
    small: Workshop, name: str, record_property: Callable[[str, object], None]
) -> None:
    last = len(small.points(name, count))
    sweep(small, name, range(1 + STRIDE // 2, last + 1, STRIDE), record_property)


@pytest.mark.parametrize("name", ("install", "upgrade", "upgrade with migration"))
def test_a_disk_that_fills_up_at_some_operations_costs_nothing(
    small: Workshop, name: str, record_property: Callable[[str, object], None]
) -> None:
    last = len(small.points(name, count))
    sweep(small, name, range(last // 8, last + 1, last // 4), record_property)


@pytest.mark.parametrize("megabytes", (1, 4))
def test_a_disk_that_is_too_small_is_refused_by_name_before_anything_is_written(
    workshop: Workshop, megabytes: int
) -> None:
    workshop.wipe()
    disk = workshop.prefix.root.parent
    mount(disk, megabytes)
    try:
        outcome = workshop.installer(*workshop.words("v1"))
        assert outcome.code == 12, outcome
        assert "[disk]" in outcome.err and str(disk) in outcome.err
        assert list(disk.iterdir()) == []
    finally:
        subprocess.run(["umount", str(disk)], check=True)
