"""`GET /status`, `GET /status.json` and `POST /status/run`: what the service knows of itself."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from anyio import to_thread
from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from ragtrace import __version__
from ragtrace.application.ports import Clock
from ragtrace.application.validation import ReportLine
from ragtrace.entrypoints.http.guard import error_body, language
from ragtrace.entrypoints.http.readiness import Readiness
from ragtrace.entrypoints.http.status_page import page, policy
from ragtrace.entrypoints.http.validation import Answer, Desk, Validation
from ragtrace.errors import LocalOnly, RagTraceError, StorageProblem
from ragtrace.text import Text

_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
}
_CODES: dict[Answer, int] = {"started": 202, "running": 202, "too_soon": 429, "absent": 404}


@dataclass
class Status:
    """Everything the status is made of."""

    readiness: Readiness
    validation: Validation
    counts: Callable[[], tuple[int, int]]
    clock: Clock
    generation: str
    language: str = "ko"
    started: datetime = field(init=False)
    _since: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.started = self.clock.now()

    async def facts(self, *, detailed: bool) -> dict[str, Any]:
        """Return the status as plain data; what was measured and found in detail stays on this host."""
        selfcheck = self.readiness.selfcheck
        seen = await selfcheck.refreshed() if selfcheck is not None else ()
        documents, chunks = await to_thread.run_sync(self._counted)
        checks = [each.plain() for each in seen]
        if not detailed:
            checks = [{**each, "measured": "", "expected": ""} for each in checks]
        return {
            "version": __version__,
            "generation": self.generation,
            "status": self.readiness.status,
            "started": self.started.isoformat(timespec="seconds"),
            "uptime_s": int(time.monotonic() - self._since),
            "documents": documents,
            "chunks": chunks,
            "parts": self.readiness.parts(),
            "checks": checks,
            "validator": _validator(self.validation.desk(), detailed),
        }

    def _counted(self) -> tuple[int | None, int | None]:
        if not self.readiness.is_ready("records"):
            return None, None
        try:
            return self.counts()
        except StorageProblem:
            # Why, the checks say beside it.
            return None, None


def add_status(app: FastAPI, status: Status) -> None:
    """Add the three addresses."""

    @app.get("/status")
    async def html(request: Request) -> HTMLResponse:
        lang = wished_language(request)
        facts = await status.facts(detailed=is_local(request))
        headers = {**_HEADERS, "Content-Security-Policy": policy(), "Content-Language": lang}
        return HTMLResponse(page(facts, lang, may_run=is_local(request)), headers=headers)

    @app.get("/status.json")
    async def plain(request: Request) -> JSONResponse:
        return JSONResponse(await status.facts(detailed=is_local(request)), headers=_HEADERS)

    @app.post("/status/run")
    async def run(request: Request) -> Response:
        lang = wished_language(request)
        try:
            _require_local(request)
        except RagTraceError as problem:
            return JSONResponse(error_body(problem, lang), problem.status, _HEADERS)
        answer = status.validation.start()
        if "text/html" in request.headers.get("accept", ""):
            return RedirectResponse(f"/status?lang={lang}", 303, _HEADERS)
        headers = dict(_HEADERS)
        if answer == "too_soon":
            headers["Retry-After"] = str(int(status.validation.desk().wait_s) + 1)
        return JSONResponse({"result": answer}, _CODES[answer], headers)


def wished_language(request: Request) -> str:
    """Return the page's language: `lang` of the address, else what the browser prefers, else the configured one."""
    wished = request.query_params.get("lang", "")
    return wished if wished in ("ko", "en") else language(request.scope)


def is_local(request: Request) -> bool:
    """Say whether the client is on this host."""
    try:
        return request.client is not None and ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        return False


def _require_local(request: Request) -> None:
    """Refuse other hosts, and a page of another site that uses a browser of this one."""
    origin = request.headers.get("origin", "")
    foreign = origin not in ("", "null") and urlsplit(origin).netloc != request.headers.get("host", "")
    foreign = foreign or request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none")
    if foreign or origin == "null" or not is_local(request):
        raise LocalOnly(
            Text("이 서버에서만 실행할 수 있습니다.", "This can only be run from the host itself."),
            hint=Text(
                "서버에서 실행하십시오: enterprise_validator.py", "Run it there: enterprise_validator.py"
            ),
        )


def _validator(desk: Desk, detailed: bool) -> dict[str, Any]:
    report = desk.report
    lines = report.lines if report else ()
    counted: dict[str, int] = {}
    for line in lines:
        counted[line.status] = counted.get(line.status, 0) + 1
    return {
        "available": desk.absence is None,
        "absence": desk.absence._asdict() if desk.absence else None,
        "running": desk.running,
        "wait_s": int(desk.wait_s) + 1 if desk.wait_s > 0 else 0,
        "at": desk.at.isoformat(timespec="seconds") if desk.at else None,
        "verdict": report.verdict if report else None,
        "duration_s": report.duration_s if report else None,
        "problem": report.problem._asdict() if report and report.problem else None,
        "summary": counted,
        "results": [_line(line, detailed) for line in lines],
    }


def _line(line: ReportLine, detailed: bool) -> dict[str, str]:
    return {
        "id": line.id,
        "category": line.category,
        "name": line.name,
        "status": line.status,
        "details": line.details if detailed else "",
        "recommendation": line.recommendation if detailed else "",
    }
