"""The HTTP interface: translates requests into use cases and errors into statuses, decides nothing."""

from __future__ import annotations

import logging
from collections.abc import Callable

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from ragtrace import __version__
from ragtrace.application.ask import Ask
from ragtrace.application.ports import Clock, EmbeddingModel
from ragtrace.entrypoints.http.chat import add_chat
from ragtrace.entrypoints.http.embeddings import add_embeddings
from ragtrace.entrypoints.http.guard import AccessLog, Admission, BodyLimit, error_body, internal, language
from ragtrace.entrypoints.http.questions import add_questions
from ragtrace.entrypoints.http.readiness import Readiness
from ragtrace.entrypoints.http.status import Status, add_status
from ragtrace.errors import InvalidRequest, RagTraceError
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
    embedding: Callable[[], EmbeddingModel | None] = lambda: None,
) -> FastAPI:
    """Build the application around its use case, which is there once it is ready, and the embedding model if any.

    Interactive docs are off: they load scripts from a CDN.
    """
    app = FastAPI(title="RAGTrace", version=__version__, docs_url=None, redoc_url=None, openapi_url=None)
    app.state.language = settings.language
    admission = Admission(settings.max_concurrent)
    _add_health(app, readiness, generation)
    if status is not None:
        add_status(app, status)
    add_questions(app, ask, readiness, clock, admission)
    add_chat(app, ask, readiness, admission, embedding)
    add_embeddings(app, embedding, readiness, admission)
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
        return JSONResponse(internal(language(request.scope)), 500)
