"""Port of the vector index: dense, sparse and ColBERT vectors of chunks, found inside a scope."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from ragtrace.application.ports.embedding import Embedding, Output
from ragtrace.application.ports.lexical import Hit, IndexMark
from ragtrace.domain.scope import EVERYTHING, Scope


@dataclass(frozen=True, eq=False)
class VectorEntry:
    """A chunk as the vector index takes it; `date` is an ISO day or "", `group` a group or "".

    An embedding without any vector belongs to a chunk that no model could embed: it is kept, and found by none.
    """

    document_id: str
    chunk_id: str
    embedding: Embedding
    date: str = ""
    group: str = ""


class VectorIndex(Protocol):
    """Vectors on disk or on a server. `IndexMark.analyzer` names what made them: model, outputs kept, text embedded.

    A kill between `update` and the next start leaves the state before or after it, or one that `mark` shows to be behind.
    The mark's `sequence` is the last change of the records that is shown completely, -1 until the first is; `toward` and
    `through` are how far the next one has come (see `application/following.py`).
    """

    @property
    def legs(self) -> frozenset[Output]:
        """Return what can be searched by."""
        ...

    @property
    def usable(self) -> bool:
        """Say whether every chunk has been in it once: what is searched earlier would favour what came first."""
        ...

    def mark(self) -> IndexMark | None:
        """Return the mark of the last update; None when there is none."""
        ...

    def update(self, removed: Iterable[str], added: Sequence[VectorEntry], mark: IndexMark) -> None:
        """Remove the chunks of documents, add chunks, and only when both are safe on disk set the mark."""
        ...

    def clear(self) -> None:
        """Make the index empty and unmarked."""
        ...

    def size(self) -> int:
        """Return the number of chunks."""
        ...

    def count(self, scope: Scope) -> int:
        """Return the number of chunks inside `scope`."""
        ...

    def chunk_ids(self) -> Iterator[str]:
        """Yield the id of every chunk, in no order."""
        ...

    def search(self, query: Embedding, leg: Output, limit: int, scope: Scope = EVERYTHING) -> list[Hit]:
        """Return the best chunks inside `scope` by one of the query's vectors, best first.

        Scores: dense the cosine, sparse the inner product, colbert the mean over the query's rows of the largest
        inner product (late interaction, as FlagEmbedding's `colbert_score` has it).

        Raises `NotReady` while it is not `usable`, `NotSupported` for a leg that index or query do not have,
        `ModelProblem` for a query of another dimension.
        """
        ...

    def close(self) -> None:
        """Flush, and give the folder or the connection back."""
        ...


class OwnedVectors(VectorIndex, Protocol):
    """A vector index that one process at a time changes, and that may have to be made anew beside itself."""

    @property
    def owned(self) -> bool:
        """Say whether this process may change it."""
        ...

    @property
    def wished(self) -> bool:
        """Say whether somebody insists on it: whoever only passes by should give it up then."""
        ...

    def acquire(self, *, insist: bool = False) -> None:
        """Become its owner until `close`. Raises `BusyProblem` where another process is, and with `insist` asks for it."""
        ...

    def maintain(self, follow: Callable[[VectorIndex], object]) -> None:
        """Do the next step of what is made beside it, if anything; called again and again while it is in step.

        `follow` brings an index in step with the records. Raises `StorageProblem`; the index is searched as before then.
        """
        ...

    def discard(self) -> None:
        """Give up everything that is kept, for any model, and begin empty. Raises `BusyProblem`."""
        ...
