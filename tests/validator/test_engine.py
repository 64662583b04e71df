"""The engine: one result per check, whatever a check does."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.validator import hostile_checks
from validator.engine import batches, run_checks
from validator.model import Category, Result, Status
from validator.registry import MODULES, load, select
from validator.subject import Subject

HOSTILE = ("tests.validator.hostile_checks",)


@pytest.fixture(scope="module")
def nowhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prefix without an installation, its name found in the command line of what a check starts."""
    return tmp_path_factory.mktemp("empty") / "none"


@pytest.fixture(scope="module")
def hostile(repository: Path, nowhere: Path) -> dict[str, Result]:
    """Results of every hostile check in one run."""
    subject = Subject(nowhere)
    results = run_checks(hostile_checks.CHECKS, subject, modules=HOSTILE, paths=[str(repository)])
    assert [result.check.id for result in results] == [item.id for item in hostile_checks.CHECKS]
    return {result.check.id: result for result in results}


@pytest.mark.parametrize(
    ("identity", "status"),
    [
        ("HOS-001", Status.PASS),
        ("HOS-002", Status.ERROR),
        ("HOS-003", Status.ERROR),
        ("HOS-004", Status.ERROR),
        ("HOS-005", Status.ERROR),
        ("HOS-006", Status.ERROR),
        ("HOS-007", Status.PASS),
        ("HOS-008", Status.ERROR),
        ("HOS-009", Status.SKIP),
        ("HOS-010", Status.SKIP),
        ("HOS-011", Status.PASS),
    ],
)
def test_a_hostile_check_costs_only_its_own_result(
    hostile: dict[str, Result], identity: str, status: Status
) -> None:
    assert hostile[identity].status is status


def test_each_kind_of_break_is_named(hostile: dict[str, Result]) -> None:
    assert "time limit" in hostile["HOS-002"].outcome.details.en
    assert hostile["HOS-003"].outcome.measured == "exit 7"
    assert "output limit" in hostile["HOS-004"].outcome.details.en
    assert "memory" in hostile["HOS-005"].outcome.details.en
    assert "boom" in hostile["HOS-006"].outcome.details.en


def test_a_skip_says_that_nothing_is_installed(hostile: dict[str, Result]) -> None:
    assert hostile["HOS-010"].outcome.details.en.startswith("nothing installed at ")


def test_a_hanging_check_leaves_no_process_behind(hostile: dict[str, Result], nowhere: Path) -> None:
    left = [
        entry.name
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit() and str(nowhere).encode() in _command(entry)
    ]
    assert left == []


def _command(entry: Path) -> bytes:
    try:
        return (entry / "cmdline").read_bytes()
    except OSError:
        return b""


def test_ids_are_unique_and_every_category_has_checks() -> None:
    checks = load()
    assert len({item.id for item in checks}) == len(checks)
    assert {item.category for item in checks} == set(Category)
    with pytest.raises(ValueError, match="share the id"):
        load([*MODULES, MODULES[0]])


def test_performance_checks_run_alone_and_every_check_runs_once() -> None:
    together, alone = batches(load())
    assert {item.category for group in alone for item in group} == {Category.PERFORMANCE}
    ran = [item.id for group in together + alone for item in group]
    assert sorted(ran) == sorted(item.id for item in load())


def test_selection_ignores_case_and_combines() -> None:
    assert [item.id for item in select(load(), only=["sys-004"])] == ["SYS-004"]
    assert {item.category for item in select(load(), ["security"])} == {Category.SECURITY}


def test_nothing_is_written_beside_the_code(repository: Path, tmp_path: Path) -> None:
    """Run from a copy: a validator that wrote byte code would break the bundle it was carried in."""
    import shutil

    copy = tmp_path / "06_Verification"
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(repository / "validator", copy / "validator", ignore=ignore)
    shutil.copytree(repository / "bundle", tmp_path / "04_Scripts" / "bundle", ignore=ignore)
    shutil.copy(repository / "enterprise_validator.py", copy)
    before = sorted(path for path in tmp_path.rglob("*"))
    import subprocess
    import sys

    done = subprocess.run(
        [
            sys.executable,
            str(copy / "enterprise_validator.py"),
            "--prefix",
            str(tmp_path / "none"),
            "--quiet",
        ],
        capture_output=True,
        cwd="/",
        env={key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"},
        check=False,
    )
    assert done.returncode in (0, 4), done.stderr
    assert sorted(path for path in tmp_path.rglob("*")) == before
