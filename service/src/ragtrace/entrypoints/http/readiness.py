"""Which parts of the service are ready. Parts load in the background, so that liveness can be asked at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from ragtrace.entrypoints.http.selfcheck import SelfCheck
from ragtrace.errors import (
    BusyProblem,
    FormatProblem,
    NotReady,
    RagTraceError,
    StorageProblem,
    UpstreamProblem,
)
from ragtrace.text import Text

# Storage that cannot be used may be put right while the service waits: space freed, a backup put back.
RETRY_S = 10.0


class Readiness:
    """The state of each part, written by the loading thread and read by requests.

    A part that is loaded counts as ready until one of the service's own checks says otherwise.
    """

    def __init__(self, parts: dict[str, Callable[[], str]], selfcheck: SelfCheck | None = None) -> None:
        """`parts` are loaded in order; each returns a detail for people."""
        self._parts = parts
        self._states: dict[str, dict[str, Any]] = {
            name: {"ready": False, "detail": "waiting"} for name in parts
        }
        self.selfcheck = selfcheck
        self.failure: Exception | None = None
        # Parts that work on in the background and keep nobody waiting: what they say of themselves.
        self.told: dict[str, Callable[[], str]] = {}
        self._over = threading.Event()

    @property
    def loaded(self) -> bool:
        """Say whether every part has been loaded."""
        return all(state["ready"] for state in self._states.values())

    @property
    def ready(self) -> bool:
        """Say whether every part is ready."""
        return self.loaded and not self._failing()

    @property
    def status(self) -> str:
        """Return `ready`, `starting`, or `not_ready` where something is wrong."""
        if self.ready:
            return "ready"
        return "not_ready" if self.failure is not None or self.loaded else "starting"

    def is_ready(self, part: str) -> bool:
        """Say whether one part has been loaded."""
        return bool(self._states[part]["ready"])

    def parts(self) -> dict[str, dict[str, Any]]:
        """Return every part's state."""
        states = {name: dict(state) for name, state in self._states.items()}
        if self.selfcheck is not None and self.selfcheck.latest:
            states.setdefault("data", {"ready": True, "detail": "checked"})
        for name, tell in self.told.items():
            states.setdefault(name, {"ready": True, "detail": tell()})
        for name, detail in self._failing().items():
            # What kept a part from being loaded is said already.
            if name not in states or states[name]["ready"]:
                states[name] = {"ready": False, "detail": detail}
        return states

    def note(self, part: str, detail: str) -> None:
        """Say how far the loading of a part is."""
        self._states[part] = {"ready": False, "detail": detail}

    def load(self) -> None:
        """Load every part that is not loaded; the first failure is kept in `failure`, nothing after it is loaded."""
        self.failure = None
        for name, load in self._parts.items():
            if self.is_ready(name):
                continue
            self.note(name, "loading")
            start = time.perf_counter()
            try:
                detail = load()
            except RagTraceError as problem:
                self.note(name, f"{problem.reference}: {problem.summary.en}")
                self.failure = problem
                return
            seconds = time.perf_counter() - start
            self._states[name] = {"ready": True, "detail": f"{detail} ({seconds:.2f} s)"}

    def load_in_background(
        self,
        when_done: Callable[[], None],
        when_waiting: Callable[[RagTraceError], None] = lambda problem: None,
        retry_s: float = RETRY_S,
    ) -> threading.Thread:
        """Start a thread that loads every part, then calls `when_done`, also after a failure.

        Storage or a server that cannot be used is no end: the service stays, says so, and tries again. `when_waiting` is told
        each time that the reason is a new one.
        """

        def work() -> None:
            told = ""
            try:
                while True:
                    self.load()
                    problem = self.failure
                    if not isinstance(problem, RagTraceError) or not worth_waiting(problem):
                        return
                    if str(problem) != told:
                        told = str(problem)
                        when_waiting(problem)
                    if self._over.wait(retry_s):
                        return
            except Exception as error:  # noqa: BLE001 - kept, and raised again by whoever ends the service
                self.failure = error
            finally:
                when_done()

        thread = threading.Thread(target=work, name="ragtrace-load", daemon=True)
        thread.start()
        return thread

    def stop(self) -> None:
        """End the waiting for storage."""
        self._over.set()

    def require(self) -> None:
        """Raise `NotReady` until every part is ready."""
        if not self.ready:
            raise NotReady(
                Text("서비스가 준비되지 않았습니다.", "The service is not ready."),
                hint=Text(
                    "/readyz가 ready가 된 뒤 다시 보내십시오.", "Send it again when /readyz says ready."
                ),
            )

    def _failing(self) -> dict[str, str]:
        return self.selfcheck.failing() if self.selfcheck is not None else {}


def worth_waiting(problem: RagTraceError) -> bool:
    """Say whether a problem can be put right without another release or configuration, as a server that starts later."""
    passing = (StorageProblem, BusyProblem, UpstreamProblem)
    return isinstance(problem, passing) and not isinstance(problem, FormatProblem)
