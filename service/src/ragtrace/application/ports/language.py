"""Port of language models: messages in, text out as it is made, with what it cost."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from ragtrace.domain.answers import Finish as Finish
from ragtrace.domain.answers import Usage as Usage

Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True)
class Message:
    """One turn of a conversation."""

    role: Role
    content: str


@dataclass(frozen=True)
class Generation:
    """How to generate. `temperature` 0 is greedy; `schema` (JSON Schema) constrains the text to JSON that fits it."""

    max_tokens: int = 2048
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None
    stop: tuple[str, ...] = ()
    schema: Mapping[str, Any] | None = field(default=None, hash=False)


def never() -> bool:
    """Say that nobody cancelled."""
    return False


class LanguageModel(Protocol):
    """Generates text. Several threads may stream at once; where the engine cannot, they wait for each other."""

    @property
    def name(self) -> str:
        """Return its name for people."""
        ...

    @property
    def context_tokens(self) -> int:
        """Return how many tokens prompt and answer may have together."""
        ...

    @property
    def constrains(self) -> bool:
        """Say whether `Generation.schema` is obeyed; else it is ignored and the text may be anything."""
        ...

    def load(self) -> None:
        """Load it now. Raises `ModelProblem` where it cannot be used."""
        ...

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """Return the tokens that the messages take as a prompt, template included; an upper bound where unknown."""
        ...

    def stream(
        self, messages: Sequence[Message], generation: Generation, cancelled: Callable[[], bool] = never
    ) -> Iterator[str | Usage]:
        """Yield pieces of text as they are made, and one `Usage` last.

        `cancelled` is asked between pieces; then, and when the iterator is closed, the engine stops working on it.
        Raises `ModelProblem` (the engine failed), `TooLarge` (the prompt does not fit the context), `Overloaded` (a
        server pushes back), `UpstreamProblem` (a server cannot be reached, or answered nonsense).
        """
        ...

    def close(self) -> None:
        """Give memory and threads back."""
        ...
