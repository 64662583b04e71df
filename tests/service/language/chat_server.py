"""An OpenAI-compatible server on loopback that answers through a language model, or misbehaves as it is told."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from ragtrace.application.ports import Generation, LanguageModel, Message, Usage
from ragtrace.errors import TooLarge

Misbehaviour = Callable[[Request, dict[str, Any]], Response]


@dataclass
class ChatServer:
    """The application, and what it was asked.

    Args:
        misbehave: answers for chat requests, one after the other, before the model's own come.
        counts: whether it has `/tokenize`.
    """

    model: LanguageModel
    name: str = "tiny"
    owner: str = "vllm"
    key: str = ""
    counts: bool = True
    misbehave: list[Misbehaviour] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    broken_off: int = 0

    def app(self) -> Starlette:
        routes = [
            Route("/v1/models", self._models),
            Route("/v1/chat/completions", self._chat, methods=["POST"]),
        ]
        if self.counts:
            routes.append(Route("/tokenize", self._tokenize, methods=["POST"]))
        return Starlette(routes=routes)

    async def _models(self, request: Request) -> Response:
        if self.key and request.headers.get("authorization") != f"Bearer {self.key}":
            return JSONResponse({"error": {"message": "no", "code": 401}}, 401)
        card = {"id": self.name, "owned_by": self.owner, "max_model_len": self.model.context_tokens}
        return JSONResponse({"object": "list", "data": [card]})

    async def _tokenize(self, request: Request) -> Response:
        body = await request.json()
        return JSONResponse({"count": self.model.count_tokens(_messages(body))})

    async def _chat(self, request: Request) -> Response:
        body = await request.json()
        self.bodies.append(body)
        self.headers.append(dict(request.headers))
        if self.misbehave:
            return self.misbehave.pop(0)(request, body)
        generation = Generation(
            max_tokens=body["max_tokens"],
            temperature=body.get("temperature", 1.0),
            stop=tuple(body.get("stop", ())),
            schema=(body.get("response_format") or {}).get("json_schema", {}).get("schema"),
        )
        gone = threading.Event()
        events = self.model.stream(_messages(body), generation, gone.is_set)
        if not body.get("stream"):
            usage = [each for each in events if isinstance(each, Usage)][-1]
            return JSONResponse({"choices": [], "usage": {"prompt_tokens": usage.prompt_tokens}})
        try:
            first = next(events)
        except TooLarge as error:
            return JSONResponse({"error": {"message": f"maximum context length: {error}", "code": 400}}, 400)
        return StreamingResponse(self._events(gone, first, events), media_type="text/event-stream")

    async def _events(self, gone: threading.Event, first: Any, events: Any) -> AsyncIterator[str]:
        done = False
        try:
            yield ": comments are to be read over\n\n"
            item = first
            while True:
                if isinstance(item, Usage):
                    finish = {"index": 0, "delta": {}, "finish_reason": item.finish}
                    yield event({"choices": [finish]})
                    usage = {"prompt_tokens": item.prompt_tokens, "completion_tokens": item.answer_tokens}
                    yield event({"choices": [], "usage": usage})
                    yield "data: [DONE]\n\n"
                    done = True
                    return
                yield event({"choices": [{"index": 0, "delta": {"content": item}, "finish_reason": None}]})
                item = await asyncio.to_thread(next, events)
        finally:
            gone.set()
            self.broken_off += not done


def event(body: dict[str, Any]) -> str:
    """Return an event of the stream."""
    return f"data: {json.dumps(body, ensure_ascii=False)}\r\n\r\n"


def _messages(body: dict[str, Any]) -> list[Message]:
    return [Message(each["role"], each["content"]) for each in body["messages"]]
