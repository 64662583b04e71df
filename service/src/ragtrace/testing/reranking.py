"""In-memory twin of the reranker: words that question and text share, through the logistic function."""

from __future__ import annotations

import math
import threading
import unicodedata
from collections.abc import Sequence

from ragtrace.errors import ModelProblem
from ragtrace.text import Text


class OverlapReranker:
    """The more of the question's words a text has, and the less besides, the better it answers.

    `pairs` counts what was scored; a text that holds `poison` makes it fail as a model does whose numbers are NaN.
    """

    fingerprint = "overlap-1"

    def __init__(self, poison: str = "") -> None:
        self.pairs = 0
        self._poison = poison
        self._lock = threading.Lock()

    def load(self) -> None:
        """Load nothing."""

    def scores(self, question: str, texts: Sequence[str]) -> list[float]:
        """Return a relevance in 0..1 per text, in order."""
        with self._lock:
            self.pairs += len(texts)
        if self._poison and any(self._poison in text for text in texts):
            raise ModelProblem(Text("점수가 NaN입니다.", "A score is NaN."))
        wanted = _words(question)
        return [_relevance(wanted, _words(text)) for text in texts]

    def close(self) -> None:
        """Give nothing back."""


def _words(text: str) -> frozenset[str]:
    return frozenset(unicodedata.normalize("NFC", text).lower().split())


def _relevance(wanted: frozenset[str], had: frozenset[str]) -> float:
    shared = len(wanted & had) / max(1, len(wanted))
    logit = 8.0 * shared - 4.0 - 0.01 * len(had)
    return 1 / (1 + math.exp(-logit))
