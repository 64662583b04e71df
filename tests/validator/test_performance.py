"""Performance checks: a host within the expectations passes, a slow one warns and never fails."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.validator.fakes import Installation, run, status
from validator.checks import performance
from validator.model import Category, Check, Status
from validator.subject import Subject

LIMITS = ("IMPORT_SECONDS", "ANSWER_MS")
FLOORS = ("HASH_MB_PER_S", "DISK_WRITE_MB_PER_S", "DISK_READ_MB_PER_S", "MEMORY_MB_PER_S")


def relax(monkeypatch: pytest.MonkeyPatch, *, possible: bool) -> None:
    """Make every expectation trivially met, or impossible."""
    for name in LIMITS:
        monkeypatch.setattr(performance, name, 1e9 if possible else -1.0)
    for name in FLOORS:
        monkeypatch.setattr(performance, name, 0.0 if possible else 1e12)


@pytest.mark.parametrize("item", performance.CHECKS, ids=lambda c: c.id)
def test_within_the_expectation_passes(
    running: Installation, item: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    relax(monkeypatch, possible=True)
    assert status(item, running.subject()) is Status.PASS


@pytest.mark.parametrize("item", performance.CHECKS, ids=lambda c: c.id)
def test_slower_than_expected_warns(
    running: Installation, item: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    relax(monkeypatch, possible=False)
    assert status(item, running.subject()) is Status.WARN


def test_a_package_that_cannot_be_imported_is_unknown(installation: Installation) -> None:
    (installation.site / "ragtrace" / "__init__.py").write_text("raise ImportError\n")
    assert status(performance.import_time, installation.subject()) is Status.UNKNOWN


def test_a_stopped_service_and_a_failing_question_skip(running: Installation) -> None:
    running.facts(query_status=500)
    assert status(performance.answer_time, running.subject()) is Status.SKIP


def test_a_prefix_that_cannot_be_written_skips(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert status(performance.disk_rate, Subject(tmp_path)) is Status.SKIP


def test_the_disk_test_leaves_nothing_behind_and_spares_the_generation(installation: Installation) -> None:
    before = sorted(installation.root.rglob("*"))
    assert (
        str(installation.root / "data" / "cache")
        in run(performance.disk_rate, installation.subject()).measured
    )
    assert sorted(installation.root.rglob("*")) == before


def test_every_performance_check_is_of_low_severity() -> None:
    assert {item.category for item in performance.CHECKS} == {Category.PERFORMANCE}
    assert {item.severity.value for item in performance.CHECKS} == {"low"}
