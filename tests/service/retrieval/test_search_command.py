"""`ragtrace search` as a process: what it shows, what it explains, what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.service.support import write
from tests.service.test_cli import result, run

WORDS = {"RAGTRACE_ANALYZER_KIND": "whitespace"}
FILES = {
    "휴가_20240301.txt": "휴가 규정\n휴가 신청 은 3일 전에 합니다.",
    "출장_20200101.txt": "출장 규정\n출장 과 휴가 는 겹칠 수 없습니다.",
    "무기한.txt": "점심 안내\n점심 은 열두 시.",
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("search")
    (folder / "config").mkdir()
    assert run(folder, "ingest", str(write(folder / "docs", FILES)), **WORDS).returncode == 0
    return folder


def search(home: Path, *words: str, **extra: str) -> Any:
    return result(run(home, "search", *words, "--json", **WORDS, **extra))


def paths(found: Any) -> list[str]:
    return [each["path"] for each in found["passages"]]


def test_passages_come_best_first_with_where_they_stand(home: Path) -> None:
    found = search(home, "휴가 신청")
    assert paths(found) == ["휴가_20240301.txt", "출장_20200101.txt"]
    assert found["passages"][0]["score"] == 1.0 and "explain" not in found
    assert paths(search(home, "휴가 신청", "--top", "1")) == ["휴가_20240301.txt"]
    assert paths(search(home, "김치찌개")) == []


def test_explain_shows_every_score(home: Path) -> None:
    told = search(home, "휴가 신청", "--top", "1", "--explain")["explain"]
    assert told["terms"] == ["휴가", "신청"] and set(told["milliseconds"]) >= {"terms", "lexical", "passages"}
    assert told["legs"] == {"lexical": {"weight": 1.0, "found": 2}}
    assert [each["fate"] for each in told["candidates"]] == ["kept", "below"]
    assert told["candidates"][0]["legs"]["lexical"]["rank"] == 1
    shown = run(home, "search", "휴가 신청", "--top", "1", "--explain", **WORDS).stdout
    assert "lexical #1" in shown and "fused #2" in shown and "below" in shown


def test_days_and_widening_are_said(home: Path) -> None:
    narrow = {"RAGTRACE_SEARCH_LEAST_IN_RANGE": "1"}
    found = search(home, "휴가", "--since", "2024-01-01", **narrow)
    assert (paths(found), found["range"]["widened_months"]) == (["휴가_20240301.txt"], 0)
    wide = search(home, "휴가", "--until", "2018-06-01", **narrow)
    assert (paths(wide), wide["range"]["until"]) == (["출장_20200101.txt"], "2020-06-01")
    assert wide["range"]["widened_months"] == 24 and "24" in wide["notices"][0]["ko"]
    everything = search(home, "점심", "--since", "2024-01-01")
    assert paths(everything) == ["무기한.txt"] and everything["range"]["widened_months"] is None


def test_a_group_sees_its_own_and_what_is_open(home: Path, tmp_path: Path) -> None:
    assert len(paths(search(home, "휴가", "--group", "인사"))) == 2


@pytest.mark.parametrize(
    "words",
    [["휴가", "--since", "어제"], ["휴가", "--since", "2024-02-01", "--until", "2024-01-01"], [" "], ["휴가", "--top", "0"]],
)  # fmt: skip
def test_what_cannot_be_searched_ends_with_two(home: Path, words: list[str]) -> None:
    assert run(home, "search", *words, **WORDS).returncode == 2


@pytest.mark.parametrize(
    ("key", "value"),
    [("RAGTRACE_SEARCH_LEXICAL_WEIGHT", "0"), ("RAGTRACE_RERANKER_MODEL", "nowhere"), ("RAGTRACE_ANALYZER_KIND", "okt")],
)  # fmt: skip
def test_a_configuration_that_cannot_search_is_an_error_in_words(home: Path, key: str, value: str) -> None:
    done = run(home, "search", "휴가", **{**WORDS, key: value})
    assert done.returncode != 0 and "RT-" in done.stderr and "Traceback" not in done.stderr
