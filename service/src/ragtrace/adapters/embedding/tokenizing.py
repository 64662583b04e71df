"""Texts to token ids by the model's own ``tokenizer.json``."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ragtrace.errors import ModelProblem
from ragtrace.text import Text

if TYPE_CHECKING:
    from tokenizers import Tokenizer

# Texts that are tokenised before another thread may come in: some milliseconds.
_SLICE = 32


@dataclass(frozen=True)
class Tokens:
    """The ids of one text, special ones included; `cut` says that the text was longer."""

    ids: list[int]
    cut: bool


class Tokenizing:
    """One tokenizer, used by one thread at a time: they are not made to be shared ("Already borrowed").

    A copy for each thread would take seconds to make and, with a vocabulary of 250,000, more than 100 MB; a slice of
    texts is tokenised in a hundredth of the time that the model then needs for it.

    Args:
        path: ``tokenizer.json``.
        max_tokens: longer texts lose their end, special tokens are kept.
        vocabulary: how many ids the model knows.
        lower: whether the model was trained on lower-cased text.
    """

    def __init__(self, path: Path, max_tokens: int, vocabulary: int, *, lower: bool = False) -> None:
        self._path = path
        self._max_tokens = max_tokens
        self._vocabulary = vocabulary
        self._lower = lower
        self._tokenizer: Tokenizer | None = None
        self._lock = threading.Lock()
        self.special: frozenset[int] = frozenset()

    def load(self) -> Tokenizer:
        """Read the file once. Raises `ModelProblem` where it is damaged or does not belong to the model."""
        with self._lock:
            if self._tokenizer is not None:
                return self._tokenizer
            from tokenizers import Tokenizer

            try:
                first = Tokenizer.from_file(str(self._path))
                first.no_padding()
                first.enable_truncation(self._max_tokens)
                empty = first.encode("").ids
            except Exception as error:
                raise self._unusable(f"{type(error).__name__}: {error}") from error
            size = first.get_vocab_size(with_added_tokens=True)
            if size > self._vocabulary:
                raise self._unusable(f"{size} > {self._vocabulary} (vocab_size)")
            if not empty:
                raise self._unusable("no special tokens are added")
            added = first.get_added_tokens_decoder()
            self.special = frozenset(key for key, token in added.items() if token.special)
            self._tokenizer = first
            return first

    def tokenise(self, texts: Sequence[str]) -> list[Tokens]:
        """Return the tokens of each text, in order."""
        found: list[Tokens] = []
        for start in range(0, len(texts), _SLICE):
            wanted = [self._clean(text) for text in texts[start : start + _SLICE]]
            with self._borrowed() as tokenizer:
                encodings = tokenizer.encode_batch(wanted)
            found += [Tokens(each.ids, bool(each.overflowing)) for each in encodings]
        return found

    @contextmanager
    def _borrowed(self) -> Iterator[Tokenizer]:
        """Hold the tokenizer; for a slice of texts, not for all."""
        tokenizer = self.load()
        with self._lock:
            yield tokenizer

    def _clean(self, text: str) -> str:
        """Replace lone surrogates, which JSON can bring and no tokenizer takes."""
        whole = text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
        return whole.lower() if self._lower else whole

    def _unusable(self, why: str) -> ModelProblem:
        return ModelProblem(
            Text(
                "토크나이저를 쓸 수 없거나 모델의 것이 아닙니다.",
                "The tokenizer cannot be used, or is not the model's.",
            ),
            where=f"{self._path}: {why[:300]}",
            hint=Text("모델 폴더를 다시 옮겨 오십시오.", "Carry the model's folder in again."),
        )
