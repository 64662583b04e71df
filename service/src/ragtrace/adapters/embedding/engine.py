"""What computes: padded token ids in, raw numbers out. One implementation for each runtime and family."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ragtrace.application.ports.embedding import Output

Ids = NDArray[np.int64]
Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Raw:
    """The outputs of one batch; what was not asked for may be None.

    Args:
        dense: (texts, dimension), length 1.
        sparse: (texts, tokens), a weight >= 0 for every token.
        colbert: (texts, tokens - 1, dimension), rows of length 1; those of padding mean nothing.
    """

    dense: Floats | None = None
    sparse: Floats | None = None
    colbert: Floats | None = None


class Engine(Protocol):
    """Runs one model. `run` may be called from several threads."""

    @property
    def name(self) -> str:
        """Return what it is, for the fingerprint: runtime and precision, such as ``onnx-int8``."""
        ...

    @property
    def least_cosine(self) -> float:
        """Return how near its vectors must come to golden ones."""
        ...

    @property
    def enough_tokens(self) -> int:
        """Return the tokens of a batch from which on a larger one is no faster, only more padded."""
        ...

    def digest(self) -> str:
        """Return the SHA-256 of all that decides its numbers."""
        ...

    def load(self) -> None:
        """Load the weights. Raises `ModelProblem`."""
        ...

    def run(self, ids: Ids, mask: Ids, outputs: frozenset[Output]) -> Raw:
        """Return the raw outputs of a batch of shape (texts, tokens). Raises `ModelProblem`."""
        ...

    def close(self) -> None:
        """Give everything back."""
        ...


# Cosine to golden vectors by precision.
LEAST_COSINE = {"fp32": 0.9999, "fp16": 0.999, "bf16": 0.99, "int8": 0.99}


def padded(rows: Sequence[Sequence[int]], pad: int) -> tuple[Ids, Ids]:
    """Return token ids filled up on the right, and the mask that says which are real."""
    longest = max(len(row) for row in rows)
    ids = np.full((len(rows), longest), pad, np.int64)
    mask = np.zeros((len(rows), longest), np.int64)
    for place, row in enumerate(rows):
        ids[place, : len(row)] = row
        mask[place, : len(row)] = 1
    return ids, mask


def pooled(hidden: Floats, mask: Ids, pooling: str) -> Floats:
    """Return one vector of length 1 per text: of the first token, or of the mean over real tokens."""
    if pooling == "cls":
        vectors = hidden[:, 0]
    else:
        weights = mask[..., None].astype(np.float32)
        vectors = (hidden * weights).sum(axis=1) / weights.sum(axis=1)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    found: Floats = (vectors / np.maximum(lengths, 1e-12)).astype(np.float32)
    return found
