"""Question and passage as one row of token ids, by the model's own ``tokenizer.json``."""

from __future__ import annotations

from collections.abc import Sequence

from ragtrace.adapters.embedding.tokenizing import Tokenizing

# Pairs for which the one tokenizer is held at a time.
_SLICE = 32


class Pairs(Tokenizing):
    """Tokenises pairs; where one is too long, the end of its longer side goes, which is the passage's nearly always."""

    def encode(self, question: str, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of each pair, special tokens included. Raises `ModelProblem`."""
        asked = self._clean(question)
        found: list[list[int]] = []
        for start in range(0, len(texts), _SLICE):
            wanted = [(asked, self._clean(text)) for text in texts[start : start + _SLICE]]
            with self._borrowed() as tokenizer:
                found += [each.ids for each in tokenizer.encode_batch(wanted)]
        return found
