"""`POST /v1/chat/completions` and `GET /v1/models`, as clients of OpenAI's interface call them.

The last message is the question, those before it the conversation; `rag: false` asks the language model alone. What has no
place in OpenAI's answer (sources, notices, times) stands under `ragtrace`.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from ragtrace.application.ask import Ask, Asking, Prepared
from ragtrace.application.ports import EmbeddingModel
from ragtrace.domain.answers import Account, Usage, Wishes
from ragtrace.domain.conversation import Turn
from ragtrace.entrypoints.http.guard import Admission, error_body, internal, language
from ragtrace.entrypoints.http.messages import Identifier, Sound, references, timings
from ragtrace.entrypoints.http.questions import days
from ragtrace.entrypoints.http.readiness import Readiness
from ragtrace.entrypoints.http.streaming import EventStream, Piece, data_event, each, following, in_thread
from ragtrace.errors import InvalidRequest, NotSupported, NoVisionModel, RagTraceError
from ragtrace.limits import CHAT_MESSAGES, STOP_TEXTS
from ragtrace.text import Text

LOG = logging.getLogger("ragtrace.http")
Stop = Annotated[Sound, Field(min_length=1, max_length=200)]


class Part(BaseModel):
    """A part of a message."""

    model_config = ConfigDict(extra="ignore")

    type: str
    text: Sound = ""


class ChatMessage(BaseModel):
    """A message of the conversation."""

    model_config = ConfigDict(extra="ignore")

    role: Literal["system", "developer", "user", "assistant"]
    content: Sound | list[Part] | None = None

    @property
    def text(self) -> str:
        """Return what it says. Raises `NoVisionModel` or `NotSupported` for parts that are no text."""
        if not isinstance(self.content, list):
            return self.content or ""
        for part in self.content:
            if part.type == "image_url":
                raise NoVisionModel(
                    Text(
                        "이미지를 읽을 비전 모델이 설정되어 있지 않습니다.",
                        "No vision model is configured to read the image.",
                    )
                )
            if part.type != "text":
                raise _unsupported(f"content.type={part.type}")
        return "\n".join(part.text for part in self.content)


class StreamOptions(BaseModel):
    """What a stream carries besides."""

    model_config = ConfigDict(extra="ignore")

    include_usage: bool = False


class ChatBody(BaseModel):
    """A request for a completion. `model` is not looked at: there is one. `rag` and `period` are our own."""

    model_config = ConfigDict(extra="ignore")

    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=CHAT_MESSAGES)]
    model: Identifier = ""
    stream: bool = False
    stream_options: StreamOptions | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    seed: int | None = None
    stop: Stop | Annotated[list[Stop], Field(max_length=STOP_TEXTS)] | None = None
    n: int | None = None
    tools: list[Any] | None = None
    functions: list[Any] | None = None
    logprobs: bool | None = None
    response_format: dict[str, Any] | None = None
    rag: bool = True
    period: Identifier = ""


def add_chat(
    app: FastAPI,
    asking: Callable[[], Ask],
    readiness: Readiness,
    admission: Admission,
    embedding: Callable[[], EmbeddingModel | None],
) -> None:
    """Add the two addresses."""

    @app.get("/v1/models")
    async def models() -> dict[str, Any]:
        readiness.require()
        found = embedding()
        names = [asking().model.name, *([found.fingerprint] if found is not None else [])]
        return {
            "object": "list",
            "data": [{"id": name, "object": "model", "created": 0, "owned_by": "ragtrace"} for name in names],
        }

    @app.post("/v1/chat/completions")
    async def completions(body: ChatBody, request: Request) -> Response:
        wanted = _wanted(body)
        readiness.require()
        admission.enter()
        streaming = False
        try:
            ask = asking()
            prepared = await in_thread(request, lambda gone: ask.retrieve(wanted, cancelled=gone))
            frame = _frame(ask.model.name)
            if body.stream:
                gone = threading.Event()
                pieces = ask.pieces(prepared, gone.is_set)
                # What fails before anything was said is a status, which every client understands.
                first = await in_thread(request, lambda _: following(pieces), gone)
                usage = body.stream_options is not None and body.stream_options.include_usage
                lang = language(request.scope)
                made = each(pieces, gone.is_set, first)
                chunks = _chunks(made, prepared, frame, lang, with_usage=usage)
                streaming = True
                return EventStream(chunks, gone, admission)
            answer = await in_thread(request, lambda gone: ask.complete(prepared, gone))
        finally:
            if not streaming:
                admission.leave()
        account = Account(answer.supported, answer.usage, answer.notices)
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": answer.text},
            "finish_reason": _finish(answer.usage),
        }
        return JSONResponse(
            {
                **frame,
                "object": "chat.completion",
                "choices": [choice],
                "usage": _counted(answer.usage),
                "ragtrace": {
                    "references": references(prepared.passages),
                    **_further(account, language(request.scope)),
                },
            }
        )


async def _chunks(
    pieces: AsyncGenerator[Piece, None],
    prepared: Prepared,
    frame: dict[str, Any],
    lang: str,
    *,
    with_usage: bool,
) -> AsyncGenerator[str, None]:
    """Yield the role with the sources, the pieces, the reason of the end, the usage where it is wished, and the mark."""

    def chunk(delta: dict[str, Any], finish: str | None = None, **more: object) -> str:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return data_event({**frame, "object": "chat.completion.chunk", "choices": [choice], **more})

    yield chunk({"role": "assistant", "content": ""}, ragtrace={"references": references(prepared.passages)})
    account = Account(False)
    try:
        async with aclosing(pieces):
            async for piece in pieces:
                if isinstance(piece, Account):
                    account = piece
                else:
                    yield chunk({"content": piece.text})
    except RagTraceError as problem:
        yield _broken(error_body(problem, lang), problem.status)
        return
    except Exception:
        LOG.exception("an answer broke off")
        yield _broken(internal(lang), 500)
        return
    yield chunk({}, _finish(account.usage), ragtrace=_further(account, lang))
    if with_usage:
        whole = {**frame, "object": "chat.completion.chunk", "choices": [], "usage": _counted(account.usage)}
        yield data_event(whole)
    yield "data: [DONE]\n\n"


def _broken(body: dict[str, str], status: int) -> str:
    """Return the event by which OpenAI's clients notice that a stream failed; the end mark does not follow."""
    return data_event({"error": {"message": body["error"], "type": body["error_type"], "code": status}})


def _wanted(body: ChatBody) -> Asking:
    for name, present in (
        ("n", body.n not in (None, 1)),
        ("tools", bool(body.tools)),
        ("functions", bool(body.functions)),
        ("logprobs", bool(body.logprobs)),
        (
            "response_format",
            bool(body.response_format) and (body.response_format or {}).get("type") != "text",
        ),
    ):
        if present:
            raise _unsupported(name)
    *before, last = body.messages
    if last.role != "user":
        raise InvalidRequest(
            Text("마지막 메시지의 role은 user여야 합니다.", "The last message must be the user's.")
        )
    stop = body.stop or []
    return Asking(
        last.text,
        rag=body.rag,
        scope=days(body.period),
        history=_said(before),
        instructions="\n".join(each.text for each in before if each.role in ("system", "developer")),
        wishes=Wishes(
            max_tokens=body.max_completion_tokens or body.max_tokens,
            temperature=body.temperature,
            top_p=body.top_p,
            seed=body.seed,
            stop=(stop,) if isinstance(stop, str) else tuple(stop),
        ),
    )


def _said(messages: Sequence[ChatMessage]) -> tuple[Turn, ...]:
    return tuple(
        Turn("user" if each.role == "user" else "assistant", each.text)
        for each in messages
        if each.role in ("user", "assistant")
    )


def _unsupported(name: str) -> NotSupported:
    return NotSupported(
        Text(f"'{name}'은(는) 지원하지 않습니다.", f"'{name}' is not supported."),
        hint=Text(f"{name} 없이 보내십시오.", f"Send it without {name}."),
    )


def _frame(model: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-{uuid.uuid4().hex}", "created": int(time.time()), "model": model}


def _finish(usage: Usage | None) -> str:
    return "length" if usage is not None and usage.finish == "length" else "stop"


def _counted(usage: Usage | None) -> dict[str, int]:
    """Return the tokens; none where sentences were taken from the documents without a language model."""
    read, made = (usage.prompt_tokens, usage.answer_tokens) if usage is not None else (0, 0)
    return {"prompt_tokens": read, "completion_tokens": made, "total_tokens": read + made}


def _further(account: Account, lang: str) -> dict[str, Any]:
    return {
        "supported": bool(account.supported),
        "notices": [each.to(lang) for each in account.notices],
        "timings": timings(account.usage) if account.usage is not None else None,
    }
