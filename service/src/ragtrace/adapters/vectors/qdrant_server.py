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
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

from ragtrace.adapters.vectors import files
from ragtrace.adapters.vectors.payload import (
    CHUNK,
    COLBERT_EXACT,
    DOCUMENT,
    VectorPlan,
    not_usable,
    require_query,
)
from ragtrace.adapters.vectors.qdrant_points import (
    MARK,
    candidates,
    chunks_inside,
    create,
    inside,
    point_of,
    query_vector,
)
from ragtrace.application.ports import Embedding, Hit, IndexMark, Output, VectorEntry, VectorIndex
from ragtrace.domain.scope import EVERYTHING, Scope
from ragtrace.errors import BusyProblem, UpstreamProblem
from ragtrace.text import Text

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
                found = self._client.retrieve(self.collection, [MARK], with_payload=True)
                if found and found[0].payload:
                    mark = IndexMark(**json.loads(found[0].payload["mark"]))
        self._known = (time.monotonic(), mark)
        return mark

    def update(self, removed: Iterable[str], added: Sequence[VectorEntry], mark: IndexMark) -> None:
        """Remove and add, wait until the server has done so, then set the mark."""
        self.acquire()
        gone = list(removed)
        points = [point_of(self.plan, entry) for entry in added]
        with self._translated():
            self._ensure()
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
            carrier = models.PointStruct(id=MARK, vector={}, payload={"mark": json.dumps(mark.__dict__)})
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
            self._ensure()

    def size(self) -> int:
        """Return the number of chunks."""
        return self.count(EVERYTHING)

    def count(self, scope: Scope) -> int:
        """Return the number of chunks inside `scope`."""
        with self._translated():
            if not self._exists():
                return 0
            found = self._client.count(self.collection, chunks_inside(scope), exact=True)
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
                    scroll_filter=chunks_inside(EVERYTHING),
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
        vector = query_vector(query, leg)
        if limit < 1 or vector is None:
            return []
        condition = models.Filter(must=inside(scope)) if inside(scope) else None
        with self._translated():
            size = self._client.count(self.collection, exact=False).count
            params = models.SearchParams(exact=size <= self._exact_limit, hnsw_ef=max(128, 2 * limit))
            prefetch = None
            if leg == "colbert" and size > COLBERT_EXACT:
                prefetch = candidates(self.plan, query, limit, condition, params)
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
            self._ensure()

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

    def _ensure(self) -> None:
        if not self._exists():
            create(self._client, self.collection, self.plan)
            self._made = True

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
