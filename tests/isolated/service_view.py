"""What a client inside the host sees of the running service: its release, its answers, their sources."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .documents import Page, Question, squeeze
from .machine import IsolatedHost, Reply
from .tools import HarnessError

ADDRESS = "http://127.0.0.1:8400"
TIME = "2026-11-20 09:00:00"


@dataclass(frozen=True)
class Source:
    """One piece that an answer rests on, as the client got it."""

    title: str
    text: str
    chunk_id: str


@dataclass(frozen=True)
class Answer:
    """An answer as a client got it."""

    status: int
    text: str
    sources: tuple[Source, ...]
    raw: str
    seconds: float


def body_of(question: str, number: int = 1) -> dict[str, object]:
    """Return the request body of the in-house interface."""
    return {
        "qry_id": f"isolated-{number}",
        "user_id": "isolated",
        "page_id": "isolated-room",
        "qry_contents": question,
        "qry_time": TIME,
    }


def ask(host: IsolatedHost, question: str) -> Answer:
    """Ask by `POST /query`."""
    reply = host.http("POST", f"{ADDRESS}/query", body_of(question))
    items = _data_list(reply.json()) if reply.status == 200 else []
    text = "".join(str(item.get("rsp_data", "")) for item in items if item.get("rsp_type") in ("A", "TT"))
    return Answer(reply.status, text, _sources(items), reply.text, reply.seconds)


def ask_streaming(host: IsolatedHost, question: str) -> tuple[Answer, list[str]]:
    """Ask by `POST /query_stream`; return the answer put together and the names of the events in their order."""
    reply = host.http(
        "POST", f"{ADDRESS}/query_stream", body_of(question), headers={"Accept": "text/event-stream"}
    )
    events = parse_events(reply.text)
    sources: tuple[Source, ...] = ()
    pieces = []
    for name, data in events:
        if name == "reference":
            sources = _sources(_data_list(json.loads(data)))
        elif name == "answer":
            pieces.append(_piece(json.loads(data)))
    return Answer(reply.status, "".join(pieces), sources, reply.text, reply.seconds), [
        name for name, _ in events
    ]


def parse_events(text: str) -> list[tuple[str, str]]:
    """Split a stream of server-sent events into names and data (HTML standard, section 9.2)."""
    events = []
    for block in text.replace("\r\n", "\n").split("\n\n"):
        name, data = "message", []
        for line in block.split("\n"):
            field, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if field == "event":
                name = value
            elif field == "data":
                data.append(value)
        if data:
            events.append((name, "\n".join(data)))
    return events


def _data_list(document: object) -> list[Mapping[str, Any]]:
    """Return the items of a response."""
    if isinstance(document, dict) and isinstance(document.get("data_list"), list):
        return [item for item in document["data_list"] if isinstance(item, dict)]
    return [item for item in document if isinstance(item, dict)] if isinstance(document, list) else []


def _sources(items: list[Mapping[str, Any]]) -> tuple[Source, ...]:
    """Return the retrieved pieces among the items."""
    return tuple(
        Source(str(item.get("rsp_tit", "")), str(item.get("rsp_data", "")), str(item.get("chunk_id", "")))
        for item in items
        if item.get("rsp_type") == "R"
    )


def _piece(document: object) -> str:
    """Return the text of one streamed piece of an answer."""
    items = _data_list(document)
    if items:
        return "".join(str(item.get("rsp_data", "")) for item in items)
    return str(document.get("rsp_data", "")) if isinstance(document, dict) else ""


@dataclass(frozen=True)
class State:
    """What must be the same again after something failed: release, readiness, answers, stored data."""

    readiness: int
    version: str
    generation: str
    pointer: str
    sources: tuple[Source, ...]
    documents: int


def state_of(host: IsolatedHost, prefix: str, question: Question) -> State:
    """Look at the running service from inside."""
    ready = host.http("GET", f"{ADDRESS}/readyz")
    told = _object(ready)
    answer = ask(host, question.text)
    pointer = host.run(["cat", f"{prefix}/current.json"]).stdout
    return State(
        ready.status,
        str(told.get("version", "")),
        str(told.get("generation", "")),
        pointer,
        answer.sources,
        count_documents(host, prefix),
    )


def count_documents(host: IsolatedHost, prefix: str) -> int:
    """Count the rows of the documents table in the service's own database, read-only."""
    script = (
        "import sqlite3, sys; c = sqlite3.connect('file:' + sys.argv[1] + '?mode=ro', uri=True); "
        "print(c.execute('select count(*) from documents').fetchone()[0])"
    )
    done = host.run(["python3", "-c", script, f"{prefix}/data/records.sqlite3"])
    return int(done.stdout) if done.returncode == 0 else -1


def _object(reply: Reply) -> Mapping[str, Any]:
    """Return a JSON object, or an empty one when nobody answered."""
    if reply.status == 0:
        return {}
    document = reply.json()
    if not isinstance(document, dict):
        raise HarnessError(f"not a JSON object: {reply.text[:200]}")
    return document


def wrong_sources(answer: Answer, question: Question, pages: Mapping[str, Page]) -> list[str]:
    """Say what is wrong with the sources of an answer; nothing when they truly contain what was asked for."""
    problems = []
    if not answer.sources:
        return [f"{question.text}: no source at all"]
    everything = [page.squeezed for page in pages.values()]
    for source in answer.sources:
        beginning = squeeze(source.text)[:40]
        if not any(beginning in text for text in everything):
            problems.append(f"{question.text}: {source.title!r} is in no document: {source.text[:60]!r}")
    expected = pages[question.page].squeezed
    if not any(question.term in squeeze(s.text) and squeeze(s.text)[:40] in expected for s in answer.sources):
        titles = [source.title for source in answer.sources]
        problems.append(f"{question.text}: no source from {question.page} with {question.term!r}: {titles}")
    if question.term not in squeeze(answer.text):
        problems.append(
            f"{question.text}: the answer does not contain {question.term!r}: {answer.text[:80]!r}"
        )
    return problems
