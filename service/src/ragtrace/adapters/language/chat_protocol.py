"""The OpenAI-compatible chat protocol as data: what is asked, and what the events of an answer mean. Opens nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ragtrace.application.ports import Finish, Generation, Message
from ragtrace.errors import ModelProblem, Overloaded, RagTraceError, TooLarge, UpstreamProblem
from ragtrace.text import Text

# One event is one token; a line this long is no event of a chat.
LINE_CHARS = 1 << 20
# How much of an error's text is shown.
SHOWN_CHARS = 300
_FINISHES: dict[str, Finish] = {"stop": "stop", "length": "length", "eos": "stop", "end_turn": "stop"}
_NUMBER = re.compile(r"\d{2,9}")
_TOO_LONG = re.compile(
    r"exceed_context|context_length_exceeded|maximum context length|context size|context window|too many tokens"
    r"|max_model_len|longer than the (?:maximum )?model",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Event:
    """One event: text, whether a token came, why it ended, the tokens that it all took where they are said, the end."""

    text: str = ""
    token: bool = False
    finish: Finish | None = None
    prompt_tokens: int | None = None
    answer_tokens: int | None = None
    done: bool = False


def request_body(
    model: str, messages: Sequence[Message], generation: Generation, tokens: int, *, constrains: bool
) -> dict[str, Any]:
    """Return the body of a streamed chat request for at most `tokens` tokens."""
    body: dict[str, Any] = {
        "model": model,
        "messages": [{"role": each.role, "content": each.content} for each in messages],
        "max_tokens": tokens,
        "temperature": generation.temperature,
        "top_p": generation.top_p,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if generation.seed is not None:
        body["seed"] = generation.seed
    if generation.stop:
        body["stop"] = list(generation.stop)
    if generation.schema is not None and constrains:
        schema = {"name": "answer", "schema": dict(generation.schema), "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    return body


def read_event(line: str, where: str) -> Event | None:
    """Return what one line of the stream says: None for what says nothing.

    Raises `UpstreamProblem` for what is no event, and what `refusal` makes of an error inside the stream.
    """
    if not line.startswith("data:"):
        # Comments keep a connection alive; blank lines part events; other fields are not used by anybody.
        if not line or line.startswith((":", "event:", "id:", "retry:")):
            return None
        raise nonsense(where, line)
    text = line[5:].strip()
    if text == "[DONE]":
        return Event(done=True)
    try:
        body = json.loads(text)
    except ValueError as error:
        raise nonsense(where, text) from error
    if not isinstance(body, dict):
        raise nonsense(where, text)
    if body.get("error"):
        raise refusal(_status(body["error"]), json.dumps(body, ensure_ascii=False), where)
    return _event(body, where, text)


def _event(body: Mapping[str, Any], where: str, text: str) -> Event:
    choices = body.get("choices")
    usage = body.get("usage") or {}
    if not isinstance(choices, list) or not isinstance(usage, dict):
        raise nonsense(where, text)
    choice = choices[0] if choices else {}
    delta = choice.get("delta") if isinstance(choice, dict) else None
    if choices and not isinstance(delta, dict | None):
        raise nonsense(where, text)
    delta = delta or {}
    content = delta.get("content") or ""
    # Thoughts that a server keeps apart are not the answer, but they are tokens, and they take time.
    thought = delta.get("reasoning_content") or delta.get("reasoning") or ""
    if not isinstance(content, str):
        raise nonsense(where, text)
    reason = choice.get("finish_reason") if isinstance(choice, dict) else None
    finish = None if reason is None else _FINISHES.get(str(reason))
    if reason is not None and finish is None:
        raise ModelProblem(
            Text(
                f"언어 모델 서버가 '{reason}' 때문에 멈췄습니다.",
                f"The language model server stopped because of '{reason}'.",
            ),
            where=where,
        )
    return Event(
        content,
        bool(content or thought),
        finish,
        _count(usage, "prompt_tokens"),
        _count(usage, "completion_tokens"),
    )


def _count(usage: Mapping[str, Any], key: str) -> int | None:
    value = usage.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _status(error: object) -> int:
    code = error.get("code") if isinstance(error, dict) else None
    return code if isinstance(code, int) else 500


def refusal(status: int, body: str, where: str) -> RagTraceError:
    """Return the error for a status that is not 200: each says what the operator or the user can do."""
    said = _said(body)
    if status in (400, 413, 422) and _TOO_LONG.search(body):
        return _too_long(said, where)
    if status in (429, 503):
        return Overloaded(
            Text(
                "언어 모델 서버가 요청을 더 받지 않습니다.",
                "The language model server takes no more requests.",
            ),
            where=f"{where}: {status} {said}",
            hint=Text("잠시 뒤에 다시 시도하십시오.", "Try again in a moment."),
        )
    hints = {
        401: Text("language.api_key를 확인하십시오.", "Check language.api_key."),
        403: Text("language.api_key를 확인하십시오.", "Check language.api_key."),
        404: Text("language.url과 language.model을 확인하십시오.", "Check language.url and language.model."),
    }
    return UpstreamProblem(
        Text(f"언어 모델 서버가 {status}로 답했습니다.", f"The language model server answered {status}."),
        where=f"{where}: {said}" if said else where,
        hint=hints.get(status),
    )


def _too_long(said: str, where: str) -> TooLarge:
    numbers = ", ".join(_NUMBER.findall(said)[:3])
    return TooLarge(
        Text(
            f"프롬프트가 서버의 문맥에 들어가지 않습니다({numbers}).",
            f"The prompt does not fit the server's context ({numbers}).",
        ),
        where=f"{where}: {said}",
        hint=Text("질문이나 대화를 줄이십시오.", "Shorten the question or the conversation."),
    )


def nonsense(where: str, text: str) -> UpstreamProblem:
    """Return the error for an answer that is none."""
    return UpstreamProblem(
        Text(
            "언어 모델 서버의 답을 이해할 수 없습니다.",
            "The language model server's answer cannot be understood.",
        ),
        where=f"{where}: {text[:SHOWN_CHARS]!r}",
        hint=Text(
            "language.url이 OpenAI 호환 서버인지 확인하십시오.",
            "Check that language.url is an OpenAI-compatible server.",
        ),
    )


def _said(body: str) -> str:
    """Return the message of an error's body, else its beginning."""
    try:
        found = json.loads(body)
    except ValueError:
        return " ".join(body.split())[:SHOWN_CHARS]
    error = found.get("error", found) if isinstance(found, dict) else found
    message = error.get("message", error) if isinstance(error, dict) else error
    return str(message)[:SHOWN_CHARS]
