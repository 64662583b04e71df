"""Which parts of the service are ready. Parts load in the background, so that liveness can be asked at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from ragtrace.errors import NotReady, RagTraceError
from ragtrace.text import Text


class Readiness:
    """The state of each part, written by the loading thread and read by requests."""

    def __init__(self, parts: dict[str, Callable[[], str]]) -> None:
        """`parts` are loaded in order; each returns a detail for people."""
        self._parts = parts
        self._states: dict[str, dict[str, Any]] = {
            name: {"ready": False, "detail": "waiting"} for name in parts
        }
        self.failure: Exception | None = None

    @property
    def ready(self) -> bool:
        """Say whether every part is ready."""
        return all(state["ready"] for state in self._states.values())

    def parts(self) -> dict[str, dict[str, Any]]:
        """Return every part's state."""
        return {name: dict(state) for name, state in self._states.items()}

    def load(self) -> None:
        """Load every part; the first failure is kept in `failure`, and nothing after it is loaded."""
        for name, load in self._parts.items():
            self._states[name] = {"ready": False, "detail": "loading"}
            start = time.perf_counter()
            try:
                detail = load()
            except RagTraceError as problem:
                self._states[name] = {"ready": False, "detail": problem.summary.en}
                self.failure = problem
                return
            seconds = time.perf_counter() - start
            self._states[name] = {"ready": True, "detail": f"{detail} ({seconds:.2f} s)"}

    def load_in_background(self, when_done: Callable[[], None]) -> threading.Thread:
        """Start a thread that loads every part, then calls `when_done`, also after a failure."""

        def work() -> None:
            try:
                self.load()
            except Exception as error:  # noqa: BLE001 - kept, and raised again by whoever ends the service
                self.failure = error
            finally:
                when_done()

        thread = threading.Thread(target=work, name="ragtrace-load", daemon=True)
        thread.start()
        return thread

    def require(self) -> None:
        """Raise `NotReady` until every part is ready."""
        if not self.ready:
            raise NotReady(
                Text("서비스가 준비 중입니다.", "The service is still starting."),
                hint=Text(
                    "/readyz가 ready가 된 뒤 다시 보내십시오.", "Send it again when /readyz says ready."
                ),
            )
