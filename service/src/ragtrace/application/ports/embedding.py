"""Ports of embedding: a model gives dense, sparse and ColBERT vectors in one pass; a cache keeps them.

Shapes and meanings are those of BGE-M3 (Chen et al. 2024, "M3-Embedding"): dense is the normalised first token, sparse
one weight >= 0 per token id of the text (special tokens left out, the largest where an id repeats), ColBERT one
normalised row per token but the first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Output = Literal["dense", "sparse", "colbert"]
OUTPUTS: tuple[Output, ...] = ("dense", "sparse", "colbert")


@dataclass(frozen=True, eq=False)
class Embedding:
    """What a model makes of one text; outputs that were not asked for, or that the model has not, are None.

    Args:
        dense: float32 of shape (dimension,), length 1.
        sparse_ids: int32 of shape (terms,), ascending token ids.
        sparse_weights: float32 of shape (terms,), all > 0; empty where nothing but special tokens stands.
        colbert: float32 of shape (tokens - 1, dimension), rows of length 1.
        tokens: how many tokens of the text were read, special ones included.
        cut: whether the text was longer than the model reads.
    """

    dense: NDArray[np.float32] | None
    sparse_ids: NDArray[np.int32] | None
    sparse_weights: NDArray[np.float32] | None
    colbert: NDArray[np.float32] | None
    tokens: int
    cut: bool = False


class EmbeddingModel(Protocol):
    """Turns texts into vectors. Safe to call from several threads."""

    @property
    def fingerprint(self) -> str:
        """Name weights, precision and settings by digest; vectors made under another name are made anew."""
        ...

    @property
    def dimension(self) -> int:
        """Return the length of a dense vector and of a ColBERT row."""
        ...

    @property
    def outputs(self) -> frozenset[Output]:
        """Return what the model can give."""
        ...

    @property
    def max_tokens(self) -> int:
        """Return how many tokens of a text are read."""
        ...

    def load(self) -> None:
        """Load weights and tokenizer now. Raises `ModelProblem` where they are missing, damaged or of another kind."""
        ...

    def embed(self, texts: Sequence[str], outputs: frozenset[Output]) -> list[Embedding]:
        """Return one embedding per text, in order; every output asked for must be one of `outputs`.

        Raises `ModelProblem` where a vector is NaN, zero or constant: never a wrong vector.
        """
        ...

    def close(self) -> None:
        """Give memory and threads back."""
        ...


class EmbeddingCache(Protocol):
    """Remembers embeddings by model fingerprint and text; the oldest go first when it is full."""

    def get(
        self, fingerprint: str, texts: Sequence[str], outputs: frozenset[Output]
    ) -> list[Embedding | None]:
        """Return what is known with at least these outputs, None for the rest, in order."""
        ...

    def put(self, fingerprint: str, texts: Sequence[str], embeddings: Sequence[Embedding]) -> None:
        """Keep embeddings."""
        ...
