"""Fusion of ranked lists: the formulas, and that every part of a score is visible."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragtrace.domain.fusion import LEGS, Leg, Method, fuse

DENSE = [("a", 0.9), ("b", 0.8), ("c", 0.5)]
LEXICAL = [("c", 12.0), ("d", 7.0), ("a", 2.0)]
DEFAULT: dict[Leg, float] = {"dense": 0.6, "lexical": 0.4}


def scores(
    method: Method, rankings: dict[Leg, list[tuple[str, float]]], weights: dict[Leg, float]
) -> dict[str, float]:
    return {one.chunk_id: one.score for one in fuse(method, rankings, weights)}


def test_weighted_fusion_is_the_weighted_mean_of_scores_stretched_to_one() -> None:
    found = scores("weighted", {"dense": DENSE, "lexical": LEXICAL}, DEFAULT)
    expected = {"a": 0.6 * 1 + 0.4 * 0, "b": 0.6 * 0.75, "c": 0.6 * 0 + 0.4 * 1, "d": 0.4 * 0.5}
    assert found == pytest.approx(expected)
    assert list(found) == ["a", "b", "c", "d"]


def test_reciprocal_ranks_are_summed_whatever_the_weights_are() -> None:
    found = scores("rrf", {"dense": DENSE, "lexical": LEXICAL}, {"dense": 0.99, "lexical": 0.01})
    expected = {"a": 1 / 61 + 1 / 63, "c": 1 / 63 + 1 / 61, "b": 1 / 62, "d": 1 / 62}
    assert found == pytest.approx(expected)
    assert list(found) == ["a", "c", "b", "d"]


def test_a_leg_alone_keeps_its_order_and_the_whole_weight() -> None:
    assert scores("weighted", {"lexical": LEXICAL}, {"lexical": 0.4}) == pytest.approx(
        {"c": 1, "d": 0.5, "a": 0}
    )


def test_equal_scores_all_count_fully() -> None:
    assert scores("weighted", {"dense": [("a", 0.5), ("b", 0.5)]}, DEFAULT) == {"a": 1.0, "b": 1.0}
    assert scores("weighted", {"dense": [("a", 0.1)]}, DEFAULT) == {"a": 1.0}


def test_a_leg_that_finds_nothing_keeps_its_weight() -> None:
    found = scores("weighted", {"dense": DENSE, "lexical": []}, DEFAULT)
    assert found == pytest.approx({"a": 0.6, "b": 0.45, "c": 0.0})


def test_nothing_fuses_to_nothing() -> None:
    assert fuse("weighted", {}, {}) == fuse("rrf", {"dense": []}, DEFAULT) == []


def test_every_contribution_says_leg_rank_score_and_share() -> None:
    first = fuse("weighted", {"dense": DENSE, "lexical": LEXICAL}, DEFAULT)[0]
    parts = {part.leg: part for part in first.contributions}
    assert (parts["dense"].rank, parts["dense"].score) == (1, 0.9)
    assert parts["dense"].share == pytest.approx(0.6)
    assert (parts["lexical"].rank, parts["lexical"].score, parts["lexical"].normal) == (3, 2.0, 0.0)


@st.composite
def rankings(draw: st.DrawFn) -> dict[Leg, list[tuple[str, float]]]:
    made: dict[Leg, list[tuple[str, float]]] = {}
    for leg in draw(st.lists(st.sampled_from(LEGS), unique=True)):
        hits = draw(st.dictionaries(st.sampled_from("abcdefgh"), st.floats(-1e6, 1e6), max_size=8))
        made[leg] = sorted(hits.items(), key=lambda hit: (-hit[1], hit[0]))
    return made


@given(rankings(), st.sampled_from(["weighted", "rrf"]), st.lists(st.floats(0.01, 1), min_size=4, max_size=4))
def test_a_score_is_the_sum_of_its_shares_and_everything_found_stands_once(
    found: dict[Leg, list[tuple[str, float]]], method: Method, numbers: list[float]
) -> None:
    weights = dict(zip(LEGS, numbers, strict=True))
    fused = fuse(method, found, weights)
    assert sorted(one.chunk_id for one in fused) == sorted(
        {key for hits in found.values() for key, _ in hits}
    )
    for one in fused:
        assert one.score == pytest.approx(sum(part.share for part in one.contributions))
        assert 0 <= one.score <= 1 + 1e-9
    assert [one.score for one in fused] == sorted((one.score for one in fused), reverse=True)
