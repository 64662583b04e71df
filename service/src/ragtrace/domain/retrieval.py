"""What is retrieved for a question, by which rules, and why each chunk stands where it stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from ragtrace.domain.answers import Passage, Question
from ragtrace.domain.fusion import Contribution, Leg, Method
from ragtrace.domain.scope import EVERYTHING, Scope
from ragtrace.domain.widening import Widened
from ragtrace.text import Text

# What became of a chunk that some leg found: kept; ranked too low; its text stands further up already; the records know
# it no longer; the records say that it is not inside the scope.
Fate = Literal["kept", "below", "duplicate", "gone", "outside"]


@dataclass(frozen=True)
class SearchRules:
    """How to search: `pool` chunks from each leg with a weight, fused, the best `rerank_pool` reranked, `top_n` kept."""

    top_n: int = 5
    pool: int = 50
    method: Method = "weighted"
    weights: Mapping[Leg, float] = field(default_factory=lambda: {"dense": 0.6, "lexical": 0.4})
    least_in_range: int = 50
    rerank_pool: int = 20


@dataclass(frozen=True)
class Candidate:
    """One chunk that some leg found. `rank` counts from 1 in the final order, 0 for what is not in it."""

    chunk_id: str
    rank: int
    fate: Fate
    fused_rank: int
    fused: float
    contributions: tuple[Contribution, ...]
    rerank: float | None = None


@dataclass(frozen=True)
class Trace:
    """How a search went: the terms, what each leg found and its share of the weight, every candidate, milliseconds by part."""

    terms: tuple[str, ...] = ()
    method: Method = "weighted"
    found: Mapping[Leg, int] = field(default_factory=dict)
    weights: Mapping[Leg, float] = field(default_factory=dict)
    candidates: tuple[Candidate, ...] = ()
    milliseconds: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Found:
    """A question with the passages found for it, best first; `passage.score` is the reranker's where there is one, else
    the fused one. `scope` is where was looked: what was asked for, or wider as `widened` says. `notices` are what a
    reader of the answer should know of the search.
    """

    question: Question
    passages: tuple[Passage, ...]
    explain: Trace = field(default_factory=Trace)
    scope: Scope = EVERYTHING
    widened: Widened | None = None
    notices: tuple[Text, ...] = ()
