"""The checks of vectors: in step, being made, left behind, stuck, of another model."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ragtrace.adapters.data_inspection import DataInspection
from ragtrace.adapters.tantivy_index import LAYOUT
from ragtrace.adapters.vectors import files
from ragtrace.application.checkup import CHECKS, Subject, examine
from ragtrace.application.ports import IndexMark
from ragtrace.bootstrap import Container
from ragtrace.errors import ModelProblem, NotReady
from ragtrace.limits import VECTOR_QUIET_S
from ragtrace.settings import AnalyzerSettings, Settings
from ragtrace.text import Text
from tests.service.support import stored

MODEL, OTHER = "bge-m3-abc|dense|t1", "minilm-def|dense|t1"


@pytest.fixture
def container(tmp_path: Path) -> Container:
    """Records of three documents; nothing of vectors yet."""
    made = Container(Settings(tmp_path, analyzer=AnalyzerSettings(kind="whitespace")))
    made.records.apply([stored(f"{n}.txt", f"낱말{n} 글") for n in range(3)], [])
    return made


def generation(
    container: Container, name: str, model: str = MODEL, behind: int = 0, *, mark: bool = True
) -> Path:
    """Make a generation that lags so many changes behind the records."""
    folder = container.settings.data_folder / "vectors" / name
    folder.mkdir(parents=True)
    files.write_json(folder / files.GENERATION, {"fingerprint": model, "layout": 1})
    if mark:
        state = container.records.state()
        written = vars(IndexMark(state.sequence - behind, model, state.records))
        files.write_json(folder / files.MARK, {"mark": written})
    return folder


@contextmanager
def owned(folder: Path) -> Iterator[None]:
    descriptor = files.take(folder / files.OWNER)
    try:
        yield
    finally:
        os.close(descriptor)


def said(container: Container, vectors: Callable[[], str | None] = lambda: MODEL) -> dict[str, str]:
    data = DataInspection(container.settings.data_folder, LAYOUT)
    subject = Subject(data, lambda: container.analyzer, vectors)
    wanted = {check.id: check for check in CHECKS if check.id in ("RTS-009", "RTS-010")}
    return {name: examine(check, subject).status for name, check in wanted.items()}


def both(step: str, model: str) -> dict[str, str]:
    return {"RTS-009": step, "RTS-010": model}


def test_without_a_model_there_is_nothing_to_find(container: Container) -> None:
    assert said(container, lambda: None) == both("skip", "skip")


def test_vectors_in_step_pass(container: Container) -> None:
    generation(container, "g-000001")
    assert said(container) == both("pass", "pass")


def test_what_a_running_service_is_making_is_no_finding(container: Container) -> None:
    with owned(generation(container, "g-000001", behind=1)):
        assert said(container) == both("pass", "pass")


def test_what_nobody_is_making_is_a_warning(container: Container) -> None:
    generation(container, "g-000001", behind=1)
    assert said(container) == both("warn", "pass")


def test_an_owner_that_writes_nothing_is_a_failure(
    container: Container, monkeypatch: pytest.MonkeyPatch
) -> None:
    import time

    later = time.time() + VECTOR_QUIET_S + 60
    with owned(generation(container, "g-000001", behind=1)):
        monkeypatch.setattr("ragtrace.adapters.vector_inspection.time.time", lambda: later)
        assert said(container) == both("fail", "pass")


def test_vectors_of_another_model_are_told(container: Container) -> None:
    generation(container, "g-000001", OTHER)
    assert said(container) == both("skip", "warn")
    generation(container, "g-000002", mark=False)
    assert said(container) == both("warn", "pass")


def test_no_vectors_at_all_are_a_warning_only_where_there_are_documents(
    container: Container, tmp_path: Path
) -> None:
    assert said(container) == both("skip", "warn")
    empty = Container(Settings(tmp_path / "empty", analyzer=AnalyzerSettings(kind="whitespace")))
    empty.records.counts()
    assert said(empty) == both("skip", "pass")


def test_records_that_were_put_back_are_not_those_of_the_vectors(container: Container) -> None:
    folder = generation(container, "g-000001")
    files.write_json(folder / files.MARK, {"mark": vars(IndexMark(1, MODEL, "others"))})
    assert said(container)["RTS-009"] == "warn"


def test_a_model_that_is_still_loading_or_cannot_be_used_is_told_so(container: Container) -> None:
    def loading() -> str:
        raise NotReady(Text("아직", "not yet"))

    def broken() -> str:
        raise ModelProblem(Text("머리가 없습니다", "a head is missing"))

    assert said(container, loading) == both("skip", "skip")
    assert said(container, broken) == both("unknown", "unknown")


def test_the_look_changes_nothing_and_takes_no_lock(container: Container) -> None:
    folder = generation(container, "g-000001")
    with owned(folder):
        pass
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    said(container)
    with owned(folder):
        said(container)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
