"""The HTTP interface: translates requests into use cases and errors into statuses, decides nothing."""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from anyio import to_thread
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from ragtrace import __version__
from ragtrace.application.ask import Ask, Retrieved
from ragtrace.application.ports import Clock
from ragtrace.domain.answers import AnswerPiece
from ragtrace.entrypoints.http.guard import AccessLog, Admission, BodyLimit, error_body, language
from ragtrace.entrypoints.http.messages import QueryBody, answer_item, closing, references
from ragtrace.entrypoints.http.readiness import Readiness
from ragtrace.entrypoints.http.status import Status, add_status
from ragtrace.errors import InvalidRequest, NoVisionModel, RagTraceError
from ragtrace.settings import ServerSettings
from ragtrace.text import Text

LOG = logging.getLogger("ragtrace.http")
_HTTP_TYPES = {400: "invalid_request", 404: "not_found", 405: "method_not_allowed"}


def create_app(
    ask: Callable[[], Ask],
    readiness: Readiness,
    clock: Clock,
    settings: ServerSettings,
    generation: str,
    status: Status | None = None,
) -> FastAPI:
    """Build the application around its use case, which is there once it is ready.

    Interactive docs are off: they load scripts from a CDN.
    """
    app = FastAPI(title="RAGTrace", version=__version__, docs_url=None, redoc_url=None, openapi_url=None)
    app.state.language = settings.language
    admission = Admission(settings.max_concurrent)
    _add_health(app, readiness, generation)
    if status is not None:
        add_status(app, status)
    _add_questions(app, ask, readiness, clock, admission)
    _add_errors(app)
    app.add_middleware(BodyLimit, most=settings.max_body_kb * 1024)
    if settings.access_log:
        app.add_middleware(AccessLog)
    return app


def _add_health(app: FastAPI, readiness: Readiness, generation: str) -> None:
    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "ok", "version": __version__, "generation": generation}

    @app.get("/readyz")
    async def readyz() -> JSONResponse:
        if readiness.selfcheck is not None and readiness.loaded:
            await readiness.selfcheck.refreshed()
        told = readiness.status
        body = {
            "status": told,
            "generation": generation,
            "version": __version__,
            "parts": readiness.parts(),
        }
        return JSONResponse(body, status_code=200 if told == "ready" else 503)


def _add_questions(
    app: FastAPI, asking: Callable[[], Ask], readiness: Readiness, clock: Clock, admission: Admission
) -> None:
    @app.post("/query")
    async def query(body: QueryBody) -> dict[str, Any]:
        _check(body, readiness)
        with admission.admitted():
            ask = asking()
            answer = await to_thread.run_sync(lambda: ask.answer(body.qry_contents, rag=body.rag))
        items = [*references(answer.passages), answer_item(answer.text)]
        return {**closing(_identity(body), answer.supported, clock.now()), "data_list": items}

    @app.post("/query_stream")
    async def query_stream(body: QueryBody, request: Request) -> StreamingResponse:
        _check(body, readiness)
        admission.enter()
        try:
            ask = asking()
            found = await to_thread.run_sync(lambda: ask.retrieve(body.qry_contents, rag=body.rag))
        except BaseException:
            admission.leave()
            raise
        events = _events(ask, found, _identity(body), clock, language(request.scope))
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return _Stream(events, admission, headers)


class _Stream(StreamingResponse):
    """A stream that gives its place back however it ends, also when the client never reads a byte of it."""

    def __init__(self, content: AsyncIterator[str], admission: Admission, headers: dict[str, str]) -> None:
        super().__init__(content, media_type="text/event-stream", headers=headers)
        self._admission = admission

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._admission.leave()


async def _events(ask: Ask, found: Retrieved, qry_id: str, clock: Clock, lang: str) -> AsyncIterator[str]:
    """Yield one `reference`, the `answer` pieces, an `error` where it fails, and `end` always."""
    yield _event("reference", {"qry_id": qry_id, "data_list": references(found.passages)})
    supported = ask.model.answers_alone
    pieces = ask.pieces(found)
    try:
        while (piece := await to_thread.run_sync(_next, pieces)) is not None:
            supported = supported or bool(piece.sources)
            yield _event("answer", {"qry_id": qry_id, "continue": "C", **answer_item(piece.text)})
    except RagTraceError as problem:
        yield _event("error", {"qry_id": qry_id, "status_code": problem.status, **error_body(problem, lang)})
        yield _event("end", _failed(qry_id, problem.status, problem.error_type, clock))
        return
    except Exception:
        LOG.exception("an answer broke off")
        yield _event("error", {"qry_id": qry_id, "status_code": 500, **_internal(lang)})
        yield _event("end", _failed(qry_id, 500, "internal", clock))
        return
    yield _event("end", closing(qry_id, supported, clock.now()))


def _failed(qry_id: str, status: int, error_type: str, clock: Clock) -> dict[str, Any]:
    return {
        **closing(qry_id, False, clock.now()),
        "status_code": status,
        "result": "fail",
        "detail": error_type,
    }


def _next(pieces: Iterator[AnswerPiece]) -> AnswerPiece | None:
    return next(pieces, None)


def _event(name: str, data: dict[str, Any]) -> str:
    # json.dumps writes no line ends, so one data line is always enough.
    return f"event: {name}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n"


def _check(body: QueryBody, readiness: Readiness) -> None:
    if body.image_data:
        raise NoVisionModel(
            Text(
                "이미지를 읽을 비전 모델이 설정되어 있지 않습니다.",
                "No vision model is configured to read the image.",
            ),
            hint=Text("image_data 없이 보내십시오.", "Send it without image_data."),
        )
    readiness.require()


def _identity(body: QueryBody) -> str:
    return body.qry_id or uuid.uuid4().hex


def _add_errors(app: FastAPI) -> None:
    """Map every error once to a status and {error, error_type}."""

    @app.exception_handler(RagTraceError)
    async def known(request: Request, problem: RagTraceError) -> JSONResponse:
        if problem.status >= 500 and problem.error_type in ("internal", "storage"):
            LOG.error(problem.render("en"))
        headers = {"Retry-After": "2"} if problem.status == 503 else None
        return JSONResponse(error_body(problem, language(request.scope)), problem.status, headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        # Field names and reasons only: the values are the user's.
        named = "; ".join(
            f"{'.'.join(map(str, each['loc'][1:])) or 'body'}: {each['msg']}" for each in error.errors()
        )
        problem = InvalidRequest(
            Text(f"요청을 이해할 수 없습니다: {named}", f"The request is not understood: {named}")
        )
        return JSONResponse(error_body(problem, language(request.scope)), problem.status)

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> JSONResponse:
        kind = _HTTP_TYPES.get(error.status_code, "http_error")
        return JSONResponse(
            {"error": str(error.detail), "error_type": kind}, error.status_code, error.headers
        )

    @app.exception_handler(Exception)
    async def unexpected(request: Request, error: Exception) -> JSONResponse:
        return JSONResponse(_internal(language(request.scope)), 500)


def _internal(lang: str) -> dict[str, str]:
    text = Text("내부 오류입니다. 서비스 기록을 확인하십시오.", "Internal error. See the log of the service.")
    return {"error": text.to(lang), "error_type": "internal"}
