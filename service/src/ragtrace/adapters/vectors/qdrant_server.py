"""Vectors at a Qdrant server, in a collection of the same layout as the embedded shard.

The collection's name follows from the records and the plan, so that two installations and two models never share one. A
point without vectors carries the mark; it is written after the points it speaks of are. Not run against a real server
in our tests: none of our machines has one. They run against the client library's own engine behind HTTP.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

from ragtrace.adapters.vectors import files
from ragtrace.adapters.vectors.payload import (
    CHUNK,
    COLBERT_CANDIDATES,
    COLBERT_EXACT,
    DAY,
    DOCUMENT,
    GROUP,
    VectorPlan,
    days_of,
    groups_of,
    not_usable,
    payload_of,
    point_id,
    require_entry,
    require_query,
)
from ragtrace.application.ports import Embedding, Hit, IndexMark, Output, VectorEntry, VectorIndex
from ragtrace.domain.scope import EVERYTHING, Scope
from ragtrace.errors import BusyProblem, UpstreamProblem
from ragtrace.text import Text

_MARK = str(uuid.UUID("0e3c64f3-8f8a-5b2f-8f5f-1f0f2b7a0c01"))
_POINTS, _DOCUMENTS, _PAGE = 64, 500, 5_000
_TIMEOUT_S = 60
# Whoever does not own the index asks the server for the mark again after so long.
_MARK_S = 2.0
_STRONG = models.WriteOrdering.STRONG


class ServerVectors:
    """A collection. Any process searches it; the one that holds the lock in the data folder changes it."""

    def __init__(
        self, url: str, api_key: str, plan: VectorPlan, records: str, folder: Path, exact_limit: int
    ) -> None:
        """Connect to nothing yet; `records` is the id of the records that the vectors belong to."""
        digest = hashlib.sha256(json.dumps(plan.plain(), sort_keys=True).encode()).hexdigest()
        self._family = f"ragtrace-{records[:12]}-"
        self.collection = self._family + digest[:12]
        self.plan = plan
        self._url, self._folder, self._exact_limit = url, folder, exact_limit
        # As a header of our own: for plain HTTP, which is what stands inside a closed network, the client would warn.
        headers = {"api-key": api_key} if api_key else {}
        self._connect: Callable[[], QdrantClient] = lambda: QdrantClient(
            url=url, metadata=headers, timeout=_TIMEOUT_S, check_compatibility=False, trust_env=False
        )
        self._connection: QdrantClient | None = None
        self._lock = threading.Lock()
        self._owner = -1
        self._wish = files.Wish(folder)
        self._known: tuple[float, IndexMark | None] | None = None
        self._made = False

    @property
    def legs(self) -> frozenset[Output]:
        """Return what can be searched by."""
        return self.plan.legs

    @property
    def owned(self) -> bool:
        """Say whether this process may change it."""
        return self._owner >= 0

    @property
    def wished(self) -> bool:
        """Say whether another process has asked for it since this one has it."""
        return self._wish.made

    @property
    def usable(self) -> bool:
        """Say whether every chunk has been in it once."""
        mark = self.mark()
        return mark is not None and mark.sequence >= 0

    def acquire(self, *, insist: bool = False) -> None:
        """Become the one process of this data folder that changes the collection. Raises `BusyProblem`."""
        with self._lock:
            if self._owner >= 0:
                return
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o750)
            try:
                self._owner = files.take(self._folder / files.OWNER)
                self._wish.begin()
                self._known = None
            except BusyProblem:
                if insist:
                    self._wish.make()
                raise

    def mark(self) -> IndexMark | None:
        """Return the mark of the last update."""
        known = self._known
        if known is not None and (self.owned or time.monotonic() - known[0] < _MARK_S):
            return known[1]
        with self._translated():
            mark = None
            if self._exists():
                found = self._client.retrieve(self.collection, [_MARK], with_payload=True)
                if found and found[0].payload:
                    mark = IndexMark(**json.loads(found[0].payload["mark"]))
        self._known = (time.monotonic(), mark)
        return mark

    def update(self, removed: Iterable[str], added: Sequence[VectorEntry], mark: IndexMark) -> None:
        """Remove and add, wait until the server has done so, then set the mark."""
        self.acquire()
        gone = list(removed)
        points = [self._point(entry) for entry in added]
        with self._translated():
            self._make()
            for start in range(0, len(gone), _DOCUMENTS):
                of_documents = models.FieldCondition(
                    key=DOCUMENT, match=models.MatchAny(any=gone[start : start + _DOCUMENTS])
                )
                self._client.delete(
                    self.collection,
                    models.FilterSelector(filter=models.Filter(must=[of_documents])),
                    wait=True,
                    ordering=_STRONG,
                )
            carrier = models.PointStruct(id=_MARK, vector={}, payload={"mark": json.dumps(mark.__dict__)})
            batches = [points[start : start + _POINTS] for start in range(0, len(points), _POINTS)]
            for batch in (*batches, [carrier]):
                self._client.upsert(self.collection, batch, wait=True, ordering=_STRONG)
        self._known = (time.monotonic(), mark)

    def clear(self) -> None:
        """Make the collection empty and unmarked."""
        self.acquire()
        with self._translated():
            self._client.delete_collection(self.collection)
            self._made, self._known = False, None
            self._make()

    def size(self) -> int:
        """Return the number of chunks."""
        return self.count(EVERYTHING)

    def count(self, scope: Scope) -> int:
        """Return the number of chunks inside `scope`."""
        with self._translated():
            if not self._exists():
                return 0
            found = self._client.count(self.collection, _chunks_inside(scope), exact=True)
            return int(found.count)

    def chunk_ids(self) -> Iterator[str]:
        """Yield the id of every chunk."""
        offset: Any = None
        while True:
            with self._translated():
                if not self._exists():
                    return
                records, offset = self._client.scroll(
                    self.collection,
                    scroll_filter=_chunks_inside(EVERYTHING),
                    limit=_PAGE,
                    offset=offset,
                    with_payload=[CHUNK],
                )
            for record in records:
                yield str((record.payload or {})[CHUNK])
            if offset is None:
                return

    def search(self, query: Embedding, leg: Output, limit: int, scope: Scope = EVERYTHING) -> list[Hit]:
        """Return the best chunks inside `scope`, best first; ColBERT as in the embedded index."""
        if not self.usable:
            raise not_usable()
        require_query(self.plan, query, leg)
        vector = _vector(query, leg)
        if limit < 1 or vector is None:
            return []
        condition = models.Filter(must=_inside(scope)) if _inside(scope) else None
        with self._translated():
            size = self._client.count(self.collection, exact=False).count
            params = models.SearchParams(exact=size <= self._exact_limit, hnsw_ef=max(128, 2 * limit))
            prefetch = None
            if leg == "colbert" and size > COLBERT_EXACT:
                prefetch = self._candidates(query, limit, condition, params)
            found = self._client.query_points(
                self.collection,
                query=vector,
                using=leg,
                prefetch=prefetch,
                query_filter=condition,
                search_params=params,
                limit=limit,
                with_payload=[CHUNK],
            ).points
        share = 1.0 / len(vector) if isinstance(vector, list) and leg == "colbert" else 1.0
        hits = [Hit(str((each.payload or {})[CHUNK]), float(each.score) * share) for each in found]
        return sorted(hits, key=lambda hit: (-hit.score, hit.chunk_id))

    def maintain(self, follow: Callable[[VectorIndex], object]) -> None:
        """Do nothing: the server builds its graphs itself."""

    def discard(self) -> None:
        """Delete every collection of these records, whatever model it is for, and begin anew."""
        self.acquire()
        with self._translated():
            for each in self._client.get_collections().collections:
                if each.name.startswith(self._family):
                    self._client.delete_collection(each.name)
            self._made, self._known = False, None
            self._make()

    def close(self) -> None:
        """Give lock and connections back; the next call connects again."""
        with self._lock:
            if self._owner >= 0:
                os.close(self._owner)
                self._owner = -1
            connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    @property
    def _client(self) -> QdrantClient:
        if self._connection is None:
            with self._lock:
                self._connection = self._connection or self._connect()
        return self._connection

    def _exists(self) -> bool:
        self._made = self._made or self._client.collection_exists(self.collection)
        return self._made

    def _make(self) -> None:
        """Create the collection with the embedded index's layout."""
        if self._exists():
            return
        vectors = {}
        if "dense" in self.plan.legs:
            vectors["dense"] = models.VectorParams(size=self.plan.dimension, distance=models.Distance.COSINE)
        if "colbert" in self.plan.legs:
            vectors["colbert"] = models.VectorParams(
                size=self.plan.dimension,
                distance=models.Distance.DOT,
                datatype=models.Datatype.FLOAT16,
                multivector_config=models.MultiVectorConfig(comparator=models.MultiVectorComparator.MAX_SIM),
                hnsw_config=models.HnswConfigDiff(m=0),
            )
        sparse = {"sparse": models.SparseVectorParams()} if "sparse" in self.plan.legs else None
        self._client.create_collection(self.collection, vectors_config=vectors, sparse_vectors_config=sparse)
        for name, kind in (
            (DOCUMENT, models.PayloadSchemaType.KEYWORD),
            (GROUP, models.PayloadSchemaType.KEYWORD),
            (DAY, models.PayloadSchemaType.INTEGER),
        ):
            self._client.create_payload_index(self.collection, name, kind, wait=True)
        self._made = True

    def _point(self, entry: VectorEntry) -> models.PointStruct:
        vectors: dict[str, Any] = {}
        for leg, value in require_entry(self.plan, entry).items():
            if leg == "sparse":
                vectors[leg] = models.SparseVector(indices=value[0].tolist(), values=value[1].tolist())
            else:
                vectors[leg] = value.tolist()
        return models.PointStruct(id=point_id(entry.chunk_id), vector=vectors, payload=payload_of(entry))

    def _candidates(
        self,
        query: Embedding,
        limit: int,
        condition: models.Filter | None,
        params: models.SearchParams,
    ) -> list[models.Prefetch] | None:
        others: tuple[Output, ...] = ("dense", "sparse")
        wanted = max(COLBERT_CANDIDATES, 4 * limit)
        found = [
            models.Prefetch(query=vector, using=leg, limit=wanted, filter=condition, params=params)
            for leg in others
            if leg in self.plan.legs and (vector := _vector(query, leg)) is not None
        ]
        return found or None

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except UnexpectedResponse as error:
            if error.status_code == 404:
                # The collection was deleted at the server: then it is made again, and filled from the records.
                self._made, self._known = False, None
            raise self._upstream(f"HTTP {error.status_code} {error.reason_phrase}") from error
        except ResponseHandlingException as error:
            raise self._upstream(str(error.source)) from error

    def _upstream(self, what: str) -> UpstreamProblem:
        return UpstreamProblem(
            Text("벡터 서버를 쓸 수 없습니다.", "The vector server cannot be used."),
            where=f"{self._url} {self.collection}: {what}"[:500],
            state=Text("문서 기록은 그대로입니다.", "The records of the documents are untouched."),
            hint=Text("vectors.url과 서버를 확인하십시오.", "Check vectors.url and the server."),
        )


def _inside(scope: Scope) -> list[models.Condition]:
    must: list[models.Condition] = []
    groups, days = groups_of(scope), days_of(scope)
    if groups is not None:
        must.append(models.FieldCondition(key=GROUP, match=models.MatchAny(any=groups)))
    if days is not None:
        must.append(models.FieldCondition(key=DAY, range=models.Range(gte=days[0], lte=days[1])))
    return must


def _chunks_inside(scope: Scope) -> models.Filter:
    return models.Filter(must=_inside(scope), must_not=[models.HasIdCondition(has_id=[_MARK])])


def _vector(query: Embedding, leg: Output) -> Any:  # noqa: ANN401 - whatever the client takes for a query
    if leg == "sparse":
        if query.sparse_ids is None or query.sparse_weights is None or not len(query.sparse_ids):
            return None
        return models.SparseVector(indices=query.sparse_ids.tolist(), values=query.sparse_weights.tolist())
    vector = query.dense if leg == "dense" else query.colbert
    return None if vector is None or not len(vector) else vector.tolist()
