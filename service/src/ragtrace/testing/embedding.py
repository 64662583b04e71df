"""In-memory twins of the embedding ports: vectors made of hashed words, equal in every process and run."""

from __future__ import annotations

import hashlib
import threading
import unicodedata
from collections import OrderedDict
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from ragtrace.application.ports.embedding import OUTPUTS, Embedding, Output
from ragtrace.errors import ModelProblem
from ragtrace.text import Text

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Ids below it are the special tokens of a real vocabulary; the rest is the twin's hash space.
_SPECIAL = 4
_VOCABULARY = 250_002


class HashEmbedding:
    """Bags of hashed words: texts that share words are near, and a word is near to itself with a particle.

    `texts` counts what was embedded; a text that holds `poison` makes it fail as a model does whose numbers are NaN.
    """

    def __init__(
        self,
        dimension: int = 64,
        outputs: frozenset[Output] = frozenset(OUTPUTS),
        max_tokens: int = 512,
        name: str = "hash",
        poison: str = "",
    ) -> None:
        self.dimension = dimension
        self.outputs = outputs
        self.max_tokens = max_tokens
        self.fingerprint = f"{name}-{dimension}-{max_tokens}"
        self.texts = 0
        self.loaded = False
        self._poison = poison
        self._lock = threading.Lock()

    def load(self) -> None:
        """Load nothing."""
        self.loaded = True

    def embed(self, texts: Sequence[str], outputs: frozenset[Output]) -> list[Embedding]:
        """Return one embedding per text, in order."""
        lacking = outputs - self.outputs
        if lacking:
            names = ", ".join(sorted(lacking))
            raise ModelProblem(Text(f"모델에 없는 출력: {names}", f"The model has no {names}."))
        with self._lock:
            self.texts += len(texts)
        return [self._one(text, outputs) for text in texts]

    def close(self) -> None:
        """Give nothing back."""
        self.loaded = False

    def _one(self, text: str, outputs: frozenset[Output]) -> Embedding:
        if self._poison and self._poison in text:
            raise ModelProblem(Text("임베딩이 NaN입니다.", "An embedding is NaN."))
        words = unicodedata.normalize("NFC", text).lower().split()
        room = self.max_tokens - 2
        kept = words[:room]
        # Like a real model's: a first token for the whole, one for each word, a last one.
        rows = [_word(word, self.dimension) for word in kept]
        end = _word("</s>", self.dimension)
        ids = {_SPECIAL + _number(word) % (_VOCABULARY - _SPECIAL) for word in kept}
        sparse = "sparse" in outputs
        return Embedding(
            dense=_unit(np.sum([*rows, 0.05 * end], axis=0)) if "dense" in outputs else None,
            sparse_ids=np.array(sorted(ids), np.int32) if sparse else None,
            sparse_weights=_weights(sorted(ids)) if sparse else None,
            colbert=np.stack([*rows, end]) if "colbert" in outputs else None,
            tokens=len(kept) + 2,
            cut=len(words) > room,
        )


class MemoryEmbeddingCache:
    """Embeddings in a dictionary; the oldest go first."""

    def __init__(self, entries: int = 10_000) -> None:
        self._most = entries
        self._kept: OrderedDict[tuple[str, str], Embedding] = OrderedDict()
        self._lock = threading.Lock()

    def get(
        self, fingerprint: str, texts: Sequence[str], outputs: frozenset[Output]
    ) -> list[Embedding | None]:
        """Return what is known with at least these outputs."""
        with self._lock:
            found = [self._kept.get((fingerprint, text)) for text in texts]
        return [each if each is not None and outputs <= _has(each) else None for each in found]

    def put(self, fingerprint: str, texts: Sequence[str], embeddings: Sequence[Embedding]) -> None:
        """Keep embeddings."""
        with self._lock:
            for text, embedding in zip(texts, embeddings, strict=True):
                self._kept.pop((fingerprint, text), None)
                self._kept[fingerprint, text] = embedding
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)


def _has(embedding: Embedding) -> set[Output]:
    held: dict[Output, object] = {
        "dense": embedding.dense,
        "sparse": embedding.sparse_ids,
        "colbert": embedding.colbert,
    }
    return {name for name, value in held.items() if value is not None}


@lru_cache(maxsize=4096)
def _word(word: str, dimension: int) -> NDArray[np.float32]:
    """Return a word's unit vector: its own direction and, so that 서버를 is near 서버, those of its first letters."""
    whole = _direction(word, dimension)
    stem = _direction(f"{word[:2]}…", dimension)
    return _unit(whole + stem)


def _direction(name: str, dimension: int) -> NDArray[np.float32]:
    drawn = np.random.default_rng(_number(name)).standard_normal(dimension)
    return _unit(drawn.astype(np.float32))


def _unit(vector: NDArray[np.float32]) -> NDArray[np.float32]:
    found: NDArray[np.float32] = (vector / np.linalg.norm(vector)).astype(np.float32)
    return found


def _weights(ids: Sequence[int]) -> NDArray[np.float32]:
    """Return one weight per id in 0.1 to 0.4: a term weighs the same in every text."""
    return np.array([0.1 + 0.3 * (each * 2654435761 % 1009) / 1009 for each in ids], np.float32)


def _number(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest())
