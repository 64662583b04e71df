"""Runs of the enterprise validator for the status page: on request, one at a time, not more often than once a minute."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from ragtrace.application.ports import Clock
from ragtrace.application.validation import Validator, ValidatorReport
from ragtrace.text import Text

LOG = logging.getLogger("ragtrace.validation")
EVERY_S = 60.0
Answer = Literal["started", "running", "too_soon", "absent"]


@dataclass(frozen=True)
class Desk:
    """What the page shows: why there is no validator, whether it runs, the last report and when it was made."""

    absence: Text | None
    running: bool
    report: ValidatorReport | None
    at: datetime | None
    wait_s: float


class Validation:
    """Keeps the last report; it is gone with the process."""

    def __init__(
        self,
        validator: Validator,
        clock: Clock,
        every_s: float = EVERY_S,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._validator = validator
        self._clock = clock
        self._every_s = every_s
        self._now = now
        self._lock = threading.Lock()
        self._running = False
        self._begun: float | None = None
        self._report: ValidatorReport | None = None
        self._at: datetime | None = None

    def desk(self) -> Desk:
        """Return what there is to show."""
        absence = self._validator.absence()
        with self._lock:
            return Desk(absence, self._running, self._report, self._at, self._wait())

    def start(self) -> Answer:
        """Start a run in a thread, if one may be started now."""
        if self._validator.absence() is not None:
            return "absent"
        with self._lock:
            if self._running:
                return "running"
            if self._wait() > 0:
                return "too_soon"
            self._running, self._begun = True, self._now()
        threading.Thread(target=self._work, name="ragtrace-validator", daemon=True).start()
        return "started"

    def _wait(self) -> float:
        return 0.0 if self._begun is None else max(0.0, self._begun + self._every_s - self._now())

    def _work(self) -> None:
        try:
            report = self._validator.run()
        except Exception:
            LOG.exception("the validator could not be run")
            report = ValidatorReport(
                "", "", 0.0, (), Text("검증기를 실행하지 못했습니다.", "The validator could not be run.")
            )
        with self._lock:
            self._report, self._at, self._running = report, self._clock.now(), False
