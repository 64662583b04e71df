"""Vectors follow the records, from any mark, through any interruption."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from ragtrace.adapters.sqlite_records import SqliteRecords
from ragtrace.application.following import Follower, embedded_text, vector_fingerprint
from ragtrace.application.ports import IndexMark, Records, StoredDocument, VectorEntry
from ragtrace.errors import ModelProblem
from ragtrace.testing.embedding import HashEmbedding
from ragtrace.testing.memory import MemoryRecords
from ragtrace.testing.vectors import MemoryVectors
from ragtrace.text import Text
from tests.service.vector_support import stored

MARK = IndexMark(0, "", "")


class Killed(BaseException):
    """The process died."""


class Dying(MemoryVectors):
    """An index whose process dies before or after its n-th update."""

    def __init__(self, number: int, after: bool) -> None:
        super().__init__()
        self.left, self.after = number, after

    def update(self, removed: Iterable[str], added: Sequence[VectorEntry], mark: IndexMark) -> None:
        """Update until it is time to die."""
        self.left -= 1
        if self.left == 0 and not self.after:
            raise Killed
        super().update(removed, added, mark)
        if self.left == 0:
            raise Killed


@pytest.fixture(params=["memory", "sqlite"])
def records(request: pytest.FixtureRequest, tmp_path: Path) -> Iterable[Records]:
    if request.param == "memory":
        yield MemoryRecords()
        return
    made = SqliteRecords(tmp_path / "records.sqlite3")
    yield made
    made.close()


def follower(records: Records, batch: int = 4, **options: object) -> Follower:
    return Follower(records, HashEmbedding(dimension=8, **options), batch=batch)  # type: ignore[arg-type]


def documents(count: int, word: str = "글", chunks: int = 3) -> list[StoredDocument]:
    return [stored(f"{n:03}.txt", *(f"{word} {n} {c}" for c in range(chunks))) for n in range(count)]


def complete(records: Records, index: MemoryVectors, work: Follower) -> None:
    assert sorted(index.chunk_ids()) == sorted(records.chunk_ids())
    assert work.in_step(index) and index.usable


def test_what_the_records_hold_becomes_vectors_once(records: Records) -> None:
    work, index = follower(records), MemoryVectors()
    records.apply(documents(10), [])
    told: list[tuple[int, int]] = []
    assert work.follow(index, lambda done, total: told.append((done, total))) == 10
    complete(records, index, work)
    assert told[-1] == (10, 10) and told[0][0] < 10
    texts = work.model.texts  # type: ignore[attr-defined]
    assert texts == 30
    assert work.follow(index) == 0
    assert work.model.texts == texts  # type: ignore[attr-defined]


def test_no_documents_are_complete_at_once(records: Records) -> None:
    work, index = follower(records), MemoryVectors()
    assert work.follow(index) == 0
    complete(records, index, work)


def test_changes_and_removals_are_followed_and_only_they(records: Records) -> None:
    work, index = follower(records), MemoryVectors()
    every = documents(6)
    records.apply(every, [])
    work.follow(index)
    records.apply([stored("000.txt", "새 글")], [every[3].document.id])
    assert not work.in_step(index) and index.usable
    assert work.follow(index) == 2
    complete(records, index, work)
    assert work.model.texts == 19  # type: ignore[attr-defined]


def test_days_and_groups_travel_with_the_vectors(records: Records) -> None:
    from ragtrace.domain.scope import Scope

    work, index = follower(records), MemoryVectors()
    one = stored("a.txt", "글")
    dated = replace(one, document=replace(one.document, date="2024-05-01", group="hr"))
    records.apply([dated], [])
    work.follow(index)
    assert index.count(Scope(since="2024-05-01", until="2024-05-01", groups=frozenset({"hr"}))) == 1
    assert index.count(Scope(groups=frozenset({"it"}))) == 0


@pytest.mark.parametrize("after", [False, True])
def test_killed_at_any_update_the_next_one_finishes_and_loses_one_batch_at_most(
    records: Records, after: bool
) -> None:
    every = [*documents(5), stored("big.txt", *(f"큰 글 {n}" for n in range(11)))]
    records.apply(every[:3], [])
    records.apply(every[3:], [])
    records.apply([stored("001.txt", "바뀐 글")], [every[0].document.id])
    whole = len(list(records.chunk_ids()))
    for number in range(1, 40):
        index, work = Dying(number, after), follower(records)
        try:
            work.follow(index)
        except Killed:
            assert after or not work.in_step(index)
        else:
            assert number > 5
            break
        work.follow(index)
        complete(records, index, work)
        assert work.model.texts <= whole + 11 + work.batch  # type: ignore[attr-defined]
    else:
        pytest.fail("it never got through")


def test_another_model_begins_anew_and_is_not_usable_until_it_is_through(records: Records) -> None:
    index, work = MemoryVectors(), follower(records)
    records.apply(documents(9), [])
    work.follow(index)
    before = (index.mark() or MARK).analyzer
    other = follower(records, name="other")
    other.follow(index, stopped=lambda: (index.mark() or MARK).analyzer != before and index.size() > 0)
    assert 0 < index.size() < 27 and not index.usable
    other.follow(index)
    complete(records, index, other)


def test_what_changes_while_it_follows_is_followed_too(records: Records) -> None:
    every = documents(8)
    records.apply(every, [])
    work, index = follower(records), MemoryVectors()

    def change(done: int, _total: int) -> None:
        if done in (4, 5):
            records.apply(
                [stored("000.txt", f"새 글 {done}"), stored("007.txt", "새")], [every[1].document.id]
            )

    work.follow(index, change)
    complete(records, index, work)


@pytest.mark.parametrize("ahead", [IndexMark(99, "", ""), IndexMark(0, "", "", "x", 99)])
def test_an_index_from_the_future_or_of_other_records_begins_anew(records: Records, ahead: IndexMark) -> None:
    work, index = follower(records), MemoryVectors()
    records.apply(documents(2), [])
    name = vector_fingerprint(work.model, index.legs)
    for mark in (
        replace(ahead, analyzer=name, records=records.state().records),
        IndexMark(1, name, "others"),
    ):
        index.update([], [VectorEntry("strange", "s", work.model.embed(["x"], index.legs)[0])], mark)
        work.follow(index)
        complete(records, index, work)


def test_a_text_that_cannot_be_embedded_does_not_stop_the_rest(records: Records) -> None:
    work, index = follower(records, poison="독"), MemoryVectors()
    records.apply([*documents(3), stored("p.txt", "독 있는 글"), stored("q.txt", "좋은 글", "독")], [])
    work.follow(index)
    complete(records, index, work)
    query = work.model.embed(["글"], index.legs)[0]
    assert len(index.search(query, "dense", 50)) == 10


def test_a_model_that_fails_for_every_text_is_an_error_and_what_was_done_stays(records: Records) -> None:
    work, index = follower(records), MemoryVectors()
    records.apply(documents(3), [])
    work.follow(index)
    records.apply([stored("n.txt", "새 글")], [])
    broken = follower(records, poison="")
    broken.model.embed = _broken  # type: ignore[method-assign, assignment]
    with pytest.raises(ModelProblem):
        broken.follow(index)
    assert index.usable and index.size() == 9


def _broken(*_: object) -> None:
    raise ModelProblem(Text("고장", "broken"))


def test_missing_and_surplus_chunks_are_mended(records: Records) -> None:
    work, index = follower(records), MemoryVectors()
    every = documents(4)
    records.apply(every, [])
    work.follow(index)
    assert work.mend(index) == 0
    mark = index.mark()
    assert mark is not None
    index.update([every[2].document.id], [], mark)
    assert work.mend(index) == 1
    complete(records, index, work)
    index.update([], [VectorEntry("strange", "s", work.model.embed(["x"], index.legs)[0])], mark)
    work.mend(index)
    work.follow(index)
    complete(records, index, work)


def test_the_embedded_text_says_where_it_stands() -> None:
    assert embedded_text("휴가 규정", ("휴가 규정", "연차"), "15일이다.") == "휴가 규정 › 연차\n15일이다."
    assert embedded_text("", (), "글") == "글"
