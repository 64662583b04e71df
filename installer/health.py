"""Is the service well? It answers as the expected generation, and the generation's validator agrees."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from typing import Any, Optional

from bundle.errors import RagTraceError
from bundle.text import Text

from .children import minimal_environment, tail
from .environment import python_of
from .filesystem import open_log
from .hosts.interface import ServiceDefinition, ServiceHost
from .paths import Prefix
from .service import validator_of

PROBE_TIMEOUT_S = 5.0
VALIDATOR_TIMEOUT_S = 600
# The gate leaves out what this run has established itself a moment ago (every byte, RECORD), and what takes long and says
# nothing about whether the release works here: how fast it is, and a second start of the service under a tracer.
GATE = ("--no-plugins", *(word for check in ("PKG-001", "PKG-003", "SEC-009") for word in ("--skip", check)))
GATE += tuple(
    word for name in ("System", "Tools", "Packages", "RAGTrace", "Security") for word in ("--category", name)
)
# The validator's exit status for "at least one check failed" (design.md, section 5).
VALIDATOR_FAILED = 3
ANSWER_BYTES = 1024 * 1024


class Sick(Exception):
    """The service is not well; `reason` says why, `log` the last lines it wrote, `kept` where logs were put."""

    def __init__(self, reason: Text, log: str = "") -> None:
        super().__init__(reason.en)
        self.reason = reason
        self.log = log
        self.kept: tuple[Path, ...] = ()


def wait_until_healthy(
    definition: ServiceDefinition, host: ServiceHost, timeout_s: Optional[float] = None
) -> float:
    """Wait until the service answers as this generation; return the seconds it took.

    A process that has ended is not waited for.

    Raises:
        Sick: it ended, or does not answer rightly within the time its manifest gives it.
    """
    begun = time.monotonic()
    deadline = begun + (definition.ready_timeout_s if timeout_s is None else timeout_s)
    pause = 0.02
    while True:
        problem = probe(definition)
        if problem is None:
            return time.monotonic() - begun
        status = host.status(definition)
        if not status.running and not _activating(status.detail):
            reason = Text(
                f"서비스가 시작하자마자 끝났습니다 ({status.detail})", f"the service ended ({status.detail})"
            )
            raise Sick(reason, host.logs(definition))
        if time.monotonic() >= deadline:
            raise Sick(problem, host.logs(definition))
        time.sleep(pause)
        pause = min(0.5, pause * 1.5)


def _activating(detail: str) -> bool:
    return "activating" in detail and "auto-restart" not in detail


def probe(definition: ServiceDefinition) -> Optional[Text]:
    """Ask once; return what is wrong, or None when the service answers as the expected generation."""
    status, answer = ask(definition, "/healthz")
    if status != 200:
        return Text(f"/healthz 응답: {status or answer}", f"/healthz answers {status or answer}")
    found = answer.get("generation") if isinstance(answer, dict) else None
    if found != definition.generation:
        return Text(
            f"다른 릴리스가 응답합니다: {found!r} (기대: {definition.generation})",
            f"another release answers: {found!r}, expected {definition.generation}",
        )
    status, answer = ask(definition, definition.health_path)
    if status == 200:
        return None
    brief = json.dumps(answer, ensure_ascii=False)[:300] if isinstance(answer, dict) else answer
    return Text(
        f"{definition.health_path} 응답: {status or ''} {brief}",
        f"{definition.health_path} answers {status or ''} {brief}",
    )


def ask(definition: ServiceDefinition, path: str) -> tuple[int, Any]:
    """Return the HTTP status and the JSON body of one GET; 0 and the reason where there is no answer.

    `http.client` talks to the address itself: no proxy setting can come in between.
    """
    import http.client

    connection = http.client.HTTPConnection(
        reachable_host(definition.host), definition.port, timeout=PROBE_TIMEOUT_S
    )
    try:
        connection.request("GET", path, headers={"Accept": "application/json"})
        answer = connection.getresponse()
        body = answer.read(ANSWER_BYTES)
    except (OSError, http.client.HTTPException) as error:
        return 0, f"{type(error).__name__}: {error}"
    finally:
        connection.close()
    try:
        return answer.status, json.loads(body)
    except ValueError:
        return answer.status, body[:200].decode("utf-8", "replace")


def reachable_host(host: str) -> str:
    """Return where to ask a service that listens at `host`."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)


def validate(prefix: Prefix, definition: ServiceDefinition) -> Optional[Text]:
    """Run the generation's own validator, as the service's user; return a warning, or None.

    Raises:
        Sick: the validator found a failure.
    """
    script = validator_of(prefix, definition.generation)
    if script is None:
        return None
    log = prefix.logs / f"validator-{definition.generation}.log"
    python = python_of(prefix.generation(definition.generation))
    command = [str(python), "-B", "-s", str(script), "--prefix", str(prefix.root), "--quiet", *GATE]
    identity: dict[str, Any] = {}
    if definition.user:
        identity = {"user": definition.user, "group": definition.user, "extra_groups": []}
    try:
        with open_log(log) as stream:
            done = subprocess.run(
                command, env=minimal_environment(definition.environment), cwd=str(prefix.data), check=False,
                stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.STDOUT, timeout=VALIDATOR_TIMEOUT_S,
                **identity,
            )  # fmt: skip
    except subprocess.TimeoutExpired:
        return Text("검증기가 제한 시간 안에 끝나지 않았습니다", "the validator did not end in time")
    if done.returncode == VALIDATOR_FAILED:
        raise Sick(
            Text(f"검증기가 실패를 보고했습니다 ({log})", f"the validator reports a failure ({log})"),
            tail(log),
        )
    if done.returncode != 0:
        status = done.returncode
        return Text(
            f"검증기 경고 (종료 코드 {status}, {log})", f"validator warnings (exit status {status}, {log})"
        )
    return None


def describe(error: BaseException) -> Text:
    """Return any error as one line in both languages."""
    if isinstance(error, RagTraceError):
        return error.summary
    if isinstance(error, Sick):
        return error.reason
    line = f"{type(error).__name__}: {error}"
    return Text(line, line)
