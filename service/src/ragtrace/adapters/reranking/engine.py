"""What computes a cross-encoder's scores: padded pairs in, one logit for each out."""

from __future__ import annotations

from typing import Protocol

from ragtrace.adapters.embedding.engine import Floats, Ids


class Engine(Protocol):
    """Runs one cross-encoder. `logits` may be called from several threads."""

    @property
    def name(self) -> str:
        """Return what it is, for the fingerprint: runtime and precision, such as ``onnx-int8``."""
        ...

    def digest(self) -> str:
        """Return the SHA-256 of all that decides its numbers."""
        ...

    def load(self) -> None:
        """Load the weights. Raises `ModelProblem`."""
        ...

    def logits(self, ids: Ids, mask: Ids) -> Floats:
        """Return the logits (pairs,) of a batch of shape (pairs, tokens). Raises `ModelProblem`."""
        ...

    def close(self) -> None:
        """Give everything back."""
        ...
