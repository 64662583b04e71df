"""What every lexical index does."""

from __future__ import annotations

from pathlib import Path

import pytest

from ragtrace.adapters.tantivy_index import LAYOUT, TantivyIndex, set_aside
from ragtrace.application.ports import IndexEntry, IndexMark, LexicalIndex
from ragtrace.domain.scope import EVERYTHING, Scope
from ragtrace.errors import IndexDamage, StorageProblem
from ragtrace.testing.memory import MemoryIndex
from tests.service.support import entry

MARK = IndexMark(1, "words-1", "r")


@pytest.fixture(params=["memory", "tantivy"])
def index(request: pytest.FixtureRequest, tmp_path: Path) -> LexicalIndex:
    return MemoryIndex() if request.param == "memory" else TantivyIndex(tmp_path)


def test_an_empty_index_has_no_mark_and_finds_nothing(index: LexicalIndex) -> None:
    assert (index.mark(), index.size(), index.search({"a": 1.0}, 5)) == (None, 0, [])


def test_what_was_added_is_found_best_first(index: LexicalIndex) -> None:
    index.update(
        [], [entry("d", "1", "서버 서버 설정"), entry("d", "2", "서버 포트"), entry("d", "3", "휴가")], MARK
    )
    assert [hit.chunk_id for hit in index.search({"서버": 1.0, "설정": 1.0}, 5)] == ["1", "2"]
    assert (index.size(), index.mark()) == (3, MARK)


def test_a_term_in_the_heading_is_found(index: LexicalIndex) -> None:
    index.update([], [entry("d", "1", "본문", "휴가 규정")], MARK)
    assert [hit.chunk_id for hit in index.search({"규정": 1.0}, 5)] == ["1"]


def test_removing_a_document_removes_all_its_chunks_and_adding_replaces(index: LexicalIndex) -> None:
    index.update([], [entry("d", "1", "옛"), entry("d", "2", "옛"), entry("e", "3", "옛")], MARK)
    index.update(["d"], [entry("d", "4", "새")], IndexMark(2, "words-1", "r"))
    assert {hit.chunk_id for hit in index.search({"옛": 1.0, "새": 1.0}, 9)} == {"3", "4"}
    mark = index.mark()
    assert mark is not None and mark.sequence == 2


def test_frequencies_count_chunks(index: LexicalIndex) -> None:
    index.update([], [entry("d", "1", "가 가"), entry("d", "2", "가 나")], MARK)
    assert index.frequencies(["가", "나", "다"]) == {"가": 2, "나": 1, "다": 0}


def test_query_syntax_in_terms_is_only_text(index: LexicalIndex) -> None:
    index.update([], [entry("d", "1", "가")], MARK)
    for hostile in ("body:*", '"', "a AND (", "[* TO *]", "\\", "mark:mark"):
        assert index.search({hostile: 1.0}, 5) == []


def test_clear_leaves_no_mark(index: LexicalIndex) -> None:
    index.update([], [entry("d", "1", "가")], MARK)
    index.clear()
    assert (index.mark(), index.size()) == (None, 0)


def test_a_reader_sees_what_another_opening_of_the_index_committed(tmp_path: Path) -> None:
    reader, writer = TantivyIndex(tmp_path), TantivyIndex(tmp_path)
    for number in range(5):
        writer.update([], [entry("d", str(number), "가")], IndexMark(number, "a", "r"))
        assert reader.size() == number + 1


def test_chunk_ids_are_those_of_the_last_commit(index: LexicalIndex) -> None:
    index.update([], [entry("d", "1", "가"), entry("d", "2", "나"), entry("e", "3", "다")], MARK)
    index.update(["e"], [entry("f", "4", "라")], MARK)
    assert sorted(index.chunk_ids()) == ["1", "2", "4"]
    index.clear()
    assert list(index.chunk_ids()) == []


def test_a_mark_keeps_how_far_a_rebuild_has_come(index: LexicalIndex) -> None:
    unfinished = IndexMark(-1, "a", "r", "d", 7)
    index.update([], [entry("d", "1", "가")], unfinished)
    assert index.mark() == unfinished


@pytest.mark.parametrize("how", ["garbage", "missing"])
def test_a_ruined_index_is_an_error_until_it_is_set_aside(tmp_path: Path, how: str) -> None:
    TantivyIndex(tmp_path).update([], [entry("d", "1", "가")], MARK)
    meta = tmp_path / LAYOUT / "meta.json"
    meta.write_bytes(b"\0garbage") if how == "garbage" else meta.unlink()
    for _ in range(2):
        with pytest.raises(IndexDamage):
            TantivyIndex(tmp_path)
    assert set_aside(tmp_path) == tmp_path / f"{LAYOUT}.broken"
    again = TantivyIndex(tmp_path)
    assert (again.mark(), again.size()) == (None, 0)


def test_only_one_broken_index_is_kept(tmp_path: Path) -> None:
    for _ in range(3):
        TantivyIndex(tmp_path).update([], [entry("d", "1", "가")], MARK)
        set_aside(tmp_path)
    assert [each.name for each in tmp_path.iterdir()] == [f"{LAYOUT}.broken"]
    assert set_aside(tmp_path) is None


DATED = (
    IndexEntry("d", "1", (), ("가", "나"), "2024-05-01"),
    IndexEntry("d", "2", (), ("가",), "2024-06-01", "인사"),
    IndexEntry("e", "3", (), ("가", "다", "라"), "", "개발"),
)


@pytest.mark.parametrize(
    ("scope", "inside"),
    [
        (EVERYTHING, {"1", "2", "3"}),
        (Scope("2024-05-01"), {"1", "2"}),
        (Scope("2024-05-02"), {"2"}),
        (Scope(until="2024-05-31"), {"1"}),
        (Scope("2024-05-01", "2024-06-01"), {"1", "2"}),
        (Scope("2025-01-01", "2024-01-01"), set()),
        (Scope(groups=frozenset()), {"1"}),
        (Scope(groups=frozenset({"인사"})), {"1", "2"}),
        (Scope(groups=frozenset({"open", "group:인사", ""})), {"1"}),
        (Scope("2024-01-01", groups=frozenset({"개발"})), {"1"}),
        (Scope(groups=frozenset({"인사", "개발"})), {"1", "2", "3"}),
    ],
)
def test_a_scope_lets_through_what_it_holds_and_no_more(
    index: LexicalIndex, scope: Scope, inside: set[str]
) -> None:
    index.update([], DATED, MARK)
    whole = {hit.chunk_id: hit.score for hit in index.search({"가": 1.0}, 9)}
    found = {hit.chunk_id: hit.score for hit in index.search({"가": 1.0}, 9, scope)}
    assert (set(found), index.count(scope)) == (inside, len(inside))
    assert found == pytest.approx({key: whole[key] for key in inside})


def test_a_scope_does_not_take_places_away_from_what_it_holds(index: LexicalIndex) -> None:
    many = [IndexEntry("d", f"{n:03}", (), ("가", "가", "가"), "2020-01-01", "남") for n in range(200)]
    index.update([], [*many, IndexEntry("e", "mine", (), ("가",), "2024-01-01", "내")], MARK)
    for scope in (Scope("2023-01-01"), Scope(groups=frozenset({"내"}))):
        assert [hit.chunk_id for hit in index.search({"가": 1.0}, 3, scope)] == ["mine"]


def test_a_date_that_is_no_day_leaves_the_index_as_it_was(tmp_path: Path) -> None:
    index = TantivyIndex(tmp_path)
    index.update([], [entry("d", "1", "가")], MARK)
    with pytest.raises(StorageProblem, match="no day") as caught:
        index.update(["d"], [IndexEntry("d", "2", (), ("나",), "2024-02-31")], IndexMark(2, "a", "r"))
    assert not isinstance(caught.value, IndexDamage)
    assert (index.mark(), list(index.chunk_ids())) == (MARK, ["1"])
    index.update([], [entry("d", "3", "다")], IndexMark(3, "a", "r"))
    assert sorted(index.chunk_ids()) == ["1", "3"]


def test_a_scope_over_nothing_and_over_undated_chunks_holds_nothing(index: LexicalIndex) -> None:
    scopes = (
        Scope("2024-01-01"),
        Scope(until="9999-12-31"),
        Scope("0001-01-01", "9999-12-31", frozenset({"g"})),
    )
    for scope in scopes:
        assert (index.count(scope), index.search({"가": 1.0}, 5, scope)) == (0, [])
    index.update([], [IndexEntry("d", "1", (), ("가",)), IndexEntry("d", "2", (), ("나",), "", "g")], MARK)
    for scope in scopes:
        assert (index.count(scope), index.search({"가": 1.0}, 5, scope)) == (0, [])
    assert index.count(Scope(groups=frozenset({"g"}))) == 2


def test_the_first_and_last_day_of_the_calendar_are_days(index: LexicalIndex) -> None:
    days = ("0001-01-01", "9999-12-31")
    index.update([], [IndexEntry("d", day, (), ("가",), day) for day in days], MARK)
    assert [index.count(Scope(day, day)) for day in days] == [1, 1]
    assert index.count(Scope(*days)) == 2
