"""The thread that keeps vectors in step while a service runs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ragtrace.adapters.vectors.embedded import EmbeddedVectors
from ragtrace.application.following import Follower, behind, vector_fingerprint
from ragtrace.application.keeping import VectorKeeper
from ragtrace.application.ports import IndexMark, OwnedVectors
from ragtrace.application.vector_verification import verify_vectors
from ragtrace.errors import ModelProblem
from ragtrace.testing.embedding import HashEmbedding
from ragtrace.testing.memory import MemoryRecords
from ragtrace.testing.vectors import MemoryVectors
from ragtrace.text import Text
from tests.service.vector_support import DIMENSION, entry, plan, stored


def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


def keeper(
    records: MemoryRecords, index: OwnedVectors, model: HashEmbedding | None = None
) -> tuple[VectorKeeper, Follower]:
    work = Follower(records, model or HashEmbedding(dimension=DIMENSION))
    return VectorKeeper(lambda: work, lambda: index, poll_s=0.01, retry_s=0.01), work


def filled(count: int = 3) -> MemoryRecords:
    records = MemoryRecords()
    records.apply([stored(f"{n}.txt", f"글 {n}", f"글 {n} 둘") for n in range(count)], [])
    return records


def test_it_follows_what_changes_until_it_is_stopped() -> None:
    records, index = filled(), MemoryVectors()
    kept, work = keeper(records, index)
    kept.start()
    kept.start()
    until(lambda: work.in_step(index))
    records.apply([stored("9.txt", "새 글")], [])
    until(lambda: index.size() == 7)
    assert kept.problem is None
    until(lambda: kept.detail == "7 chunks")
    kept.stop()
    records.apply([stored("10.txt", "더 새 글")], [])
    time.sleep(0.1)
    assert index.size() == 7


def test_another_owner_is_asked_and_waited_for(tmp_path: Path) -> None:
    records = filled()
    name = vector_fingerprint(HashEmbedding(dimension=DIMENSION), plan().legs)
    passing = EmbeddedVectors(tmp_path, plan(name), 100)
    passing.acquire()
    index = EmbeddedVectors(tmp_path, plan(name), 100)
    kept, work = keeper(records, index)
    kept.start()
    until(lambda: passing.wished)
    assert "RT-103" in kept.detail and not index.usable
    passing.close()
    until(lambda: index.owned and work.in_step(index))
    kept.stop()
    # Given back: a command may have it now.
    passing.acquire()
    assert passing.size() == 6
    passing.close()


def test_a_model_that_fails_is_said_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    class Moody(HashEmbedding):
        well = False

        def embed(self, texts, outputs):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
            if not self.well:
                raise ModelProblem(Text("고장", "broken"))
            return super().embed(texts, outputs)

    model, index = Moody(dimension=DIMENSION), MemoryVectors()
    kept, work = keeper(filled(), index, model)
    kept.start()
    until(lambda: "RT-140" in kept.detail)
    model.well = True
    until(lambda: work.in_step(index))
    until(lambda: kept.problem is None)
    kept.stop()
    assert sum("RT-140" in each.message for each in caplog.records) == 1


def test_an_index_of_another_history_with_the_same_numbers_is_noticed_at_start() -> None:
    records, index = filled(), MemoryVectors()
    kept, work = keeper(records, index)
    strange = [entry("strange", f"s{n}", n) for n in range(6)]
    index.update([], strange, IndexMark(1, vector_fingerprint(work.model, index.legs), "memory"))
    assert work.in_step(index)
    kept.step()
    assert sorted(index.chunk_ids()) == sorted(records.chunk_ids()) and work.in_step(index)


def test_stopping_does_not_wait_for_a_batch_that_takes_for_ever() -> None:
    gate = threading.Event()

    class Slow(HashEmbedding):
        def embed(self, texts, outputs):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
            gate.wait(20)
            return super().embed(texts, outputs)

    kept, _ = keeper(filled(), MemoryVectors(), Slow(dimension=DIMENSION))
    kept.start()
    begun = time.monotonic()
    kept.stop(timeout_s=0.2)
    assert time.monotonic() - begun < 5
    gate.set()


def test_how_far_it_is_behind_is_known_to_everybody() -> None:
    records, index = filled(), MemoryVectors()
    model = HashEmbedding(dimension=DIMENSION)
    assert behind(records, index, model) == 3
    Follower(records, model).follow(index)
    assert behind(records, index, model) == 0
    records.apply([stored("0.txt", "다른 글")], [stored("1.txt").document.id])
    assert behind(records, index, model) == 2
    assert behind(records, index, HashEmbedding(dimension=DIMENSION, name="other")) == 2


def test_verification_counts_what_is_missing_surplus_wrong_and_still_to_come() -> None:
    records, index = filled(), MemoryVectors()
    model = HashEmbedding(dimension=DIMENSION)
    work = Follower(records, model)
    assert not verify_vectors(records, index, model).complete
    work.follow(index)
    found = verify_vectors(records, index, model)
    assert (found.complete, found.asked, found.found, found.indexed) == (True, 6, 6, 6)
    # A change to come is no damage where somebody follows.
    records.apply([stored("0.txt", "다른 글", "둘", "셋")], [])
    assert verify_vectors(records, index, model, followed=True).complete
    assert [each.en for each in verify_vectors(records, index, model).problems] == [
        "Changes without vectors yet: 1 documents"
    ]
    work.follow(index)
    mark = index.mark()
    assert mark is not None
    index.update([stored("1.txt").document.id], [entry("strange", "s", 5)], mark)
    found = verify_vectors(records, index, model)
    assert (found.missing, found.surplus, len(found.problems)) == (2, 1, 2)
    # Vectors of other texts under the right ids.
    wrong = [
        entry(document.id, chunk, 77 + place)
        for document in records.documents()
        for place, chunk in enumerate(one.id for one in records.load([document.id])[0].chunks)
    ]
    index.clear()
    index.update([], wrong, mark)
    found = verify_vectors(records, index, model)
    assert (found.missing, found.surplus) == (0, 0) and found.found < found.asked
