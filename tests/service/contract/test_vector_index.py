"""What every vector index does; the scores are those of the formulas in the port."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ragtrace.application.ports import OUTPUTS, Embedding, IndexMark, Output, VectorEntry, VectorIndex
from ragtrace.domain.scope import EVERYTHING, Scope
from ragtrace.errors import ModelProblem, NotReady, NotSupported
from ragtrace.testing.vectors import MemoryVectors
from tests.service.vector_support import DIMENSION, edge_index, embedding, entry, server_index

MARK = IndexMark(1, "model-1", "r")
EVERY = frozenset(OUTPUTS)


@pytest.fixture(params=["memory", "edge", "server"])
def index(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[VectorIndex]:
    if request.param == "memory":
        yield MemoryVectors()
    else:
        with edge_index(tmp_path) if request.param == "edge" else server_index(tmp_path) as made:
            yield made


def ids(index: VectorIndex, query: Embedding, leg: Output, scope: Scope = EVERYTHING) -> list[str]:
    return [hit.chunk_id for hit in index.search(query, leg, 50, scope)]


def test_an_empty_index_has_no_mark_and_is_not_searched(index: VectorIndex) -> None:
    assert (index.mark(), index.size(), list(index.chunk_ids()), index.usable) == (None, 0, [], False)
    with pytest.raises(NotReady):
        index.search(embedding(0), "dense", 5)


def test_until_everything_has_been_in_it_once_it_is_not_searched(index: VectorIndex) -> None:
    index.update([], [entry("d", "1", 1)], IndexMark(-1, "model-1", "r", "d", 3))
    assert (index.usable, index.size(), index.mark()) == (False, 1, IndexMark(-1, "model-1", "r", "d", 3))
    with pytest.raises(NotReady):
        index.search(embedding(1), "dense", 5)
    index.update([], [entry("e", "2", 2)], MARK)
    assert index.usable and ids(index, embedding(2), "dense")[0] == "2"


@pytest.mark.parametrize("leg", OUTPUTS)
def test_the_chunk_of_the_same_text_comes_first_with_the_score_of_the_formula(
    index: VectorIndex, leg: Output
) -> None:
    entries = [entry(f"d{n // 3}", f"{n:032x}", n) for n in range(30)]
    index.update([], entries, MARK)
    query = embedding(7)
    found = index.search(query, leg, 30)
    assert found[0].chunk_id == f"{7:032x}"
    scores = [hit.score for hit in found]
    assert scores == sorted(scores, reverse=True)
    # The formulas, written out once more and for every chunk.
    for hit in found:
        other = entries[int(hit.chunk_id, 16)].embedding
        assert hit.score == pytest.approx(
            by_formula(query, other, leg), abs=2e-3 if leg == "colbert" else 1e-5
        )


def by_formula(query: Embedding, other: Embedding, leg: Output) -> float:
    if leg == "dense":
        assert query.dense is not None and other.dense is not None
        return float(sum(a * b for a, b in zip(query.dense.tolist(), other.dense.tolist(), strict=True)))
    if leg == "sparse":
        assert query.sparse_ids is not None and query.sparse_weights is not None
        assert other.sparse_ids is not None and other.sparse_weights is not None
        theirs = dict(zip(other.sparse_ids.tolist(), other.sparse_weights.tolist(), strict=True))
        mine = zip(query.sparse_ids.tolist(), query.sparse_weights.tolist(), strict=True)
        return float(sum(weight * theirs.get(key, 0.0) for key, weight in mine))
    assert query.colbert is not None and other.colbert is not None
    best = [max(float(a @ b) for b in other.colbert) for a in query.colbert]
    return sum(best) / len(best)


def test_removing_a_document_removes_all_its_chunks_and_adding_replaces(index: VectorIndex) -> None:
    index.update([], [entry("d", "1", 1), entry("d", "2", 2), entry("e", "3", 3)], MARK)
    index.update(["d", "nobody"], [entry("d", "4", 4)], IndexMark(2, "model-1", "r"))
    assert sorted(index.chunk_ids()) == ["3", "4"]
    assert sorted(ids(index, embedding(1), "dense")) == ["3", "4"]
    assert (index.size(), index.mark()) == (2, IndexMark(2, "model-1", "r"))


def test_the_same_update_twice_is_the_same_as_once(index: VectorIndex) -> None:
    for _ in range(2):
        index.update(["d"], [entry("d", "1", 1), entry("d", "2", 2)], MARK)
    assert (index.size(), sorted(index.chunk_ids())) == (2, ["1", "2"])


def test_a_scope_is_obeyed_inside_the_engine(index: VectorIndex) -> None:
    index.update(
        [],
        [
            entry("a", "undated", 1),
            entry("b", "old", 2, date="2019-12-31"),
            entry("c", "new", 3, date="2020-01-01", group="hr"),
            entry("d", "newest", 4, date="2024-02-29", group="it"),
        ],
        MARK,
    )
    cases = {
        EVERYTHING: {"undated", "old", "new", "newest"},
        Scope(since="2020-01-01"): {"new", "newest"},
        Scope(until="2019-12-31"): {"old"},
        Scope(since="2019-12-31", until="2020-01-01"): {"old", "new"},
        Scope(groups=frozenset({"hr"})): {"undated", "old", "new"},
        Scope(groups=frozenset()): {"undated", "old"},
        Scope(since="2020-01-01", groups=frozenset({"it", "none"})): {"newest"},
        Scope(since="2025-01-01"): set(),
    }
    for scope, wanted in cases.items():
        for leg in OUTPUTS:
            assert set(ids(index, embedding(3), leg, scope)) == wanted, (scope, leg)
        assert index.count(scope) == len(wanted)


def test_a_limit_is_filled_from_inside_the_scope(index: VectorIndex) -> None:
    near = [entry("n", f"n{n}", n, group="others") for n in range(30)]
    index.update([], [*near, entry("f", "far", 99, group="mine")], MARK)
    found = index.search(embedding(1), "dense", 1, Scope(groups=frozenset({"mine"})))
    assert [hit.chunk_id for hit in found] == ["far"]
    assert index.search(embedding(1), "dense", 0) == []


def test_clear_leaves_no_mark(index: VectorIndex) -> None:
    index.update([], [entry("d", "1", 1)], MARK)
    index.clear()
    assert (index.mark(), index.size(), index.usable, list(index.chunk_ids())) == (None, 0, False, [])
    index.update([], [entry("d", "2", 2)], MARK)
    assert list(index.chunk_ids()) == ["2"]


def test_a_query_of_another_dimension_or_without_the_vector_is_an_error(index: VectorIndex) -> None:
    index.update([], [entry("d", "1", 1)], MARK)
    short = embedding(1, dimension=DIMENSION // 2)
    for leg in ("dense", "colbert"):
        with pytest.raises(ModelProblem):
            index.search(short, leg, 5)
    empty = Embedding(None, None, None, None, 3)
    for leg in OUTPUTS:
        with pytest.raises(NotSupported):
            index.search(empty, leg, 5)


def test_texts_of_special_tokens_only_are_kept_and_found_by_dense_alone(index: VectorIndex) -> None:
    nothing = Embedding(
        embedding(5).dense,
        np.zeros(0, np.int32),
        np.zeros(0, np.float32),
        np.zeros((0, DIMENSION), np.float32),
        2,
    )
    index.update([], [VectorEntry("d", "bare", nothing), entry("d", "1", 1)], MARK)
    assert ids(index, embedding(5), "dense")[0] == "bare"
    assert index.search(nothing, "sparse", 5) == [] and index.search(nothing, "colbert", 5) == []
    assert "bare" not in ids(index, embedding(5), "sparse")


def test_a_mark_keeps_how_far_a_change_has_come(index: VectorIndex) -> None:
    marks = (IndexMark(3, "m", "r"), IndexMark(3, "m", "r", "d", 4), IndexMark(-1, "m|가", "r", "문서", 7))
    for mark in marks:
        index.update([], [], mark)
        assert index.mark() == mark


def test_many_chunks_and_ids_of_any_form(index: VectorIndex) -> None:
    names = [f"조각 {n}" if n % 2 else f"{n:032x}" for n in range(700)]
    index.update([], [entry("d", name, n) for n, name in enumerate(names)], MARK)
    assert sorted(index.chunk_ids()) == sorted(names)
    assert ids(index, embedding(333), "dense")[0] == "조각 333"


def test_a_chunk_without_any_vector_is_kept_and_found_by_none(index: VectorIndex) -> None:
    bare = VectorEntry("d", "bare", Embedding(None, None, None, None, 0))
    index.update([], [bare, entry("d", "1", 1)], MARK)
    assert (index.size(), sorted(index.chunk_ids()), index.count(EVERYTHING)) == (2, ["1", "bare"], 2)
    for leg in OUTPUTS:
        assert ids(index, embedding(1), leg) == ["1"]
    index.update(["d"], [], MARK)
    assert index.size() == 0
