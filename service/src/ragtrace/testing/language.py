"""In-memory twin of language models: says what it was told to say, word by word, and remembers what it was asked."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ragtrace.application.ports.language import Finish, Generation, Message, Usage, never
from ragtrace.errors import InvalidRequest, TooLarge
from ragtrace.text import Text

Reply = str | Callable[[Sequence[Message], Generation], str]
# A word with the space behind it: one token, and one piece.
_WORDS = re.compile(r"\s*\S+\s*|\s+")


def echo(messages: Sequence[Message], generation: Generation) -> str:
    """Say the last message again: what a twin replies that was told nothing."""
    return messages[-1].content


@dataclass
class ScriptedLanguageModel:
    """A language model whose tokens are words.

    Args:
        replies: what it says: one after the other, the last for ever; a text, or a function of what it was asked.
        context_tokens: words that prompt and answer may have together; every message costs one word more.
        constrains: obey `Generation.schema`: a reply that is no JSON becomes the least JSON that fits the schema.
        failure: raised after `fails_after` pieces.
        delay_s: seconds before each piece.
        asked: every call of `stream` that got as far as generating.
        stopped: calls that were cancelled, or whose iterator was closed early.
        running: calls that generate now.
    """

    replies: Sequence[Reply] | Reply = echo
    name: str = "scripted"
    context_tokens: int = 4096
    constrains: bool = True
    failure: Exception | None = None
    fails_after: int = 0
    delay_s: float = 0.0
    asked: list[tuple[tuple[Message, ...], Generation]] = field(default_factory=list)
    loads: int = 0
    stopped: int = 0
    running: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def load(self) -> None:
        """Count the call."""
        self.loads += 1

    def close(self) -> None:
        """Give nothing back."""

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """Return the words, and one for each message."""
        return sum(len(_WORDS.findall(message.content)) + 1 for message in messages)

    def stream(
        self, messages: Sequence[Message], generation: Generation, cancelled: Callable[[], bool] = never
    ) -> Iterator[str | Usage]:
        """Yield the words of the next reply. Raises `TooLarge`, `InvalidRequest`, or the failure it was given."""
        prompt = self._checked(messages)
        with self._lock:
            number = len(self.asked)
            self.asked.append((tuple(messages), generation))
            self.running += 1
        done = False
        try:
            yield from self._words(self._reply(number, messages, generation), prompt, generation, cancelled)
            done = True
        finally:
            with self._lock:
                self.running -= 1
                self.stopped += 0 if done and not cancelled() else 1

    def _checked(self, messages: Sequence[Message]) -> int:
        if not messages:
            raise InvalidRequest(Text("메시지가 없습니다.", "There are no messages."))
        prompt = self.count_tokens(messages)
        if prompt >= self.context_tokens:
            raise TooLarge(
                Text(
                    f"프롬프트 {prompt}토큰이 모델의 문맥 {self.context_tokens}토큰에 들어가지 않습니다.",
                    f"The prompt of {prompt} tokens does not fit the model's context of {self.context_tokens}.",
                )
            )
        return prompt

    def _reply(self, number: int, messages: Sequence[Message], generation: Generation) -> str:
        replies = [self.replies] if isinstance(self.replies, str) or callable(self.replies) else self.replies
        reply = replies[min(number, len(replies) - 1)]
        text = reply if isinstance(reply, str) else reply(messages, generation)
        if generation.schema is not None and self.constrains and not _is_json(text):
            text = json.dumps(least(generation.schema), ensure_ascii=False)
        for stop in generation.stop:
            text = text.partition(stop)[0]
        return text

    def _words(
        self, text: str, prompt: int, generation: Generation, cancelled: Callable[[], bool]
    ) -> Iterator[str | Usage]:
        words = _WORDS.findall(text)
        room = min(generation.max_tokens, self.context_tokens - prompt)
        finish: Finish = "stop" if len(words) <= room else "length"
        start, first, made = time.monotonic(), 0.0, 0
        for word in words[:room]:
            if self.failure is not None and made >= self.fails_after:
                raise self.failure
            if self.delay_s:
                time.sleep(self.delay_s)
            if cancelled():
                finish = "cancelled"
                break
            made += 1
            first = first or time.monotonic() - start
            yield word
        if self.failure is not None and finish != "cancelled":
            raise self.failure
        yield Usage(prompt, made, first, time.monotonic() - start, finish)


def least(schema: Mapping[str, Any]) -> Any:  # noqa: ANN401 - JSON
    """Return the least value that fits a plain JSON Schema: what is required, first choices, least lengths."""
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    for key in ("anyOf", "oneOf"):
        if key in schema:
            return least(schema[key][0])
    kind = schema.get("type", "object")
    if isinstance(kind, list):
        kind = kind[0]
    if kind == "object":
        parts = schema.get("properties", {})
        return {name: least(parts.get(name, {})) for name in schema.get("required", [])}
    if kind == "array":
        return [least(schema.get("items", {}))] * int(schema.get("minItems", 0))
    plain: dict[str, Any] = {
        "string": "가" * int(schema.get("minLength", 0)),
        "integer": schema.get("minimum", 0),
        "number": schema.get("minimum", 0),
        "boolean": False,
    }
    return plain.get(str(kind))


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
