"""What every kind of records does."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from ragtrace.adapters.sqlite_records import SqliteRecords
from ragtrace.application.ports import Records, RefusedFile, StoredDocument
from ragtrace.domain.documents import document_id
from ragtrace.testing.memory import MemoryRecords
from ragtrace.text import Text
from tests.service.support import stored


@pytest.fixture(params=["memory", "sqlite"])
def records(request: pytest.FixtureRequest, tmp_path: Path) -> Records:
    return MemoryRecords() if request.param == "memory" else SqliteRecords(tmp_path / "r.sqlite3")


def test_a_stored_document_is_found_by_its_path_with_chunks_in_order(records: Records) -> None:
    one = stored("a.txt", "첫째", "둘째")
    assert records.apply([one], []) == 1
    assert records.known("memory") == {"a.txt": one.document}
    assert records.load([one.document.id, "unknown"]) == [one]
    assert records.counts() == (1, 2)


def test_a_document_stored_again_replaces_its_chunks(records: Records) -> None:
    records.apply([stored("a.txt", "처음", "그리고")], [])
    changed = stored("a.txt", "다음")
    records.apply([changed], [])
    assert records.load([changed.document.id]) == [changed]
    assert records.counts() == (1, 1)


def test_a_removed_document_is_gone_with_its_chunks(records: Records) -> None:
    one = stored("a.txt", "글")
    records.apply([one], [])
    records.apply([], [one.document.id])
    assert records.document_ids() == []
    assert records.passages([one.chunks[0].id]) == {}


def test_changes_are_pending_until_settled(records: Records) -> None:
    one, two = stored("a.txt", "글"), stored("b.txt", "글")
    first = records.apply([one], [])
    second = records.apply([two], [])
    records.settle(first)
    state = records.state()
    assert (state.sequence, state.settled, state.pending) == (second, first, (two.document.id,))


def test_more_documents_than_one_statement_takes_are_stored(records: Records) -> None:
    many = [stored(f"{number:04}.txt", "글") for number in range(1203)]
    records.apply(many, [])
    assert records.load([one.document.id for one in many]) == many
    assert len(records.documents(limit=7)) == 7


def test_a_passage_carries_what_a_reader_needs(records: Records) -> None:
    one = stored("a.txt", "본문")
    records.apply([one], [])
    passage = records.passages([one.chunks[0].id])[one.chunks[0].id]
    assert (passage.path, passage.text, passage.heading) == ("a.txt", "본문", "제목 › 절")


def refusal(path: str, source: str = "memory", **changes: object) -> RefusedFile:
    key = document_id(source, path)
    one = RefusedFile(
        key,
        source,
        path,
        "failed",
        9,
        1_700_000_000_123_456_789,
        "a" * 64,
        "r",
        Text("깨졌음", "broken"),
        "2026",
    )
    return dataclasses.replace(one, **changes)  # type: ignore[arg-type]


def test_group_and_page_are_kept_and_come_back_with_the_passage(records: Records) -> None:
    plain = stored("a.txt", "첫째", "둘째")
    one = StoredDocument(
        dataclasses.replace(plain.document, group="인사팀"),
        tuple(dataclasses.replace(chunk, page=chunk.position + 3) for chunk in plain.chunks),
    )
    records.apply([one], [])
    assert records.load([one.document.id]) == [one]
    assert records.known("memory")["a.txt"].group == "인사팀"
    passages = records.passages([chunk.id for chunk in one.chunks])
    assert sorted((each.page, each.group) for each in passages.values()) == [(3, "인사팀"), (4, "인사팀")]


def test_the_journal_tells_the_last_change_of_each_document_also_of_a_removed_one(records: Records) -> None:
    a, b, c = (stored(name, "글") for name in ("a.txt", "b.txt", "c.txt"))
    records.apply([a, b], [])
    records.apply([c], [])
    records.apply([a], [b.document.id])
    records.settle(3)
    expected = [(2, c.document.id), *sorted((3, key) for key in (a.document.id, b.document.id))]
    assert records.changes(0, "", 10) == expected
    assert records.changes(2, c.document.id, 10) == expected[1:]
    assert records.changes(0, "", 2) == expected[:2]
    assert records.changes(*expected[-1], 10) == []


def test_a_refused_file_is_kept_until_its_document_comes_or_it_is_forgotten(records: Records) -> None:
    one, two = refusal("a.txt"), refusal("b.txt", status="skipped")
    other = refusal("a.txt", "other")
    records.refuse([two, one, other], [])
    assert (records.refused("memory"), records.refused()) == ([one, two], [one, two, other])
    again = dataclasses.replace(one, sha256="b" * 64)
    records.refuse([again], [two.document_id])
    assert records.refused("memory") == [again]
    assert records.state().sequence == 0
    records.apply([stored("a.txt", "글")], [])
    assert records.refused() == [other]
