"""Ask the service over HTTP on the address it is configured for; proxies are never used."""

from __future__ import annotations

import json
import time
from typing import Any, Dict, NamedTuple, Optional

from validator import limits
from validator.subject import Subject


class Reply(NamedTuple):
    """An answer (``status`` > 0), or why there is none (``status`` 0 and ``problem``)."""

    status: int
    body: Dict[str, Any]
    problem: str
    seconds: float


def connect_host(host: str) -> str:
    """Return the address to connect to for a service that listens on *host*."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)


def ask(
    subject: Subject, method: str, path: str, body: Optional[Dict[str, Any]] = None, *, timeout_s: float = 5.0
) -> Reply:
    """Send one request and return the JSON object of the answer."""
    import http.client

    started = time.monotonic()
    connection = http.client.HTTPConnection(
        connect_host(subject.service.host), subject.service.port, timeout=timeout_s
    )
    try:
        data = json.dumps(body, ensure_ascii=False).encode("utf-8") if body is not None else None
        headers = {"Content-Type": "application/json"} if data is not None else {}
        connection.request(method, path, data, headers)
        answer = connection.getresponse()
        raw = answer.read(limits.HTTP_BODY_BYTES + 1)
        status = answer.status
    except (OSError, http.client.HTTPException) as error:
        return Reply(0, {}, str(error) or type(error).__name__, time.monotonic() - started)
    finally:
        connection.close()
    return _parsed(status, raw, time.monotonic() - started)


def _parsed(status: int, raw: bytes, seconds: float) -> Reply:
    if len(raw) > limits.HTTP_BODY_BYTES:
        return Reply(status, {}, f"answer larger than {limits.HTTP_BODY_BYTES} bytes", seconds)
    try:
        value = json.loads(raw.decode("utf-8"))
    except (ValueError, RecursionError):
        return Reply(status, {}, "answer is not JSON", seconds)
    if not isinstance(value, dict):
        return Reply(status, {}, "answer is not a JSON object", seconds)
    return Reply(status, value, "", seconds)
