"""Analyzer without a model: words between white space and punctuation."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

_WORD = re.compile(r"\w+", re.UNICODE)


class WhitespaceAnalyzer:
    """Lower-cased words. Korean particles stay on their nouns, so recall is lower than with morphemes."""

    fingerprint = "whitespace-1"

    def load(self) -> None:
        """Load nothing."""

    def analyze(self, texts: Sequence[str]) -> list[tuple[str, ...]]:
        """Return the words of each text."""
        return [tuple(_WORD.findall(unicodedata.normalize("NFKC", text).lower())) for text in texts]

    def question_terms(self, text: str) -> tuple[str, ...]:
        """Return the words of a question."""
        return self.analyze([text])[0]
