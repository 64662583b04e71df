"""Another clock for every Python that starts with this folder on its path: shifted by so many seconds.

``time.time`` and the local and universal time derived from it, and what ``datetime`` calls now.
"""

from __future__ import annotations

import datetime
import os
import time
from typing import Any

_SHIFT = float(os.environ.get("RAGTRACE_TEST_CLOCK_SHIFT", "0"))


def _shift() -> None:
    real: dict[str, Any] = {name: getattr(time, name) for name in ("time", "time_ns", "localtime", "gmtime")}
    changed: Any = time
    changed.time = lambda: real["time"]() + _SHIFT
    changed.time_ns = lambda: real["time_ns"]() + int(_SHIFT * 1e9)
    for name in ("localtime", "gmtime"):
        changed.__dict__[name] = _defaulting(real[name])

    class Datetime(datetime.datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return cls.fromtimestamp(time.time(), tz)

        @classmethod
        def utcnow(cls) -> Any:
            return cls.now(datetime.timezone.utc).replace(tzinfo=None)

    class Date(datetime.date):
        @classmethod
        def today(cls) -> Any:
            return cls.fromtimestamp(time.time())

    calendar: Any = datetime
    calendar.datetime, calendar.date = Datetime, Date


def _defaulting(function: Any) -> Any:
    return lambda seconds=None: function(time.time() if seconds is None else seconds)


if _SHIFT:
    _shift()
