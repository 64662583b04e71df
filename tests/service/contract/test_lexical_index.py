"""What every lexical index does."""

from __future__ import annotations

from pathlib import Path

import pytest

from ragtrace.adapters.tantivy_index import TantivyIndex
from ragtrace.application.ports import IndexMark, LexicalIndex
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


def test_a_ruined_index_is_set_aside_and_made_anew(tmp_path: Path) -> None:
    TantivyIndex(tmp_path).update([], [entry("d", "1", "가")], MARK)
    (tmp_path / "bm25-v1" / "meta.json").write_bytes(b"\0garbage")
    again = TantivyIndex(tmp_path)
    assert (again.mark(), again.size()) == (None, 0)
    assert list(tmp_path.glob("bm25-v1.broken-*"))
