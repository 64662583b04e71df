"""Performance checks: a host within the expectations passes, a slow one warns and never fails."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bundle.expectations import EXPECTATIONS
from tests.validator.fakes import Installation, run, status
from validator.checks import performance
from validator.model import Category, Check, Status
from validator.subject import Subject


@contextmanager
def expecting(root: Path, *, possible: bool) -> Iterator[Subject]:
    """Yield a running installation whose profile expects what every host reaches, or none."""
    stated = {one.key: "0.001" if one.at_least is possible else "999999999" for one in EXPECTATIONS.values()}
    installation = Installation(root / "prefix", expectations=stated)
    if not possible:
        (installation.site / "toy_index" / "__init__.py").write_text("import time; time.sleep(0.02)\n")
    with installation.serving():
        yield installation.subject()


@pytest.mark.parametrize("item", performance.CHECKS, ids=lambda c: c.id)
def test_within_the_expectation_passes(item: Check, tmp_path: Path) -> None:
    with expecting(tmp_path, possible=True) as subject:
        found = run(item, subject)
    assert found.status is Status.PASS
    assert set(found.figures) == {one.key for one in EXPECTATIONS.values() if one.check == item.id}


@pytest.mark.parametrize("item", performance.CHECKS, ids=lambda c: c.id)
def test_slower_than_expected_warns(item: Check, tmp_path: Path) -> None:
    with expecting(tmp_path, possible=False) as subject:
        assert status(item, subject) is Status.WARN


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
