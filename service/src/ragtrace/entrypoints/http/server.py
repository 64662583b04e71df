"""Run the HTTP interface until it is told to stop."""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from typing import Any

import uvicorn

from ragtrace import __version__
from ragtrace.application.checkup import Subject
from ragtrace.application.keeping import VectorKeeper
from ragtrace.application.ports import EmbeddingModel, LexicalAnalyzer, OwnedVectors, Reranker
from ragtrace.bootstrap import Container
from ragtrace.entrypoints.http.app import create_app
from ragtrace.entrypoints.http.readiness import Readiness, worth_waiting
from ragtrace.entrypoints.http.selfcheck import SelfCheck
from ragtrace.entrypoints.http.status import Status
from ragtrace.entrypoints.http.validation import Validation
from ragtrace.errors import NotReady, RagTraceError, StartProblem
from ragtrace.search_rules import search_rules
from ragtrace.text import Text

LOG = logging.getLogger("ragtrace")


def serve(container: Container, environment: Mapping[str, str]) -> int:
    """Serve until SIGTERM or SIGINT. Raises what keeps the service from starting; nothing is half started then."""
    _set_up_logging()
    search_rules(container.settings)
    settings = container.settings.server
    listener = _listen(settings.host, settings.port)
    with listener:
        readiness = _readiness(container)
        keeper = _keeper(container, readiness)
        generation = environment.get("RAGTRACE_GENERATION", "")
        status = Status(
            readiness=readiness,
            validation=Validation(container.validator(generation, environment), container.clock),
            counts=lambda: container.records.counts(),
            clock=container.clock,
            generation=generation,
            language=settings.language,
        )
        app = create_app(
            lambda: container.ask,
            readiness,
            container.clock,
            settings,
            generation,
            status,
            lambda: container.embedding,
        )
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            lifespan="off",
            timeout_graceful_shutdown=settings.stop_timeout_s,
            timeout_keep_alive=10,
        )
        server = uvicorn.Server(config)
        # uvicorn raises the signal again after its own clean end; that must not look like a crash.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: setattr(server, "should_exit", True))

        def loaded() -> None:
            if readiness.failure is not None:
                server.should_exit = True
            else:
                _open_for_questions(container)
                if readiness.selfcheck is not None:
                    readiness.selfcheck.refresh()
                if keeper is not None:
                    keeper.start()
                LOG.info(json.dumps({"event": "ready"}))

        def waiting(problem: RagTraceError) -> None:
            LOG.error(problem.render("en"))
            LOG.info(json.dumps({"event": "not_ready", "reference": problem.reference}))

        readiness.load_in_background(loaded, waiting)
        host, port = listener.getsockname()[:2]
        LOG.info(json.dumps({"event": "listening", "host": host, "port": port, "version": __version__}))
        server.run(sockets=[listener])
        readiness.stop()
        if keeper is not None:
            keeper.stop()
        container.close()
    LOG.info(json.dumps({"event": "stopped"}))
    return _outcome(readiness.failure)


def _outcome(failure: Exception | None) -> int:
    # A service that was stopped while it waited for its storage did as it was told.
    if failure is None or (isinstance(failure, RagTraceError) and worth_waiting(failure)):
        return 0
    if isinstance(failure, RagTraceError):
        raise failure
    raise StartProblem(
        Text("서비스를 시작하지 못했습니다.", "The service could not start."), where=repr(failure)
    ) from failure


def _readiness(container: Container) -> Readiness:
    """Open records and index and load the rest, in the background: what is damaged is then a part that is not ready."""

    def stored() -> str:
        return f"{container.records.counts()[0]} documents"

    def analyzer() -> str:
        container.analyzer.load()
        return container.analyzer.fingerprint

    def in_step() -> str:
        def progress(done: int, total: int) -> None:
            readiness.note("index", f"documents {done}/{total}")

        container.catch_up(progress, thorough=True)
        return f"{container.index.size()} chunks"

    def model() -> str:
        container.model.load()
        return container.model.name

    def loaded_analyzer() -> LexicalAnalyzer:
        if not readiness.is_ready("analyzer"):
            raise NotReady(Text("분석기를 불러오는 중입니다.", "The analyzer is being loaded."))
        return container.analyzer

    def vectors() -> str | None:
        if container.settings.embedding.model and not readiness.is_ready("embedding"):
            raise NotReady(Text("임베딩 모델을 불러오는 중입니다.", "The embedding model is being loaded."))
        return container.vector_fingerprint()

    selfcheck = SelfCheck(Subject(container.inspection, loaded_analyzer, vectors))
    parts = {"records": stored, "analyzer": analyzer, "index": in_step, "model": model}
    # Last, for they take longest: what is wrong with the rest is seen first.
    if container.settings.embedding.model:
        parts["embedding"] = _loading(lambda: container.embedding)
    if container.settings.reranker.model:
        parts["reranker"] = _loading(lambda: container.reranker)
    readiness = Readiness(parts, selfcheck)
    return readiness


def _loading(model: Callable[[], EmbeddingModel | Reranker | None]) -> Callable[[], str]:
    def load() -> str:
        found = model()
        assert found is not None
        found.load()
        return found.fingerprint

    return load


def _open_for_questions(container: Container) -> None:
    """Build what the first question needs, for opening the vectors would keep every request waiting."""
    try:
        _ = container.ask
    except RagTraceError as problem:
        # Whoever asks is told, too.
        LOG.warning(problem.render("en"))


def _keeper(container: Container, readiness: Readiness) -> VectorKeeper | None:
    """Return what keeps the vectors in step once everything is loaded; None where there are no vectors."""
    if not container.settings.embedding.model:
        return None

    def vectors() -> OwnedVectors:
        found = container.vectors
        assert found is not None
        return found

    keeper = VectorKeeper(lambda: container.follower, vectors)
    readiness.told["vectors"] = lambda: keeper.detail
    return keeper


def _listen(host: str, port: int) -> socket.socket:
    """Open the port first: an address in use is the commonest reason not to start."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        try:
            if os.name == "posix":
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(128)
        except OSError:
            listener.close()
            raise
    except OSError as error:
        raise StartProblem(
            Text(
                f"{host}:{port}에서 기다릴 수 없습니다: {error.strerror}",
                f"Cannot listen on {host}:{port}: {error.strerror}",
            ),
            state=Text("서비스를 시작하지 않았습니다.", "The service was not started."),
            hint=Text(
                "그 주소를 쓰는 프로그램을 멈추거나 RAGTRACE_SERVER_PORT를 바꾸십시오.",
                "Stop the program that uses the address, or change RAGTRACE_SERVER_PORT.",
            ),
        ) from error
    return listener


class _JsonLines(logging.Formatter):
    """One JSON object a line; messages that are JSON already are merged in."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, Any] = {
            "time": self.formatTime(record),
            "level": record.levelname,
            "logger": record.name,
        }
        message = record.getMessage()
        try:
            parsed = json.loads(message)
        except ValueError:
            parsed = None
        line.update(parsed if isinstance(parsed, dict) else {"message": message})
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def _set_up_logging() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
