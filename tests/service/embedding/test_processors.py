"""How many threads a computation gets: what was asked for, or what this process may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ragtrace.adapters import processors
from ragtrace.adapters.processors import free_memory, threads_for


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host with four processors on two cores and no quota."""
    for number, siblings in enumerate(["0,2", "1,3", "0,2", "1,3"]):
        place = tmp_path / f"cpu/cpu{number}/topology"
        place.mkdir(parents=True)
        (place / "thread_siblings_list").write_text(f"{siblings}\n")
    (tmp_path / "groups/service/inner").mkdir(parents=True)
    (tmp_path / "own").write_text("0::/service/inner\n")
    monkeypatch.setattr(processors, "_CPUS", tmp_path / "cpu")
    monkeypatch.setattr(processors, "_CGROUPS", tmp_path / "groups")
    monkeypatch.setattr(processors, "_OWN_GROUP", tmp_path / "own")
    monkeypatch.setattr(processors, "_MEMORY", tmp_path / "meminfo")
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3}, raising=False)
    return tmp_path


def test_a_number_is_taken_as_it_is(host: Path) -> None:
    assert threads_for(7) == 7


def test_two_threads_of_a_core_count_once(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert threads_for(0) == 2
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 2}, raising=False)
    assert threads_for(0) == 1


@pytest.mark.parametrize(
    ("quota", "threads"), [("100000 100000", 1), ("50000 100000", 1), ("max 100000", 2), ("?", 2)]
)
@pytest.mark.parametrize("group", ["service/inner", "service", "."])
def test_the_quota_of_any_group_above_limits(host: Path, quota: str, threads: int, group: str) -> None:
    (host / "groups" / group / "cpu.max").write_text(quota)
    assert threads_for(0) == threads


def test_a_system_that_says_nothing_has_its_processors(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processors, "_CPUS", host / "nothing")
    monkeypatch.setattr(processors, "_OWN_GROUP", host / "nothing")
    assert threads_for(0) == 4


def test_memory_is_what_the_system_and_every_group_leave(host: Path) -> None:
    assert free_memory() is None
    (host / "meminfo").write_text("MemTotal: 9000 kB\nMemFree: 10 kB\nMemAvailable:    4000 kB\n")
    assert free_memory() == 4000 * 1024
    (host / "groups/service/memory.max").write_text("3000000\n")
    (host / "groups/service/memory.current").write_text("1000000\n")
    (host / "groups/service/inner/memory.max").write_text("max\n")
    assert free_memory() == 2_000_000
    (host / "groups/service/memory.current").write_text("5000000\n")
    assert free_memory() == 0
