"""The system clock."""

from __future__ import annotations

from datetime import datetime


class SystemClock:
    """The local time with its zone."""

    def now(self) -> datetime:
        """Return the time."""
        return datetime.now().astimezone()
