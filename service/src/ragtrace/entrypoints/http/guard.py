"""What stands before every request: size limit, number of requests at a time, access log."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ragtrace.errors import Overloaded, RagTraceError, TooLarge
from ragtrace.text import Text

ACCESS = logging.getLogger("ragtrace.access")

# Of a body that is refused so much is still read, for so long.
_DRAIN_BYTES = 4 * 1024 * 1024
_DRAIN_S = 2.0


class Admission:
    """Counts the questions being answered; one too many is refused at once instead of waiting for ever."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._now = 0

    @contextmanager
    def admitted(self) -> Iterator[None]:
        """Take a place for the block. Raises `Overloaded`. Used from the event loop only, so it needs no lock."""
        self.enter()
        try:
            yield
        finally:
            self.leave()

    def enter(self) -> None:
        """Take a place. Raises `Overloaded`."""
        if self._now >= self._most:
            raise Overloaded(
                Text(
                    f"동시에 처리할 수 있는 질문은 {self._most}개입니다.",
                    f"At most {self._most} questions are answered at a time.",
                ),
                hint=Text("잠시 뒤 다시 보내십시오.", "Send it again in a moment."),
            )
        self._now += 1

    def leave(self) -> None:
        """Give the place back."""
        self._now -= 1


class BodyLimit:
    """Refuses bodies over a size, by their declared length or while they arrive."""

    def __init__(self, app: ASGIApp, most: int) -> None:
        self._app = app
        self._most = most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 413."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        declared = headers.get(b"content-length", b"0")
        if declared.isdigit() and int(declared) > self._most:
            if b"expect" not in headers:
                await _drain(receive)
            await self._refuse(scope, send)
            return
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return
            body += message.get("body", b"")
            if len(body) > self._most:
                if message.get("more_body", False):
                    await _drain(receive)
                await self._refuse(scope, send)
                return
            if not message.get("more_body", False):
                break
        await self._app(scope, _replay(bytes(body), receive), send)

    async def _refuse(self, scope: Scope, send: Send) -> None:
        kib = self._most // 1024
        problem = TooLarge(
            Text(f"요청이 {kib} KiB를 넘습니다.", f"The request is larger than {kib} KiB."),
        )
        body = json.dumps(error_body(problem, language(scope)), ensure_ascii=False).encode()
        headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
        await send({"type": "http.response.start", "status": problem.status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


class AccessLog:
    """Writes one JSON line for each request: never its text, never its query string."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and log how it ended."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start = time.perf_counter()
        status, sent = 500, 0

        async def watch(message: Message) -> None:
            nonlocal status, sent
            if message["type"] == "http.response.start":
                status = message["status"]
            elif message["type"] == "http.response.body":
                sent += len(message.get("body", b""))
            await send(message)

        try:
            await self._app(scope, receive, watch)
        finally:
            client = scope.get("client") or ("", 0)
            line = {
                "event": "request",
                "method": scope["method"],
                "path": scope["path"],
                "status": status,
                "bytes": sent,
                "ms": round((time.perf_counter() - start) * 1000, 1),
                "client": client[0],
            }
            ACCESS.info(json.dumps(line, ensure_ascii=False))


def error_body(problem: RagTraceError, lang: str) -> dict[str, str]:
    """Return what a client gets to see of an error: no paths, no internals."""
    parts = [problem.summary.to(lang), problem.hint.to(lang) if problem.hint else ""]
    return {"error": " ".join(part for part in parts if part), "error_type": problem.error_type}


def internal(lang: str) -> dict[str, str]:
    """Return what a client gets to see of an error that nobody foresaw."""
    text = Text("내부 오류입니다. 서비스 기록을 확인하십시오.", "Internal error. See the log of the service.")
    return {"error": text.to(lang), "error_type": "internal"}


def language(scope: Scope) -> str:
    """Return the language of an answer about an error: the client's first choice, else the configured one."""
    headers: dict[bytes, bytes] = dict(scope.get("headers", []))
    wished = headers.get(b"accept-language", b"").decode("latin-1").strip().lower()
    if wished.startswith(("ko", "en")):
        return wished[:2]
    app = scope.get("app")
    configured: str = getattr(getattr(app, "state", None), "language", "ko")
    return configured


async def _drain(receive: Receive) -> None:
    """Read on for a while without keeping anything: closing upon a client that is still sending resets the
    connection, and it never sees why it was refused."""
    deadline, left = time.monotonic() + _DRAIN_S, _DRAIN_BYTES
    while left > 0:
        try:
            message = await asyncio.wait_for(receive(), max(0.01, deadline - time.monotonic()))
        except TimeoutError:
            return
        left -= len(message.get("body", b""))
        if message["type"] != "http.request" or not message.get("more_body", False):
            return


def _replay(body: bytes, receive: Receive) -> Receive:
    """Give a body that was read already once more, then what comes after it (a disconnect)."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
