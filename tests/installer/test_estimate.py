"""Estimates: bytes and measured rates, and what earlier runs on this host have noted."""

from __future__ import annotations

from typing import Any

from bundle.text import Text
from installer.estimate import Rate, about, learned, rate, removal, steps
from installer.plan import PlannedStep


def step(name: str, size: int = 0) -> PlannedStep:
    return PlannedStep(name, Text(name, name), size)


def noted(*events: tuple[str, float, dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"event": event, "time": time, **more} for event, time, more in events]


RUN = noted(
    ("begin", 0, {}), ("step", 0, {"step": "files", "bytes": 100}), ("step", 4, {"step": "health", "bytes": 0}),
    ("end", 7, {"outcome": "committed"}),
)  # fmt: skip


def test_more_bytes_take_longer_and_a_faster_disk_less_long() -> None:
    plan = [step("files", 10**9), step("receipt")]
    slow, fast = steps(plan, Rate(100e6)), steps(plan, Rate(1000e6))
    assert slow[0] > fast[0] > 0
    assert slow[1] > fast[1], "what was written is read back"
    assert sum(steps([step("files", 10**10), step("receipt")], Rate(100e6))) > sum(slow)


def test_what_earlier_runs_noted_counts_in_proportion_to_the_bytes() -> None:
    known = rate(0, RUN)
    assert steps([step("files", 200), step("health")], known) == (8, 3)


def test_only_a_committed_run_teaches() -> None:
    undone = [*RUN[:-1], {"event": "end", "time": 7, "outcome": "undone"}]
    assert learned(undone) == {}
    assert learned(RUN[:-1]) == {}


def test_a_senseless_journal_teaches_nothing() -> None:
    senseless = noted(("step", 5, {"step": "files"}), ("end", 1, {"outcome": "committed"})) + [
        {"event": "step"}, {"time": "x"}, {}
    ]  # fmt: skip
    assert learned(senseless) == {}


def test_times_are_told_roughly() -> None:
    assert about(0.2).en == "less than about 1 s"
    assert about(42.4).en == "about 42 s"
    assert about(600).ko == "약 10분"
    assert removal(40_000) > removal(10)
