"""Counting tokens and seconds of one generation, and refusing a prompt that does not fit."""

from __future__ import annotations

import time
from collections.abc import Sequence

from ragtrace.application.ports import Finish, Message, Usage
from ragtrace.errors import InvalidRequest, TooLarge
from ragtrace.text import Text


class Meter:
    """Notes when tokens come. Time runs from the moment the caller asked, waiting for a place included."""

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self._first: float | None = None
        self.prompt_tokens = 0
        self.answer_tokens = 0

    def made(self, tokens: int) -> None:
        """Count tokens that were just made."""
        if tokens and self._first is None:
            self._first = time.perf_counter() - self._start
        self.answer_tokens += tokens

    def usage(self, finish: Finish) -> Usage:
        """Return what it has cost until now; without a token, the first one's time is the whole."""
        seconds = time.perf_counter() - self._start
        first = seconds if self._first is None else self._first
        return Usage(self.prompt_tokens, self.answer_tokens, first, seconds, finish)


def require_messages(messages: Sequence[Message]) -> None:
    """Raise `InvalidRequest` where there is nothing to answer."""
    if not messages:
        raise InvalidRequest(Text("메시지가 없습니다.", "There are no messages."))


def room(prompt: int, context: int, wanted: int) -> int:
    """Return how many tokens the answer may have. Raises `TooLarge` where the prompt leaves no room for one."""
    if prompt >= context:
        raise too_long(prompt, context)
    return min(wanted, context - prompt)


def too_long(prompt: int, context: int) -> TooLarge:
    """Return the error of a prompt that does not fit, with its numbers."""
    return TooLarge(
        Text(
            f"프롬프트 {prompt}토큰이 모델의 문맥 {context}토큰에 들어가지 않습니다.",
            f"The prompt of {prompt} tokens does not fit the model's context of {context}.",
        ),
        hint=Text(
            "질문이나 대화를 줄이거나 language.context_tokens를 늘리십시오(모델의 한도까지).",
            "Shorten the question or the conversation, or raise language.context_tokens up to the model's limit.",
        ),
    )
