"""Kill, interrupt and fail the installer at its mutating operations; whatever happens, old or new runs, whole.

`make test-fault` strikes every operation in every mode; RAGTRACE_FAULT_STRIDE=6 every sixth, not counting
those that repeat their neighbours. The quick run of
`make test` strikes each command once in each mode and each recovery twice.
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Sequence

import pytest

from .conftest import PROPERTY
from .harness import MODES, strike
from .scenarios import SCENARIOS, count, thinned
from .workshop import Workshop

STRIDE = int(os.environ.get("RAGTRACE_FAULT_STRIDE", "1"))
# So many tests for each scenario, so that processes which share the work finish at about the same time.
PARTS = 4 if STRIDE == 1 else 1
# A run that takes a moment longer asks the service once more, so the last operations may not be reached.
NOT_REACHED = 0.05

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="/proc and record locks of Linux"
)


def sweep(
    workshop: Workshop,
    name: str,
    chosen: Sequence[tuple[int, str]],
    points: Sequence[str],
    note: Callable[[str, object], None],
) -> None:
    """Strike one scenario at the chosen operations in the chosen modes, and report every problem at once."""
    told: Counter[str] = Counter()
    problems = []
    for number, mode in chosen:
        found, struck = strike(workshop, SCENARIOS[name], number, mode)
        told[mode] += 1
        told["failed"] += bool(found)
        told["not reached"] += not struck
        problems += [f"{name}, {mode} at {points[number - 1]}: {line}" for line in found]
    note(PROPERTY, json.dumps({"scenario": name, "operations": len(points), **told}))
    assert not problems, f"{told['failed']} of {len(chosen)}\n" + "\n".join(problems[:80])
    assert told["not reached"] <= max(1, NOT_REACHED * len(chosen)), (
        "the operations are not the same in every run"
    )


@pytest.mark.fault
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("name", SCENARIOS)
def test_a_fault_at_any_operation_leaves_the_old_or_the_new_release_whole(
    workshop: Workshop, name: str, part: int, record_property: Callable[[str, object], None]
) -> None:
    points = workshop.points(name, count)
    # With a stride the modes strike different operations, and none that is like its neighbours.
    numbers = range(1, len(points) + 1) if STRIDE == 1 else thinned(points)
    pairs = [
        (number, mode)
        for place, number in enumerate(numbers, 1)
        for shift, mode in enumerate(MODES)
        if (place + shift) % STRIDE == 0
    ]
    sweep(workshop, name, pairs[part::PARTS], points, record_property)


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_fault_at_some_operations_leaves_the_old_or_the_new_release_whole(
    workshop: Workshop, name: str, record_property: Callable[[str, object], None]
) -> None:
    points = workshop.points(name, count)
    strikes = 2 if SCENARIOS[name].recovery else len(MODES)
    share, turn = len(points) / strikes, 2 * list(SCENARIOS).index(name)
    pairs = [(1 + int((place + 0.5) * share), MODES[(place + turn) % len(MODES)]) for place in range(strikes)]
    sweep(workshop, name, pairs, points, record_property)
