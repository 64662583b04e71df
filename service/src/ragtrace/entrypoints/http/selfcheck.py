"""The service's own checks in the running service: looked at in a thread, kept for some seconds."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import anyio
from anyio import to_thread

from ragtrace.application.checkup import CHECKS, Check, Subject, examine
from ragtrace.domain.findings import Finding

KEPT_S = 5.0
# A probe is not kept waiting longer than this by a slow disk; it gets what was found before.
WAIT_S = 2.0


@dataclass(frozen=True)
class Seen:
    """A check with what it found."""

    check: Check
    finding: Finding
    seconds: float

    def plain(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            "id": self.check.id,
            "title": self.check.title._asdict(),
            "severity": self.check.severity,
            "ms": round(self.seconds * 1000, 1),
            **self.finding.plain(),
        }


class SelfCheck:
    """Runs all checks at most every `kept_s` seconds, one run at a time."""

    def __init__(
        self,
        subject: Subject,
        checks: tuple[Check, ...] = CHECKS,
        kept_s: float = KEPT_S,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._subject = subject
        self._checks = checks
        self._kept_s = kept_s
        self._now = now
        self._lock = threading.Lock()
        self._at: float | None = None
        self.latest: tuple[Seen, ...] = ()

    def refresh(self) -> None:
        """Look now, unless that was done a moment ago or is being done."""
        if not self._lock.acquire(blocking=False):
            return
        try:
            if self._at is not None and self._now() - self._at < self._kept_s:
                return
            found = []
            for check in self._checks:
                start = time.perf_counter()
                finding = examine(check, self._subject)
                found.append(Seen(check, finding, time.perf_counter() - start))
            self.latest = tuple(found)
            self._at = self._now()
        finally:
            self._lock.release()

    async def refreshed(self) -> tuple[Seen, ...]:
        """Return what was found, waiting only a little for a look that is due."""
        with anyio.move_on_after(WAIT_S):
            await to_thread.run_sync(self.refresh, abandon_on_cancel=True)
        return self.latest

    def failing(self) -> dict[str, str]:
        """Return the parts that a failing check makes not ready, with what it says."""
        parts: dict[str, str] = {}
        for seen in self.latest:
            if seen.check.part and seen.finding.status == "fail":
                parts.setdefault(seen.check.part, f"{seen.check.id}: {seen.finding.details.en}")
        return parts
