"""What every kind of records does."""

from __future__ import annotations

from pathlib import Path

import pytest

from ragtrace.adapters.sqlite_records import SqliteRecords
from ragtrace.application.ports import Records
from ragtrace.testing.memory import MemoryRecords
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
