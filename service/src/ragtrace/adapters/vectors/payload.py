"""What a point holds, whichever Qdrant keeps it: its id, its named vectors, its payload, and how a scope becomes a filter."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ragtrace.application.ports import Embedding, Output, VectorEntry
from ragtrace.domain.scope import Scope, day_number
from ragtrace.errors import ModelProblem, NotReady, NotSupported
from ragtrace.text import Text

# Raised when points of an older layout could not be searched as these are.
LAYOUT = "vectors-v1"
# What a child makes of a shard: smaller files, codes beside the dense vectors, a graph over them too.
Build = Literal["plain", "codes", "graph"]
BUILDS: tuple[Build, ...] = ("plain", "codes", "graph")
# Keyword, keyword and integer index; `chunk` is only read.
DOCUMENT, GROUP, DAY, CHUNK = "document", "group", "day", "chunk"
_NAMES = uuid.UUID("6f5b2f0a-3a59-5a0f-9e0c-6d9a6d0d2a11")
# From so many chunks on ColBERT scores only what dense and sparse vectors bring: comparing every row with every row of
# 100,000 chunks of 300 tokens is 600 billion multiplications a question.
COLBERT_EXACT = 2_000
COLBERT_CANDIDATES = 200


@dataclass(frozen=True)
class VectorPlan:
    """What an index is made for: `fingerprint` names model, outputs and text, `dimension` is that of the model."""

    fingerprint: str
    dimension: int
    legs: frozenset[Output]

    def plain(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "layout": LAYOUT,
            "fingerprint": self.fingerprint,
            "dimension": self.dimension,
            "legs": sorted(self.legs),
        }


def point_id(chunk_id: str) -> str:
    """Return the point's id: a chunk id of 32 hexadecimal digits is one already."""
    try:
        return str(uuid.UUID(hex=chunk_id)) if len(chunk_id) == 32 else str(uuid.uuid5(_NAMES, chunk_id))
    except ValueError:
        return str(uuid.uuid5(_NAMES, chunk_id))


def payload_of(entry: VectorEntry) -> dict[str, str | int]:
    """Return a point's payload; a chunk without a date has no `day`, so that no bounded range holds it."""
    payload: dict[str, str | int] = {
        CHUNK: entry.chunk_id,
        DOCUMENT: entry.document_id,
        GROUP: entry.group,
    }
    if entry.date:
        payload[DAY] = day_number(entry.date)
    return payload


def groups_of(scope: Scope) -> list[str] | None:
    """Return the values of `group` that are inside, None for all; chunks of no group are seen by everybody."""
    return None if scope.groups is None else [*sorted(scope.groups - {""}), ""]


def days_of(scope: Scope) -> tuple[int | None, int | None] | None:
    """Return the first and the last `day` inside, None where the days are not bounded."""
    if not scope.dated:
        return None
    return (
        day_number(scope.since) if scope.since else None,
        day_number(scope.until) if scope.until else None,
    )


def require_entry(plan: VectorPlan, entry: VectorEntry) -> Mapping[Output, Any]:
    """Return the vectors of a chunk that the plan keeps, as they are stored; none for an embedding that has none at all.

    Raises:
        ModelProblem: one is missing, or of another dimension.
    """
    kept: dict[Output, Any] = {}
    one = entry.embedding
    if one.dense is None and one.sparse_ids is None and one.colbert is None:
        return kept
    for leg in plan.legs:
        if leg == "sparse":
            ids, weights = entry.embedding.sparse_ids, entry.embedding.sparse_weights
            if ids is None or weights is None:
                raise _missing(entry.chunk_id, leg)
            kept[leg] = (ids, weights)
            continue
        vector = entry.embedding.dense if leg == "dense" else entry.embedding.colbert
        if vector is None:
            raise _missing(entry.chunk_id, leg)
        if vector.shape[-1] != plan.dimension:
            raise ModelProblem(
                Text(
                    f"벡터 길이 {vector.shape[-1]}이(가) 색인의 {plan.dimension}과 다릅니다.",
                    f"A vector has length {vector.shape[-1]}, the index {plan.dimension}.",
                ),
                where=entry.chunk_id,
            )
        # A text of special tokens only has no rows; without a vector it is simply not found by them.
        if leg == "dense" or len(vector):
            kept[leg] = vector
    return kept


def require_query(plan: VectorPlan, query: Embedding, leg: Output) -> None:
    """Let a query pass that can be searched by `leg`.

    Raises:
        NotSupported: the index or the query has no such vectors.
        ModelProblem: the query is of another dimension.
    """
    vector = query.sparse_ids if leg == "sparse" else query.dense if leg == "dense" else query.colbert
    if leg not in plan.legs or vector is None:
        raise NotSupported(
            Text(f"이런 벡터가 없습니다: {leg}", f"There are no vectors of this kind: {leg}"),
            hint=Text(
                "vectors.colbert와 임베딩 모델을 확인하십시오.",
                "Check vectors.colbert and the embedding model.",
            ),
        )
    if leg != "sparse" and vector.shape[-1] != plan.dimension:
        raise ModelProblem(
            Text(
                f"질문의 벡터 길이 {vector.shape[-1]}이(가) 색인의 {plan.dimension}과 다릅니다.",
                f"The query's vector has length {vector.shape[-1]}, the index {plan.dimension}.",
            )
        )


def not_usable() -> NotReady:
    """Return the error of an index that does not hold every chunk yet."""
    return NotReady(
        Text("벡터 색인을 만드는 중입니다.", "The vector index is being made."),
        hint=Text("그동안 낱말로 검색합니다.", "Until then the search is by words."),
    )


def _missing(chunk_id: str, leg: Output) -> ModelProblem:
    return ModelProblem(
        Text(f"임베딩에 {leg} 벡터가 없습니다.", f"An embedding lacks its {leg} vector."), where=chunk_id
    )
