"""One generation of vectors in a shard of Qdrant Edge.

The shard keeps no write-ahead log: what is not flushed is not there after a kill, and the mark, replaced after the flush,
never speaks of it. Changes are idempotent, so that what a kill cut in two is done again from the records.
Every call of the library holds the interpreter's lock until it returns, so one lock of ours costs nothing.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import qdrant_edge as edge

from ragtrace.adapters.vectors import files
from ragtrace.adapters.vectors.payload import (
    CHUNK,
    COLBERT_CANDIDATES,
    COLBERT_EXACT,
    DAY,
    DOCUMENT,
    GROUP,
    Build,
    VectorPlan,
    days_of,
    groups_of,
    not_usable,
    payload_of,
    point_id,
    require_entry,
    require_query,
)
from ragtrace.application.ports import Embedding, Hit, IndexMark, Output, VectorEntry
from ragtrace.domain.scope import EVERYTHING, Scope

_POINTS, _DOCUMENTS, _PAGE = 256, 500, 10_000
# Candidates that a search through the graph keeps; more than asked for, so that recall does not end at the graph.
_LEAST_EF = 128
# Codes of a byte a number choose so many times what is asked for, and the vectors themselves decide: recall@100 was 1.0
# of 100,000 clustered vectors, 0.98 without.
_OVERSAMPLING = 2.0
_NO_DAMAGE = ("os error 28", "os error 13", "os error 30", "os error 122", "os error 24", "No space left")


def shard_config(
    plan: VectorPlan, *, m: int = 0, codes: bool = False, indexing_kb: int | None = None
) -> edge.EdgeConfig:
    """Return the shard's configuration.

    `m` is the number of edges a node of the graph over dense vectors, 0 for none; `codes` keeps, in memory, a byte for
    each of their numbers beside them.
    """
    none = edge.HnswIndexConfig(m=0, ef_construct=100, full_scan_threshold=10_000)
    graph = edge.HnswIndexConfig(m=m, ef_construct=128, full_scan_threshold=10_000)
    vectors = {}
    if "dense" in plan.legs:
        scalar = edge.ScalarQuantizationConfig(edge.ScalarType.Int8, quantile=0.99, memory=edge.Memory.Pinned)
        vectors["dense"] = edge.EdgeVectorParams(
            plan.dimension,
            edge.Distance.Cosine,
            hnsw_config=graph,
            quantization_config=scalar if codes else None,
        )
    if "colbert" in plan.legs:
        vectors["colbert"] = edge.EdgeVectorParams(
            plan.dimension,
            edge.Distance.Dot,
            multivector_config=edge.MultiVectorConfig(edge.MultiVectorComparator.MaxSim),
            # A row per token: half precision is 2 KiB a token at 1024 dimensions, scores agree to 1e-3.
            datatype=edge.VectorStorageDatatype.Float16,
            hnsw_config=none,
        )
    sparse = {"sparse": edge.EdgeSparseVectorParams()} if "sparse" in plan.legs else None
    # Without a threshold the library's own would let no graph be made of fewer than some 2,500 vectors.
    optimizers = edge.EdgeOptimizersConfig(
        deleted_threshold=0.05,
        vacuum_min_vector_number=100,
        default_segment_number=1,
        indexing_threshold=indexing_kb if indexing_kb is not None else 1 << 40,
    )
    return edge.EdgeConfig(
        vectors=vectors or None, sparse_vectors=sparse, optimizers=optimizers, wal_enabled=False
    )


class Closed(Exception):
    """The generation was given back between the choice of it and its use."""


class EdgeVectors:
    """A folder with a shard, owned by one process at a time."""

    def __init__(self, folder: Path, plan: VectorPlan) -> None:
        """Open the generation, or make an empty one. Raises `BusyProblem`, `IndexDamage`, `StorageProblem`."""
        self.folder, self.plan = folder, plan
        self._lock = threading.RLock()
        self._owner = files.take(folder / files.OWNER)
        try:
            made = files.read_json(folder / files.GENERATION) or {}
            self.indexed = int(made.get("indexed", 0))
            self.build: Build = made.get("build", "plain")
            stored = files.read_json(folder / files.MARK) or {}
            self._mark = files.read_mark(folder)
            self.dead = int(stored.get("dead", 0))
            self._shard = self._open()
        except BaseException:
            os.close(self._owner)
            raise

    @property
    def legs(self) -> frozenset[Output]:
        """Return what can be searched by."""
        return self.plan.legs

    @property
    def usable(self) -> bool:
        """Say whether every chunk has been in it once."""
        return self._mark is not None and self._mark.sequence >= 0

    def mark(self) -> IndexMark | None:
        """Return the mark of the last update."""
        return self._mark

    def update(self, removed: Iterable[str], added: Sequence[VectorEntry], mark: IndexMark) -> None:
        """Remove and add, flush, then set the mark; cut short anywhere, the mark stays as it was."""
        gone = list(removed)
        points = [self._point(entry) for entry in added]
        with files.held(self.folder), self._using():
            for start in range(0, len(gone), _DOCUMENTS):
                of_documents = _filter(DOCUMENT, edge.MatchAny(gone[start : start + _DOCUMENTS]))
                self.dead += self._shard.count(edge.CountRequest(filter=of_documents, exact=True))
                self._shard.update(edge.UpdateOperation.delete_points_by_filter(of_documents))
            for start in range(0, len(points), _POINTS):
                self._shard.update(edge.UpdateOperation.upsert_points(points[start : start + _POINTS]))
            self._shard.flush()
            files.write_json(self.folder / files.MARK, {"mark": mark.__dict__, "dead": self.dead})
            self._mark = mark

    def clear(self) -> None:
        """Make the index empty and unmarked."""
        with files.held(self.folder), self._using():
            self._mark, self.dead = None, 0
            (self.folder / files.MARK).unlink(missing_ok=True)
            # An empty shard has neither graph nor codes; its folder is not to say so.
            self.indexed, self.build = 0, "plain"
            files.write_json(self.folder / files.GENERATION, self.plan.plain())
            self._shard.close()
            shutil.rmtree(self.folder / files.SHARD)
            self._shard = self._open()

    def size(self) -> int:
        """Return the number of chunks."""
        with self._using():
            return int(self._shard.count(edge.CountRequest(exact=True)))

    def count(self, scope: Scope) -> int:
        """Return the number of chunks inside `scope`."""
        with self._using():
            return int(self._shard.count(edge.CountRequest(filter=scope_filter(scope), exact=True)))

    def chunk_ids(self) -> Iterator[str]:
        """Yield the id of every chunk."""
        offset = None
        while True:
            with self._using():
                records, offset = self._shard.scroll(
                    edge.ScrollRequest(offset=offset, limit=_PAGE, with_payload=[CHUNK], with_vector=False)
                )
            for record in records:
                yield str((record.payload or {}).get(CHUNK, record.id))
            if offset is None:
                return

    def search(self, query: Embedding, leg: Output, limit: int, scope: Scope = EVERYTHING) -> list[Hit]:
        """Return the best chunks inside `scope`: by every vector, by their codes first, or through the graph.

        Beyond some thousand chunks ColBERT puts in order what the query's dense and sparse vectors find.
        """
        if not self.usable:
            raise not_usable()
        require_query(self.plan, query, leg)
        vector = _vector(query, leg)
        if limit < 1 or vector is None:
            return []
        with self._using():
            condition = scope_filter(scope)
            prefetches = self._candidates(query, limit, condition) if leg == "colbert" else None
            found = self._shard.query(
                edge.QueryRequest(
                    limit=limit,
                    query=edge.Query.Nearest(vector, leg),
                    prefetches=prefetches,
                    filter=condition,
                    params=self._params(limit),
                    with_payload=[CHUNK],
                )
            )
        # The engine adds up the rows' best products; the port's score is their mean.
        share = 1.0 / len(vector) if isinstance(vector, list) and leg == "colbert" else 1.0
        hits = [Hit(str((each.payload or {})[CHUNK]), float(each.score) * share) for each in found]
        return sorted(hits, key=lambda hit: (-hit.score, hit.chunk_id))

    def close(self) -> None:
        """Flush, and give the folder back; a second call does nothing."""
        with self._lock:
            if self._owner < 0:
                return
            try:
                with translated(self.folder):
                    self._shard.close()
            finally:
                os.close(self._owner)
                self._owner = -1

    def copy_to(self, target: Path) -> None:
        """Copy shard and mark while nothing changes; searches go on meanwhile."""
        with files.held(self.folder):
            files.copy_tree(self.folder / files.SHARD, target / files.SHARD)
            if self._mark is not None:
                files.write_json(target / files.MARK, {"mark": self._mark.__dict__, "dead": 0})

    def _open(self) -> edge.EdgeShard:
        path = self.folder / files.SHARD
        with translated(self.folder):
            if path.exists() and self._mark is not None:
                return edge.EdgeShard.load(str(path))
            # Without a mark nothing in it is believed: a kill may have left half a shard.
            shutil.rmtree(path, ignore_errors=True)
            path.mkdir(parents=True, mode=0o750)
            shard = edge.EdgeShard.create(str(path), shard_config(self.plan))
            for name, kind in (
                (DOCUMENT, edge.PayloadSchemaType.Keyword),
                (GROUP, edge.PayloadSchemaType.Keyword),
                (DAY, edge.PayloadSchemaType.Integer),
            ):
                shard.update(edge.UpdateOperation.create_field_index(name, kind))
            shard.flush()
            return shard

    def _point(self, entry: VectorEntry) -> edge.Point:
        vectors: dict[str, Any] = {}
        for leg, value in require_entry(self.plan, entry).items():
            if leg == "sparse":
                vectors[leg] = edge.SparseVector(value[0].tolist(), value[1].tolist())
            else:
                vectors[leg] = value.tolist()
        return edge.Point(point_id(entry.chunk_id), vectors, payload_of(entry))

    def _params(self, limit: int) -> edge.SearchParams:
        if not self.indexed:
            return edge.SearchParams(exact=True)
        return edge.SearchParams(
            hnsw_ef=max(_LEAST_EF, 2 * limit),
            quantization=edge.QuantizationSearchParams(rescore=True, oversampling=_OVERSAMPLING),
        )

    def _candidates(
        self, query: Embedding, limit: int, condition: edge.Filter | None
    ) -> list[edge.Prefetch] | None:
        if self._shard.count(edge.CountRequest(exact=False)) <= COLBERT_EXACT:
            return None
        wanted = max(COLBERT_CANDIDATES, 4 * limit)
        others: tuple[Output, ...] = ("dense", "sparse")
        found = [
            edge.Prefetch(
                wanted, edge.Query.Nearest(vector, leg), params=self._params(wanted), filter=condition
            )
            for leg in others
            if leg in self.plan.legs and (vector := _vector(query, leg)) is not None
        ]
        return found or None

    @contextmanager
    def _using(self) -> Iterator[None]:
        with self._lock, translated(self.folder):
            if self._owner < 0:
                raise Closed
            yield


def scope_filter(scope: Scope) -> edge.Filter | None:
    """Return the engine's filter for a scope, None for everything."""
    must: list[Any] = []
    groups, days = groups_of(scope), days_of(scope)
    if groups is not None:
        must.append(edge.FieldCondition(GROUP, match=edge.MatchAny(groups)))
    if days is not None:
        must.append(edge.FieldCondition(DAY, range=edge.RangeFloat(gte=days[0], lte=days[1])))
    return edge.Filter(must=must) if must else None


def _filter(key: str, match: edge.MatchAny) -> edge.Filter:
    return edge.Filter(must=[edge.FieldCondition(key, match=match)])


def _vector(query: Embedding, leg: Output) -> list[Any] | edge.SparseVector | None:
    """Return a query's vector as the engine takes it, None where it has none or an empty one."""
    if leg == "sparse":
        if query.sparse_ids is None or query.sparse_weights is None or not len(query.sparse_ids):
            return None
        return edge.SparseVector(query.sparse_ids.tolist(), query.sparse_weights.tolist())
    vector = query.dense if leg == "dense" else query.colbert
    return None if vector is None or not len(vector) else vector.tolist()


@contextmanager
def translated(folder: Path) -> Iterator[None]:
    """Turn what the library raises (`Exception` itself, and panics, which are none) into our errors."""
    try:
        yield
    except OSError as error:
        raise files.unusable(folder, error) from error
    except BaseException as error:
        if type(error) is not Exception and type(error).__name__ != "PanicException":
            raise
        if any(sign in str(error) for sign in _NO_DAMAGE):
            raise files.unusable(folder, error) from error
        raise files.damaged(folder, str(error)) from error
