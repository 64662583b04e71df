"""Fusion: several ranked lists of chunks become one, and each list's part in it stays visible."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Leg = Literal["lexical", "dense", "sparse", "colbert"]
LEGS: tuple[Leg, ...] = ("lexical", "dense", "sparse", "colbert")
Method = Literal["weighted", "rrf"]
# Cormack, Clarke and Büttcher 2009, "Reciprocal Rank Fusion", section 2: found once by trial, kept by everybody since.
RRF_K = 60
# A list as a leg returns it: chunk ids with scores, best first.
Ranking = Sequence[tuple[str, float]]


@dataclass(frozen=True)
class Contribution:
    """What one leg adds to one chunk: its own rank (from 1) and score, that score made comparable, and the share added."""

    leg: Leg
    rank: int
    score: float
    normal: float
    weight: float

    @property
    def share(self) -> float:
        """Return what is added to the chunk's fused score."""
        return self.weight * self.normal


@dataclass(frozen=True)
class Fused:
    """A chunk with its fused score, the sum of its contributions' shares."""

    chunk_id: str
    score: float
    contributions: tuple[Contribution, ...]


def fuse(method: Method, rankings: Mapping[Leg, Ranking], weights: Mapping[Leg, float]) -> list[Fused]:
    """Fuse the rankings of the legs that took part, best first.

    Args:
        rankings: for each leg that was asked, what it found; a chunk stands at most once in each.
        weights: one weight > 0 for each leg of `rankings`; they are divided by their sum, so that leaving a leg out
            does not move the scale.

    Weighted: each leg's scores are stretched to 0..1 over what it found, (s - min) / (max - min), all 1 where they are
    equal; a chunk that a leg did not find gets 0 from it. The fused score is the weighted mean, in 0..1.

    Reciprocal ranks: the sum over the legs of 1 / (60 + rank), whatever their weights are.
    """
    normalise = _reciprocal if method == "rrf" else _stretched
    return _sum(rankings, effective(method, rankings, weights), normalise)


def effective(method: Method, legs: Iterable[Leg], weights: Mapping[Leg, float]) -> dict[Leg, float]:
    """Return the weight that each leg that took part really has."""
    taking = list(legs)
    if method == "rrf":
        return dict.fromkeys(taking, 1.0)
    total = sum(weights[leg] for leg in taking)
    return {leg: weights[leg] / total for leg in taking}


def _sum(
    rankings: Mapping[Leg, Ranking],
    weights: Mapping[Leg, float],
    normalise: Callable[[Ranking], list[float]],
) -> list[Fused]:
    gathered: dict[str, list[Contribution]] = {}
    for leg, ranking in rankings.items():
        for rank, ((key, score), normal) in enumerate(zip(ranking, normalise(ranking), strict=True), start=1):
            gathered.setdefault(key, []).append(Contribution(leg, rank, score, normal, weights[leg]))
    fused = [Fused(key, sum(each.share for each in parts), tuple(parts)) for key, parts in gathered.items()]
    # Of equals the one that some leg had further up comes first; the id makes the order the same every time.
    return sorted(fused, key=lambda one: (-one.score, min(p.rank for p in one.contributions), one.chunk_id))


def _stretched(ranking: Ranking) -> list[float]:
    scores = [score for _, score in ranking]
    if not scores:
        return []
    least, span = min(scores), max(scores) - min(scores)
    return [(score - least) / span if span > 0 else 1.0 for score in scores]


def _reciprocal(ranking: Ranking) -> list[float]:
    return [1 / (RRF_K + rank) for rank in range(1, len(ranking) + 1)]
