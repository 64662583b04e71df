"""Keep the vector index in step for as long as a service runs, in a thread of its own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from ragtrace.application.following import Follower
from ragtrace.application.ports import OwnedVectors, VectorIndex
from ragtrace.errors import BusyProblem, RagTraceError
from ragtrace.limits import VECTOR_POLL_S, VECTOR_RETRY_S

LOG = logging.getLogger("ragtrace")


@dataclass
class VectorKeeper:
    """Owns an index, follows the records, and builds beside it what has to be built.

    Whatever goes wrong is said once, in the log and by `detail`, and tried again: a search by words needs no vectors.
    """

    follower: Callable[[], Follower]
    index: Callable[[], OwnedVectors]
    poll_s: float = VECTOR_POLL_S
    retry_s: float = VECTOR_RETRY_S
    detail: str = "waiting"
    problem: RagTraceError | None = None
    _over: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None
    _taken: bool = False
    _looked: bool = False

    def start(self) -> None:
        """Begin; a second call does nothing."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="ragtrace-vectors", daemon=True)
            self._thread.start()

    def stop(self, timeout_s: float = 10.0) -> None:
        """End after the batch that is being embedded, and give the index back."""
        self._over.set()
        if self._thread is not None:
            self._thread.join(timeout_s)
            if self._thread.is_alive():
                # It dies with the process, as if killed: the mark speaks of nothing that is not there.
                LOG.warning("the batch that is being embedded is given up")
                return
        if self._taken:
            self.index().close()

    def step(self) -> float:
        """Do what is to do now; return the seconds until it should be asked again."""
        try:
            index, follower = self.index(), self.follower()
            index.acquire(insist=True)
            self._taken = True
            follower.follow(index, self._progress, self._over.is_set)
            if not self._looked and follower.in_step(index):
                # Once for each start: an index of the same numbers may still be one of another history.
                self._looked = True
                if follower.mend(index):
                    follower.follow(index, self._progress, self._over.is_set)
            self.detail = f"{index.size()} chunks"
            index.maintain(lambda beside: self._beside(follower, beside))
            self.problem = None
            return self.poll_s
        except RagTraceError as problem:
            if str(problem) != str(self.problem):
                LOG.warning(problem.render("en"))
            self.problem = problem
            self.detail = f"{problem.reference}: {problem.summary.en}"
            return self.poll_s if isinstance(problem, BusyProblem) else self.retry_s

    def _run(self) -> None:
        while not self._over.is_set():
            try:
                pause = self.step()
            except Exception as error:
                LOG.exception("the vectors could not be kept in step")
                self.detail, pause = repr(error), self.retry_s
            self._over.wait(pause)

    def _progress(self, done: int, total: int) -> None:
        self.detail = f"documents {done}/{total}"

    def _beside(self, follower: Follower, index: VectorIndex) -> None:
        follower.follow(index, stopped=self._over.is_set)
