"""The service's own checks as a plugin of the enterprise validator: entry point group `ragtrace.checks`, plain data.

The validator imports this module to list the checks, so it loads no heavy part; running them does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ragtrace.application.checkup import CHECKS as _OURS
from ragtrace.application.checkup import Check, Subject, examine
from ragtrace.domain.findings import Finding
from ragtrace.text import Text

if TYPE_CHECKING:
    from ragtrace.bootstrap import Container

# One run of the validator asks for all checks of this module in one process.
_CONTAINERS: dict[str, Container] = {}


def _runner(check: Check) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    def run(context: Mapping[str, Any]) -> dict[str, Any]:
        from ragtrace.errors import RagTraceError

        try:
            container = _container(context)
        except RagTraceError as problem:
            why = Text("설정을 읽을 수 없습니다 (RAG-003)", "the configuration cannot be read (RAG-003)")
            return Finding("unknown", why, problem.where[:300]).plain()
        if check.loads:
            told = _told_by_service(check, context, container)
            if told is not None:
                return told
        finding = examine(
            check, Subject(container.inspection, lambda: container.analyzer, container.vector_fingerprint)
        )
        return finding.plain()

    return run


def _container(context: Mapping[str, Any]) -> Container:
    import os
    import sys
    from pathlib import Path

    from ragtrace.bootstrap import Container
    from ragtrace.carried import release_of
    from ragtrace.config import Place, load_settings
    from ragtrace.offline import go_offline

    go_offline(os.environ)
    config = Path(str(context["config"]))
    if str(config) not in _CONTAINERS:
        home = Path(str(context["prefix"]))
        release = release_of(Path(sys.prefix))
        settings = load_settings(Place(home, config, explicit=False, release=release), os.environ)
        _CONTAINERS[str(config)] = Container(settings)
    return _CONTAINERS[str(config)]


def _told_by_service(check: Check, context: Mapping[str, Any], container: Container) -> dict[str, Any] | None:
    """Return what the running service found with the models that it has loaded: loading others takes seconds.

    None where it does not run, is of another generation, or has not looked yet.
    """
    import http.client
    import json

    server = container.settings.server
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(server.host, server.host)
    connection = http.client.HTTPConnection(host, server.port, timeout=3)
    try:
        connection.request("GET", "/status.json")
        answer = json.loads(connection.getresponse().read(1 << 20))
        if answer["generation"] != context.get("generation", ""):
            return None
        for found in answer["checks"]:
            if found["id"] == check.id:
                return {key: found[key] for key in ("status", "details", "measured", "expected", "cause")}
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
        return None
    finally:
        connection.close()
    return None


CHECKS: list[dict[str, Any]] = [
    {
        "id": check.id,
        "category": "RAGTrace",
        "title": check.title._asdict(),
        "severity": check.severity,
        "timeout_s": check.timeout_s,
        "run": _runner(check),
    }
    for check in _OURS
]
