"""`POST /query` and `POST /query_stream`: the in-house interface that existing clients use."""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse

from ragtrace.application.ask import Ask, Asking, Prepared
from ragtrace.application.ports import Clock
from ragtrace.domain.answers import Account
from ragtrace.domain.periods import parse_range
from ragtrace.domain.scope import EVERYTHING, Scope
from ragtrace.entrypoints.http.guard import Admission, error_body, internal, language
from ragtrace.entrypoints.http.messages import QueryBody, answer_item, closing, references, told
from ragtrace.entrypoints.http.readiness import Readiness
from ragtrace.entrypoints.http.streaming import EventStream, each, in_thread, named_event
from ragtrace.errors import InvalidRequest, NoVisionModel, RagTraceError
from ragtrace.text import Text

LOG = logging.getLogger("ragtrace.http")


def add_questions(
    app: FastAPI, asking: Callable[[], Ask], readiness: Readiness, clock: Clock, admission: Admission
) -> None:
    """Add the two addresses."""

    @app.post("/query")
    async def query(body: QueryBody, request: Request) -> dict[str, Any]:
        wanted = _wanted(body, readiness)
        with admission.admitted():
            ask = asking()
            answer = await in_thread(request, lambda gone: ask.answer(wanted, cancelled=gone))
        items = [*references(answer.passages), answer_item(answer.text)]
        account = Account(answer.supported, answer.usage, answer.notices)
        around = closing(_identity(body), account, clock.now())
        # What is only there now and then comes after the fields that always are.
        return {**around, "data_list": items, **told(account, language(request.scope))}

    @app.post("/query_stream")
    async def query_stream(body: QueryBody, request: Request) -> StreamingResponse:
        wanted = _wanted(body, readiness)
        admission.enter()
        try:
            ask = asking()
            prepared = await in_thread(request, lambda gone: ask.retrieve(wanted, cancelled=gone))
        except BaseException:
            admission.leave()
            raise
        gone = threading.Event()
        events = _events(ask, prepared, _identity(body), clock, language(request.scope), gone.is_set)
        return EventStream(events, gone, admission)


async def _events(
    ask: Ask, prepared: Prepared, qry_id: str, clock: Clock, lang: str, gone: Callable[[], bool]
) -> AsyncGenerator[str, None]:
    """Yield one `reference`, the `answer` pieces, an `error` where it fails, and `end` always."""
    yield named_event("reference", {"qry_id": qry_id, "data_list": references(prepared.passages)})
    account = Account(False)
    try:
        async with aclosing(each(ask.pieces(prepared, gone), gone)) as pieces:
            async for piece in pieces:
                if isinstance(piece, Account):
                    account = piece
                else:
                    said = answer_item(piece.text)
                    yield named_event("answer", {"qry_id": qry_id, "continue": "C", **said})
    except RagTraceError as problem:
        yield named_event(
            "error", {"qry_id": qry_id, "status_code": problem.status, **error_body(problem, lang)}
        )
        yield named_event("end", _failed(qry_id, problem.status, problem.error_type, clock))
        return
    except Exception:
        LOG.exception("an answer broke off")
        yield named_event("error", {"qry_id": qry_id, "status_code": 500, **internal(lang)})
        yield named_event("end", _failed(qry_id, 500, "internal", clock))
        return
    yield named_event("end", {**closing(qry_id, account, clock.now()), **told(account, lang)})


def _failed(qry_id: str, status: int, error_type: str, clock: Clock) -> dict[str, Any]:
    return {
        **closing(qry_id, Account(False), clock.now()),
        "status_code": status,
        "result": "fail",
        "detail": error_type,
    }


def _wanted(body: QueryBody, readiness: Readiness) -> Asking:
    if body.image_data:
        raise NoVisionModel(
            Text(
                "이미지를 읽을 비전 모델이 설정되어 있지 않습니다.",
                "No vision model is configured to read the image.",
            ),
            hint=Text("image_data 없이 보내십시오.", "Send it without image_data."),
        )
    readiness.require()
    # Two users of one page do not hear each other.
    room = f"{body.user_id}\0{body.page_id}" if body.page_id else ""
    return Asking(body.qry_contents, rag=body.rag, scope=days(body.period), room=room)


def days(period: str) -> Scope:
    """Return the scope of a range YYYY-MM-DD:YYYY-MM-DD, everything for "". Raises `InvalidRequest`."""
    if not period.strip():
        return EVERYTHING
    found = parse_range(period)
    if found is None:
        raise InvalidRequest(
            Text("기간은 YYYY-MM-DD:YYYY-MM-DD로 적습니다.", "A period is written YYYY-MM-DD:YYYY-MM-DD.")
        )
    return Scope(found.since, found.until)


def _identity(body: QueryBody) -> str:
    return body.qry_id or uuid.uuid4().hex
