"""An embedding model with a memory: what was embedded before is not computed again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ragtrace.application.ports.embedding import Embedding, EmbeddingCache, EmbeddingModel, Output


@dataclass
class CachedEmbedding:
    """A model behind a cache; to its callers it is the model."""

    model: EmbeddingModel
    cache: EmbeddingCache

    @property
    def fingerprint(self) -> str:
        """Return the model's."""
        return self.model.fingerprint

    @property
    def dimension(self) -> int:
        """Return the model's."""
        return self.model.dimension

    @property
    def outputs(self) -> frozenset[Output]:
        """Return the model's."""
        return self.model.outputs

    @property
    def max_tokens(self) -> int:
        """Return the model's."""
        return self.model.max_tokens

    def load(self) -> None:
        """Load the model."""
        self.model.load()

    def embed(self, texts: Sequence[str], outputs: frozenset[Output]) -> list[Embedding]:
        """Return one embedding per text; a text that stands there twice is computed once."""
        # What the model cannot give is its error to raise, also for texts that are remembered with less.
        if not texts or outputs - self.outputs:
            return self.model.embed(texts, outputs)
        known = self.cache.get(self.fingerprint, texts, outputs)
        found = {text: each for text, each in zip(texts, known, strict=True) if each is not None}
        new = [text for text in dict.fromkeys(texts) if text not in found]
        if new:
            made = self.model.embed(new, outputs)
            self.cache.put(self.fingerprint, new, made)
            found.update(zip(new, made, strict=True))
        return [found[text] for text in texts]

    def close(self) -> None:
        """Close the model."""
        self.model.close()
