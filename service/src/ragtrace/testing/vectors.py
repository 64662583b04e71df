"""In-memory twin of the vector index: every score by its formula, nothing approximated."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from ragtrace.application.ports import OUTPUTS, Embedding, Hit, IndexMark, Output, VectorEntry, VectorIndex
from ragtrace.domain.scope import EVERYTHING, Scope
from ragtrace.errors import ModelProblem, NotReady, NotSupported
from ragtrace.text import Text


class MemoryVectors:
    """Vectors in a list."""

    def __init__(self, legs: frozenset[Output] = frozenset(OUTPUTS)) -> None:
        """`legs` are the vectors that are kept."""
        self.legs = legs
        self._entries: dict[str, VectorEntry] = {}
        self._mark: IndexMark | None = None

    @property
    def usable(self) -> bool:
        """Say whether every chunk has been in it once."""
        return self._mark is not None and self._mark.sequence >= 0

    def mark(self) -> IndexMark | None:
        """Return the mark of the last update."""
        return self._mark

    def update(self, removed: Iterable[str], added: Sequence[VectorEntry], mark: IndexMark) -> None:
        """Remove, add and mark at once."""
        gone = set(removed)
        kept = {key: each for key, each in self._entries.items() if each.document_id not in gone}
        self._entries = {**kept, **{each.chunk_id: each for each in added}}
        self._mark = mark

    def clear(self) -> None:
        """Make the index empty and unmarked."""
        self._entries, self._mark = {}, None

    def size(self) -> int:
        """Return the number of chunks."""
        return len(self._entries)

    def count(self, scope: Scope) -> int:
        """Return the number of chunks inside `scope`."""
        return sum(scope.holds(each.date, each.group) for each in self._entries.values())

    def chunk_ids(self) -> Iterator[str]:
        """Yield the id of every chunk."""
        yield from list(self._entries)

    def search(self, query: Embedding, leg: Output, limit: int, scope: Scope = EVERYTHING) -> list[Hit]:
        """Return the best chunks inside `scope`, best first."""
        if not self.usable:
            raise NotReady(Text("벡터 색인을 만드는 중입니다.", "The vector index is being made."))
        if leg not in self.legs or not _has(query, leg):
            raise NotSupported(Text(f"벡터가 없습니다: {leg}", f"There are no vectors of this kind: {leg}"))
        if not _rows(query, leg):
            return []
        found = [
            Hit(each.chunk_id, score)
            for each in self._entries.values()
            if scope.holds(each.date, each.group) and _rows(each.embedding, leg)
            for score in [_score(query, each.embedding, leg)]
            if leg != "sparse" or score > 0
        ]
        return sorted(found, key=lambda hit: (-hit.score, hit.chunk_id))[:limit]

    @property
    def owned(self) -> bool:
        """Say that there is nobody else."""
        return True

    @property
    def wished(self) -> bool:
        """Say that nobody else is there."""
        return False

    def acquire(self, *, insist: bool = False) -> None:
        """Take nothing."""

    def maintain(self, follow: Callable[[VectorIndex], object]) -> None:
        """Make nothing beside it."""

    def discard(self) -> None:
        """Begin empty."""
        self.clear()

    def close(self) -> None:
        """Give nothing back."""


def _has(embedding: Embedding, leg: Output) -> bool:
    return (embedding.sparse_ids if leg == "sparse" else getattr(embedding, leg)) is not None


def _rows(embedding: Embedding, leg: Output) -> int:
    """Return how much a text has of a kind of vector; texts of special tokens only have a dense one alone."""
    vector = embedding.sparse_ids if leg == "sparse" else getattr(embedding, leg)
    return 0 if vector is None else len(vector)


def _score(query: Embedding, other: Embedding, leg: Output) -> float:
    if leg == "sparse":
        assert query.sparse_ids is not None and query.sparse_weights is not None
        assert other.sparse_ids is not None and other.sparse_weights is not None
        _, mine, theirs = np.intersect1d(query.sparse_ids, other.sparse_ids, return_indices=True)
        return float(query.sparse_weights[mine] @ other.sparse_weights[theirs])
    left, right = getattr(query, leg), getattr(other, leg)
    if left.shape[-1] != right.shape[-1]:
        raise ModelProblem(
            Text("질문의 벡터 길이가 색인과 다릅니다.", "The query's vectors have another length.")
        )
    if leg == "dense":
        return float(left @ right / (np.linalg.norm(left) * np.linalg.norm(right)))
    return float((left @ right.T).max(axis=1).mean())
