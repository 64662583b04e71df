"""Texts to token ids by the model's own ``tokenizer.json``."""

from __future__ import annotations

import queue
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

# More threads than this wait for each other: a copy of a large vocabulary takes some hundred megabytes.
_COPIES = 3


@dataclass(frozen=True)
class Tokens:
    """The ids of one text, special ones included; `cut` says that the text was longer."""

    ids: list[int]
    cut: bool


class Tokenizing:
    """One tokenizer for each thread that needs one at a time: they are not made to be shared ("Already borrowed").

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
        self._idle: queue.LifoQueue[Tokenizer] = queue.LifoQueue()
        self._lock = threading.Lock()
        self._made = 0
        self._text = ""
        self.special: frozenset[int] = frozenset()

    def load(self) -> None:
        """Read the file. Raises `ModelProblem` where it is damaged or does not belong to the model."""
        with self._lock:
            if self._made:
                return
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
            self._text = first.to_str()
            self._made = 1
            self._idle.put(first)

    def tokenise(self, texts: Sequence[str]) -> list[Tokens]:
        """Return the tokens of each text, in order."""
        self.load()
        wanted = [self._clean(text) for text in texts]
        with self._borrowed() as tokenizer:
            found = tokenizer.encode_batch(wanted)
        return [Tokens(each.ids, bool(each.overflowing)) for each in found]

    def _clean(self, text: str) -> str:
        """Replace lone surrogates, which JSON can bring and no tokenizer takes."""
        whole = text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
        return whole.lower() if self._lower else whole

    @contextmanager
    def _borrowed(self) -> Iterator[Tokenizer]:
        tokenizer = self._take()
        try:
            yield tokenizer
        finally:
            self._idle.put(tokenizer)

    def _take(self) -> Tokenizer:
        try:
            return self._idle.get_nowait()
        except queue.Empty:
            with self._lock:
                another = self._made < _COPIES
                self._made += another
            if not another:
                return self._idle.get()
            from tokenizers import Tokenizer

            # From memory: the file may have been exchanged since.
            return Tokenizer.from_str(self._text)

    def _unusable(self, why: str) -> ModelProblem:
        return ModelProblem(
            Text(
                "토크나이저를 쓸 수 없거나 모델의 것이 아닙니다.",
                "The tokenizer cannot be used, or is not the model's.",
            ),
            where=f"{self._path}: {why[:300]}",
            hint=Text("모델 폴더를 다시 옮겨 오십시오.", "Carry the model's folder in again."),
        )
