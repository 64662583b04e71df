"""The requests of a soak: each kind with its weight, what it sends, and which ends of it are right."""

from __future__ import annotations

import contextlib
import http.client
import json
import random
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

HOST = "127.0.0.1"
_TIMEOUT_S = 120.0
_JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Questions:
    """What is asked: questions that the documents answer, and one that they do not."""

    answered: tuple[str, ...]
    unanswered: str


class Client:
    """One worker's connection, kept open between requests as browsers and proxies keep theirs."""

    def __init__(self, port: int, questions: Questions, seed: int) -> None:
        self.port = port
        self.questions = questions
        self.draw = random.Random(seed)
        self._kept = http.client.HTTPConnection(HOST, port, timeout=_TIMEOUT_S)

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        self._kept.close()

    def send(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        """Return the status and the whole body of an answer; a connection the server has closed is opened again."""
        for attempt in (0, 1):
            try:
                self._kept.request(method, path, body, _JSON if body is not None else {})
                answer = self._kept.getresponse()
                return answer.status, answer.read()
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
                self._kept.close()
                if attempt:
                    raise
        raise AssertionError("unreachable")

    def ask(self, path: str, document: Mapping[str, Any]) -> tuple[int, bytes]:
        """Send a document."""
        return self.send("POST", path, json.dumps(document).encode())

    def leave(self, path: str, document: Mapping[str, Any], after: int) -> str:
        """Send a document, read `after` bytes of the answer at most, and go away without a word."""
        body = json.dumps(document).encode()
        head = f"POST {path} HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        with socket.create_connection((HOST, self.port), timeout=_TIMEOUT_S) as wire:
            wire.sendall(head.encode() + body)
            if after:
                # The other side may have closed first: that is one of the ends that are tried.
                with contextlib.suppress(ConnectionResetError):
                    wire.recv(after)
        return "left"

    def question(self, **more: object) -> dict[str, Any]:
        """Return the body of a question that the documents answer, in one of a few rooms.

        A room keeps its last turns: in so few they are full, and take no more memory, before the first fifth is over.
        """
        asked = {
            "qry_contents": self.draw.choice(self.questions.answered),
            "user_id": f"u{self.draw.randrange(10)}",
        }
        return {**asked, "page_id": f"p{self.draw.randrange(5)}", **more}

    def chat(self, **more: object) -> dict[str, Any]:
        """Return the body of a chat."""
        said = [{"role": "user", "content": self.draw.choice(self.questions.answered)}]
        return {"model": "ragtrace", "messages": said, **more}


@dataclass(frozen=True)
class Kind:
    """One kind of request.

    Attributes:
        weight: how often it comes, against the others.
        run: sends it and says how it ended.
        right: the ends that are as they should be.
        language: it is only sent where a language model is configured.
    """

    name: str
    weight: int
    run: Callable[[Client], str]
    right: frozenset[str]
    language: bool = False


def _query(client: Client) -> str:
    status, body = client.ask("/query", client.question())
    return _detail(status, body)


def _unanswered(client: Client) -> str:
    status, body = client.ask("/query", client.question(qry_contents=client.questions.unanswered))
    return _detail(status, body)


def _period(client: Client) -> str:
    year = client.draw.randrange(2015, 2027)
    status, body = client.ask("/query", client.question(period=f"{year}-01-01:{year}-12-31"))
    return _detail(status, body)


def _alone(client: Client) -> str:
    status, body = client.ask("/query", client.question(rag=False))
    return _detail(status, body)


def _detail(status: int, body: bytes) -> str:
    return str(json.loads(body)["detail"]) if status == 200 else str(status)


def _stream(client: Client) -> str:
    status, body = client.ask("/query_stream", client.question())
    return _ending(status, body, b"event: end")


def _chat(client: Client) -> str:
    status, body = client.ask("/v1/chat/completions", client.chat())
    return "said" if status == 200 and json.loads(body)["choices"][0]["message"]["content"] else str(status)


def _chat_stream(client: Client) -> str:
    status, body = client.ask("/v1/chat/completions", client.chat(stream=True))
    return _ending(status, body, b"data: [DONE]")


def _ending(status: int, body: bytes, mark: bytes) -> str:
    if status != 200:
        return str(status)
    return "ended" if mark in body and b"event: error" not in body else "broken"


def _leave_at_once(client: Client) -> str:
    return client.leave("/query", client.question(), 0)


def _leave_stream(client: Client) -> str:
    return client.leave("/query_stream", client.question(), client.draw.choice((1, 400, 4000)))


def _leave_chat(client: Client) -> str:
    return client.leave("/v1/chat/completions", client.chat(stream=True), client.draw.choice((1, 200, 1000)))


def _silent(client: Client) -> str:
    """Connect, send half a request at most, go away."""
    with socket.create_connection((HOST, client.port), timeout=_TIMEOUT_S) as wire:
        wire.sendall(client.draw.choice((b"", b"POST /query HTTP/1.1\r\nContent-Le", b"\x16\x03\x01\0\0")))
    return "left"


def _get(*paths: str) -> Callable[[Client], str]:
    return lambda client: str(client.send("GET", client.draw.choice(paths))[0])


def _embed(client: Client) -> str:
    texts = [client.draw.choice(client.questions.answered) for _ in range(client.draw.randrange(1, 5))]
    return str(client.ask("/v1/embeddings", {"model": "ragtrace", "input": texts})[0])


def _wrong(client: Client) -> str:
    bad = (
        b"{",
        b"\xff\xfe",
        b"[]",
        json.dumps({"qry_contents": " "}).encode(),
        json.dumps(client.question(qry_contents="가" * 5000)).encode(),
        json.dumps(client.question(period="tomorrow")).encode(),
        json.dumps(client.question(image_data="aaaa")).encode(),
    )
    return str(client.send("POST", "/query", client.draw.choice(bad))[0])


def _oversized(client: Client) -> str:
    # The rest of the body is not read: such a connection is of no further use.
    client.close()
    try:
        status = str(client.send("POST", "/query", b'"' + b"a" * (300 << 10) + b'"')[0])
    except (BrokenPipeError, ConnectionResetError, http.client.RemoteDisconnected):
        status = "413"
    client.close()
    return status


_TOLD = frozenset({"answered", "no_evidence"})
KINDS = (
    Kind("query", 30, _query, _TOLD),
    Kind("query, nothing found", 6, _unanswered, _TOLD),
    Kind("query, within a year", 8, _period, _TOLD),
    Kind("query without retrieval", 4, _alone, _TOLD, language=True),
    Kind("query_stream", 14, _stream, frozenset({"ended"})),
    Kind("chat", 6, _chat, frozenset({"said"})),
    Kind("chat, stream", 6, _chat_stream, frozenset({"ended"})),
    Kind("query, client leaves", 3, _leave_at_once, frozenset({"left"})),
    Kind("query_stream, client leaves", 5, _leave_stream, frozenset({"left"})),
    Kind("chat, client leaves", 3, _leave_chat, frozenset({"left"})),
    Kind("half a request", 2, _silent, frozenset({"left"})),
    Kind("probes", 8, _get("/healthz", "/readyz"), frozenset({"200"})),
    Kind("status page", 1, _get("/status", "/status.json", "/status?lang=en"), frozenset({"200"})),
    Kind("models, what is not there", 2, _get("/v1/models", "/nowhere"), frozenset({"200", "404"})),
    Kind("embeddings", 4, _embed, frozenset({"200"}), language=True),
    Kind("wrong bodies", 4, _wrong, frozenset({"400", "413", "422"})),
    Kind("a body too large", 1, _oversized, frozenset({"413"})),
)
