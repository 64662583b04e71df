"""Port of answering: passages in, an answer out, piece by piece."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from ragtrace.application.ports.language import never
from ragtrace.domain.answers import Account, AnswerPiece, Passage, Question


class Answerer(Protocol):
    """Answers questions from passages: word for word from them, or through a language model."""

    @property
    def name(self) -> str:
        """Return its name for people."""
        ...

    @property
    def answers_alone(self) -> bool:
        """Say whether it can answer without passages."""
        ...

    def load(self) -> None:
        """Load what it needs now."""
        ...

    def answer(
        self, question: Question, passages: Sequence[Passage], cancelled: Callable[[], bool] = never
    ) -> Iterator[AnswerPiece | Account]:
        """Yield the answer piece by piece, no piece at all when the passages do not support one; last, if anything is
        to be said about it, an account.

        `cancelled` is asked between pieces; then, and when the iterator is closed, all work on it stops.
        """
        ...
