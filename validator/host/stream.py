"""Ask the service for a stream and take the time until its first event; the rest is not waited for."""

from __future__ import annotations

import json
import time
from typing import Any, Mapping, NamedTuple

from validator.host.http import connect_host
from validator.subject import Subject

# The reference event holds a few passages.
_LINE_BYTES = 1024 * 1024


class FirstEvent(NamedTuple):
    """The first event of a stream and when it came; ``status`` 0 when nobody answered, ``problem`` says why."""

    status: int
    event: str
    seconds: float
    problem: str = ""


def first_event(subject: Subject, path: str, body: Mapping[str, Any], *, timeout_s: float) -> FirstEvent:
    """Send one request and return the name of the first server-sent event, once its data has come."""
    import http.client

    started = time.monotonic()
    connection = http.client.HTTPConnection(
        connect_host(subject.service.host), subject.service.port, timeout=timeout_s
    )
    try:
        data = json.dumps(body, ensure_ascii=False).encode("utf-8")
        connection.request("POST", path, data, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        event = ""
        while answer.status == 200:
            line = answer.readline(_LINE_BYTES)
            if line.startswith(b"event:"):
                event = line[6:].strip().decode("utf-8", "replace")
            if not line or line.startswith(b"data:") or time.monotonic() - started > timeout_s:
                break
        return FirstEvent(answer.status, event, time.monotonic() - started)
    except (OSError, http.client.HTTPException) as error:
        return FirstEvent(0, "", time.monotonic() - started, str(error) or type(error).__name__)
    finally:
        connection.close()
