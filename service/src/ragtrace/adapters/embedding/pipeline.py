"""The embedding model: tokenise, put like lengths together, compute, check, and give the order back."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from ragtrace.adapters.embedding import selftest
from ragtrace.adapters.embedding.assembling import assemble
from ragtrace.adapters.embedding.batches import plan
from ragtrace.adapters.embedding.engine import Engine, padded
from ragtrace.adapters.embedding.folder import ModelFolder
from ragtrace.adapters.embedding.tokenizing import Tokenizing
from ragtrace.application.ports.embedding import Embedding, Output
from ragtrace.errors import ModelProblem
from ragtrace.text import Text


class FolderModel:
    """One model folder on one engine; loaded by `load` or by the first use, and proved before it is used.

    Args:
        max_tokens: longer texts are cut; never more than the model reads.
        batch_texts: most texts in one pass.
        batch_tokens: most tokens in one pass, padding included; fewer where the engine gains nothing from more.
    """

    def __init__(
        self, folder: ModelFolder, engine: Engine, max_tokens: int, batch_texts: int, batch_tokens: int
    ) -> None:
        self._folder = folder
        self._engine = engine
        self._batch = (batch_texts, batch_tokens)
        self.max_tokens = min(max_tokens, folder.max_tokens)
        self._tokenizing = Tokenizing(
            folder.tokenizer, self.max_tokens, folder.vocabulary, lower=folder.lower
        )
        self._lock = threading.Lock()
        self._digest_lock = threading.Lock()
        self._digest = ""
        self._loaded = False

    @property
    def fingerprint(self) -> str:
        """Name family, engine, precision, length and the files by digest."""
        with self._digest_lock:
            if not self._digest:
                self._digest = self._engine.digest()
        return f"{self._folder.family}-{self._engine.name}-t{self.max_tokens}-{self._digest[:16]}"

    @property
    def dimension(self) -> int:
        """Return the length of a dense vector."""
        return self._folder.dimension

    @property
    def outputs(self) -> frozenset[Output]:
        """Return what the model can give."""
        return self._folder.outputs

    def load(self) -> None:
        """Load and prove the model, and read its digest meanwhile. Raises `ModelProblem`."""
        with self._lock:
            if self._loaded:
                return
            # Hashing two gigabytes takes as long as loading them; what fails there fails again, and is told, when asked.
            hashing = threading.Thread(target=self._hash_quietly, name="ragtrace-digest", daemon=True)
            hashing.start()
            try:
                self._tokenizing.load()
                self._engine.load()
                selftest.prove(self._folder, self._engine, self._tokenizing)
            except BaseException:
                self._engine.close()
                raise
            finally:
                hashing.join()
            self._loaded = True

    def embed(self, texts: Sequence[str], outputs: frozenset[Output]) -> list[Embedding]:
        """Return one embedding per text, in order."""
        lacking = outputs - self.outputs
        if lacking:
            names = ", ".join(sorted(lacking))
            raise ModelProblem(
                Text(f"이 모델에는 {names} 출력이 없습니다.", f"This model gives no {names} vectors."),
                where=str(self._folder.path),
                hint=Text(
                    "그 검색 다리의 가중치를 0으로 하거나 BGE-M3를 쓰십시오.",
                    "Set the weight of that leg to 0, or use BGE-M3.",
                ),
            )
        if not texts:
            return []
        self.load()
        tokens = self._tokenizing.tokenise(texts)
        most_texts, most_tokens = self._batch[0], min(self._batch[1], self._engine.enough_tokens)
        found: dict[int, Embedding] = {}
        for places in plan([len(each.ids) for each in tokens], most_texts, most_tokens):
            batch = [tokens[place] for place in places]
            ids, mask = padded([each.ids for each in batch], self._folder.pad)
            raw = self._engine.run(ids, mask, outputs)
            found.update(zip(places, assemble(raw, batch, self._tokenizing.special, outputs), strict=True))
        return [found[place] for place in range(len(texts))]

    def close(self) -> None:
        """Give memory and threads back; the next use loads again."""
        with self._lock:
            self._loaded = False
            self._engine.close()

    def _hash_quietly(self) -> None:
        try:
            _ = self.fingerprint
        except ModelProblem:
            return
