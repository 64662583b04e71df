"""Port of reranking: how well each passage answers a question."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Reranker(Protocol):
    """A cross-encoder, or anything that scores pairs. Safe to call from several threads."""

    @property
    def fingerprint(self) -> str:
        """Name weights, precision and settings by digest."""
        ...

    def load(self) -> None:
        """Load weights and tokenizer now. Raises `ModelProblem` where they cannot be used."""
        ...

    def scores(self, question: str, texts: Sequence[str]) -> list[float]:
        """Return a relevance in 0..1 (the logistic of the model's logit) per text, in order. Raises `ModelProblem`."""
        ...

    def close(self) -> None:
        """Give memory and threads back."""
        ...
