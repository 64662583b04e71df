"""Work for a client in threads, and streams of events to it, that end when the client goes away."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from typing import Any, TypeVar

from anyio import to_thread
from fastapi import Request
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from ragtrace.domain.answers import Account, AnswerPiece
from ragtrace.entrypoints.http.guard import Admission

T = TypeVar("T")
Piece = AnswerPiece | Account
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


async def in_thread(
    request: Request, work: Callable[[Callable[[], bool]], T], gone: threading.Event | None = None
) -> T:
    """Return what `work` returns; what it is given says whether the client has gone, so that it may stop.

    `gone` is set then, for work that goes on after this.
    """
    gone = gone or threading.Event()
    watcher = asyncio.ensure_future(_watch(request.receive, gone))
    try:
        return await to_thread.run_sync(work, gone.is_set)
    finally:
        watcher.cancel()


async def each(
    pieces: Iterator[Piece], gone: Callable[[], bool], first: Piece | None = None
) -> AsyncGenerator[Piece, None]:
    """Yield `first`, then what an iterator makes in a thread; it is closed when nobody wants more."""
    try:
        if first is not None:
            yield first
        while not gone() and (piece := await to_thread.run_sync(following, pieces)) is not None:
            yield piece
    finally:
        if isinstance(pieces, Generator):
            try:
                await to_thread.run_sync(pieces.close)
            except ValueError:
                # The server stops while a thread still makes a piece: it ends by `gone`, and closes what it made.
                pass


class EventStream(StreamingResponse):
    """Server-sent events that give their place back however they end, also when the client never reads a byte.

    A client that goes away sets `gone`. The place is kept until the work has stopped: engine and threads are still
    taken until then.
    """

    def __init__(
        self, content: AsyncGenerator[str, None], gone: threading.Event, admission: Admission
    ) -> None:
        super().__init__(content, media_type="text/event-stream", headers=HEADERS)
        self._content = content
        self._gone = gone
        self._admission = admission

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events."""
        watcher = asyncio.ensure_future(_watch(receive, self._gone))
        try:
            await self.stream_response(send)
        except OSError:
            # Servers of newer ASGI say by this that the client has gone.
            pass
        finally:
            self._gone.set()
            watcher.cancel()
            try:
                await self._content.aclose()
            finally:
                self._admission.leave()


def named_event(name: str, data: dict[str, Any]) -> str:
    """Return an event with a name. json.dumps writes no line ends, so one data line is always enough."""
    return f"event: {name}\n{data_event(data)}"


def data_event(data: dict[str, Any]) -> str:
    """Return an event without a name."""
    return f"data: {json.dumps(data, ensure_ascii=False)}\n\n"


async def _watch(receive: Receive, gone: threading.Event) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    gone.set()


def following(pieces: Iterator[Piece]) -> Piece | None:
    """Return the next piece; None after the last."""
    return next(pieces, None)
