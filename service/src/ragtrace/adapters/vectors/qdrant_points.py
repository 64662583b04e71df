"""The layout of a collection at a Qdrant server, and what goes to and fro: points, conditions, query vectors."""

from __future__ import annotations

import uuid
from typing import Any

from qdrant_client import QdrantClient, models

from ragtrace.adapters.vectors.payload import (
    COLBERT_CANDIDATES,
    DAY,
    DOCUMENT,
    GROUP,
    VectorPlan,
    days_of,
    groups_of,
    payload_of,
    point_id,
    require_entry,
)
from ragtrace.application.ports import Embedding, Output, VectorEntry
from ragtrace.domain.scope import Scope

# The point without vectors that carries the mark.
MARK = str(uuid.UUID("0e3c64f3-8f8a-5b2f-8f5f-1f0f2b7a0c01"))


def create(client: QdrantClient, collection: str, plan: VectorPlan) -> None:
    """Create a collection with the embedded index's layout."""
    vectors = {}
    if "dense" in plan.legs:
        vectors["dense"] = models.VectorParams(size=plan.dimension, distance=models.Distance.COSINE)
    if "colbert" in plan.legs:
        vectors["colbert"] = models.VectorParams(
            size=plan.dimension,
            distance=models.Distance.DOT,
            datatype=models.Datatype.FLOAT16,
            multivector_config=models.MultiVectorConfig(comparator=models.MultiVectorComparator.MAX_SIM),
            hnsw_config=models.HnswConfigDiff(m=0),
        )
    sparse = {"sparse": models.SparseVectorParams()} if "sparse" in plan.legs else None
    client.create_collection(collection, vectors_config=vectors, sparse_vectors_config=sparse)
    for name, kind in (
        (DOCUMENT, models.PayloadSchemaType.KEYWORD),
        (GROUP, models.PayloadSchemaType.KEYWORD),
        (DAY, models.PayloadSchemaType.INTEGER),
    ):
        client.create_payload_index(collection, name, kind, wait=True)


def point_of(plan: VectorPlan, entry: VectorEntry) -> models.PointStruct:
    """Return a chunk as the server takes it. Raises `ModelProblem` for vectors that do not fit the plan."""
    vectors: dict[str, Any] = {}
    for leg, value in require_entry(plan, entry).items():
        if leg == "sparse":
            vectors[leg] = models.SparseVector(indices=value[0].tolist(), values=value[1].tolist())
        else:
            vectors[leg] = value.tolist()
    return models.PointStruct(id=point_id(entry.chunk_id), vector=vectors, payload=payload_of(entry))


def candidates(
    plan: VectorPlan,
    query: Embedding,
    limit: int,
    condition: models.Filter | None,
    params: models.SearchParams,
) -> list[models.Prefetch] | None:
    """Return the searches whose findings ColBERT puts in order; None where the query has no other vector."""
    others: tuple[Output, ...] = ("dense", "sparse")
    wanted = max(COLBERT_CANDIDATES, 4 * limit)
    found = [
        models.Prefetch(query=vector, using=leg, limit=wanted, filter=condition, params=params)
        for leg in others
        if leg in plan.legs and (vector := query_vector(query, leg)) is not None
    ]
    return found or None


def inside(scope: Scope) -> list[models.Condition]:
    """Return a scope as conditions, none for everything."""
    must: list[models.Condition] = []
    groups, days = groups_of(scope), days_of(scope)
    if groups is not None:
        must.append(models.FieldCondition(key=GROUP, match=models.MatchAny(any=groups)))
    if days is not None:
        must.append(models.FieldCondition(key=DAY, range=models.Range(gte=days[0], lte=days[1])))
    return must


def chunks_inside(scope: Scope) -> models.Filter:
    """Return a filter that lets a scope's chunks through, and not the mark."""
    return models.Filter(must=inside(scope), must_not=[models.HasIdCondition(has_id=[MARK])])


def query_vector(query: Embedding, leg: Output) -> Any:  # noqa: ANN401 - whatever the client takes for a query
    """Return a query's vector as the client takes it, None where it has none or an empty one."""
    if leg == "sparse":
        if query.sparse_ids is None or query.sparse_weights is None or not len(query.sparse_ids):
            return None
        return models.SparseVector(indices=query.sparse_ids.tolist(), values=query.sparse_weights.tolist())
    vector = query.dense if leg == "dense" else query.colbert
    return None if vector is None or not len(vector) else vector.tolist()
