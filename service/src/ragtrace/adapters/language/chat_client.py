"""A client of the chat protocol over httpx: one event loop in a thread of its own, one connection for each answer.

A blocking read cannot be taken back; a task of an event loop can. So cancelling closes the connection at once, also
while the server still reads the prompt, and a server that notices stops working on it.
"""

from __future__ import annotations

import asyncio
import json
import random
import ssl
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import anyio
import httpx

from ragtrace.adapters.language.chat_protocol import LINE_CHARS, Event, nonsense, read_event, refusal
from ragtrace.adapters.language.waiting import Flow
from ragtrace.errors import UpstreamProblem
from ragtrace.text import Text

# A server in the same building answers a connection at once, or is down.
CONNECT_S = 5.0
# Waiting before the second try; doubled for each further one, and a little different for everybody.
FIRST_PAUSE_S = 0.5
_AGAIN = (429, 500, 502, 503, 504)
# An error page, and a list of models, are read this far.
_ERROR_BYTES = 64 << 10
_JSON_BYTES = 4 << 20


@dataclass(frozen=True)
class Endpoint:
    """Where a server is and how to treat it. `socket` is a path where it listens on one instead of a port."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    socket: str | None = None
    timeout_s: float = 120.0
    retries: int = 2


class _Request:
    """One request's way to be cancelled.

    By a scope of anyio: what httpx does to close a connection is protected from it. A task's own `cancel` breaks that
    off as well, and the socket stays open.
    """

    def __init__(self) -> None:
        self._scope: anyio.CancelScope | None = None
        self._unwanted = False

    def scope(self) -> anyio.CancelScope:
        """Return the scope to work in."""
        self._scope = anyio.CancelScope()
        if self._unwanted:
            self._scope.cancel()
        return self._scope

    def cancel(self) -> None:
        """Stop the work, also when it has not begun."""
        self._unwanted = True
        if self._scope is not None:
            self._scope.cancel()


class ChatClient:
    """Sends requests to one server. Safe to call from several threads."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._http: httpx.AsyncClient | None = None
        self._requests: set[_Request] = set()

    def stream(
        self, path: str, body: Mapping[str, Any], cancelled: Callable[[], bool]
    ) -> Generator[Event, None, None]:
        """Yield the events of one answer; closes the connection when cancelled or closed."""
        flow: Flow[Event] = Flow()
        stop = self._begin(self._answer(path, body, flow), flow)
        try:
            yield from flow.read(cancelled)
        finally:
            stop()

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:  # noqa: ANN401 - JSON
        """Return the JSON that a path answers with, tried as often as the endpoint says."""
        flow: Flow[Any] = Flow()

        async def once() -> None:
            flow.put(await self._json(method, path, body))

        self._begin(once(), flow)
        return next(iter(flow.read(lambda: False)))

    def close(self) -> None:
        """Break off what is under way and end the thread."""
        with self._lock:
            loop, thread, http = self._loop, self._thread, self._http
            self._loop = self._thread = self._http = None
            requests = tuple(self._requests)
        if loop is not None and thread is not None and http is not None:
            asyncio.run_coroutine_threadsafe(_end(http, requests), loop)
            thread.join()

    def _begin(self, work: Coroutine[Any, Any, None], flow: Flow[Any]) -> Callable[[], None]:
        """Start a request in the loop's thread and return what stops it, from any thread."""
        request = _Request()
        with self._lock:
            if self._loop is None:
                # One for all requests: making one reads the system's certificates, which takes longer than a short answer.
                self._http = self._client()
                self._loop = asyncio.new_event_loop()
                self._loop.set_exception_handler(_complain)
                self._thread = threading.Thread(
                    target=_run, args=(self._loop,), name="chat-client", daemon=True
                )
                self._thread.start()
            loop = self._loop
            self._requests.add(request)
            asyncio.run_coroutine_threadsafe(self._guarded(work, flow, request), loop)

        def stop() -> None:
            with suppress(RuntimeError):  # the loop is closed, and with it the request
                loop.call_soon_threadsafe(request.cancel)

        return stop

    async def _guarded(self, work: Coroutine[Any, Any, None], flow: Flow[Any], request: _Request) -> None:
        try:
            with request.scope():
                await work
                flow.end()
                return
            flow.fail(_unreachable(self._endpoint.url, "closed"))
        except httpx.HTTPError as error:
            flow.fail(_unreachable(self._endpoint.url, f"{type(error).__name__} {error}".strip()))
        except Exception as error:  # noqa: BLE001 - the reader in the other thread raises it
            flow.fail(error)
        finally:
            self._requests.discard(request)

    async def _answer(self, path: str, body: Mapping[str, Any], flow: Flow[Event]) -> None:
        where = self._endpoint.url + path
        finished = False
        async with self._response("POST", path, body) as response:
            async for line in _bounded_lines(response, where):
                event = read_event(line, where)
                if event is None:
                    continue
                if event.done:
                    break
                finished = finished or event.finish is not None
                flow.put(event)
        if not finished:
            raise UpstreamProblem(
                Text(
                    "언어 모델 서버가 답을 중간에 끊었습니다.",
                    "The language model server broke its answer off.",
                ),
                where=where,
            )

    async def _json(self, method: str, path: str, body: Mapping[str, Any] | None) -> object:
        async with self._response(method, path, body) as response:
            data = await _beginning(response, _JSON_BYTES)
        try:
            return json.loads(data)
        except ValueError as error:
            raise nonsense(self._endpoint.url + path, data.decode("utf-8", "replace")) from error

    @asynccontextmanager
    async def _response(
        self, method: str, path: str, body: Mapping[str, Any] | None
    ) -> AsyncIterator[httpx.Response]:
        """Hold a response of status 200; tries again as long as there is none, never after that."""
        where = self._endpoint.url + path
        client = self._http
        if client is None:
            raise _unreachable(self._endpoint.url, "closed")
        for attempt in range(self._endpoint.retries + 1):
            last = attempt == self._endpoint.retries
            asked: float | None = None
            try:
                async with client.stream(method, where, json=body) as response:
                    if response.status_code == 200:
                        yield response
                        return
                    asked = _asked_pause(response)
                    if last or response.status_code not in _AGAIN:
                        text = (await _beginning(response, _ERROR_BYTES)).decode("utf-8", "replace")
                        raise refusal(response.status_code, text, where)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                if last:
                    raise
            await self._pause(attempt, asked)

    def _client(self) -> httpx.AsyncClient:
        chosen = self._endpoint
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
        # The system's certificates, and so an own authority's, instead of a list that travels with Python.
        trusted = ssl.create_default_context() if chosen.url.startswith("https:") else False
        # The environment's proxies are not asked: an address in the configuration is meant as it stands.
        return httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(verify=trusted, uds=chosen.socket, limits=limits),
            headers=dict(chosen.headers),
            timeout=httpx.Timeout(chosen.timeout_s, connect=min(CONNECT_S, chosen.timeout_s)),
            follow_redirects=False,
            trust_env=False,
        )

    async def _pause(self, attempt: int, asked: float | None) -> None:
        """Wait before the next try: as long as the server asked for, within reason."""
        own = FIRST_PAUSE_S * 2**attempt * random.uniform(0.8, 1.2)
        await asyncio.sleep(own if asked is None else min(asked, self._endpoint.timeout_s))


def _complain(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log what went wrong in a callback, except a socket's readiness that comes after its reader was cancelled."""
    if not isinstance(context.get("exception"), asyncio.InvalidStateError):
        loop.default_exception_handler(context)


async def _end(http: httpx.AsyncClient, requests: Sequence[_Request]) -> None:
    """Break off every request, close every connection, stop the loop."""
    loop = asyncio.get_running_loop()
    for request in requests:
        request.cancel()
    await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}), return_exceptions=True)
    await http.aclose()
    await loop.shutdown_asyncgens()
    loop.stop()


def _run(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        loop.close()


async def _beginning(response: httpx.Response, limit: int) -> bytes:
    """Return a body's first bytes, at most so many."""
    data = b""
    async for part in response.aiter_bytes():
        data += part
        if len(data) >= limit:
            break
    return data[:limit]


async def _bounded_lines(response: httpx.Response, where: str) -> AsyncIterator[str]:
    """Yield lines; a line without an end would fill the memory."""
    kind = response.headers.get("content-type", "")
    if "text/event-stream" not in kind:
        raise nonsense(where, f"content-type {kind!r}")
    held = ""
    async for text in response.aiter_text():
        held += text
        *lines, held = held.split("\n")
        for line in lines:
            yield line.rstrip("\r")
        if len(held) > LINE_CHARS:
            raise nonsense(where, held)
    if held.strip():
        yield held


def _asked_pause(response: httpx.Response) -> float | None:
    """Return the seconds of Retry-After; a date, which needs the same clock on both sides, is not followed."""
    try:
        seconds = float(response.headers.get("retry-after", ""))
    except ValueError:
        return None
    return seconds if 0 <= seconds < float("inf") else None


def _unreachable(url: str, reason: str) -> UpstreamProblem:
    return UpstreamProblem(
        Text("언어 모델 서버와 통신하지 못했습니다.", "The language model server could not be talked to."),
        where=f"{url}: {reason}",
        hint=Text(
            "서버가 켜져 있는지, language.url과 language.timeout_s가 맞는지 확인하십시오.",
            "Check that the server runs, and language.url and language.timeout_s.",
        ),
    )
