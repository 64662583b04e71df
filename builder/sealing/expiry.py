"""``--expires``: until when a bundle may be installed, given as a date or as days after the build's epoch."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

from bundle.errors import UsageProblem
from bundle.text import Text

_DAYS = re.compile(r"([0-9]{1,5})d\Z")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}\Z")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z\Z")
_FORM = "%Y-%m-%dT%H:%M:%SZ"
# Beyond this it is a typing error, not a policy.
_MOST_DAYS = 20 * 366


def parse(text: str, epoch: int, now: int | None = None) -> str:
    """Return the manifest's ``expires``; a date means the end of that day in UTC.

    Args:
        text: ``2027-06-30``, ``2027-06-30T12:00:00Z`` or ``90d``.
        epoch: the build's time in seconds since 1970, from which days are counted.
        now: the clock, only for refusing what has expired already; it never changes the result.

    Raises:
        UsageProblem: not of these forms, no such day, past, or more than twenty years ahead.
    """
    created = datetime.fromtimestamp(epoch, timezone.utc)
    moment = _moment(text, created)
    if moment <= created or (now is not None and moment.timestamp() <= now):
        raise _problem(
            text, Text("사용 기한이 이미 지났습니다", "that has expired already"), moment.strftime(_FORM)
        )
    if moment - created > timedelta(days=_MOST_DAYS):
        raise _problem(text, Text("사용 기한이 너무 멉니다", "that is too far ahead"), moment.strftime(_FORM))
    return moment.strftime(_FORM)


def _moment(text: str, created: datetime) -> datetime:
    days = _DAYS.match(text)
    try:
        if days is not None:
            return created + timedelta(days=int(days.group(1)))
        if _DATE.match(text):
            return datetime.strptime(f"{text}T23:59:59Z", _FORM).replace(tzinfo=timezone.utc)
        if _TIME.match(text):
            return datetime.strptime(text, _FORM).replace(tzinfo=timezone.utc)
    except (ValueError, OverflowError) as error:
        raise _problem(text, Text("없는 날짜입니다", "there is no such day"), "") from error
    raise _problem(text, Text("사용 기한의 형식이 틀립니다", "not a form of an expiry"), "")


def _problem(text: str, summary: Text, moment: str) -> UsageProblem:
    return UsageProblem(
        summary,
        where=f"--expires {text}" + (f" ({moment})" if moment else ""),
        hint=Text(
            "--expires 2027-06-30 또는 90d (소스의 시각부터)",
            "--expires 2027-06-30, or 90d (from the sources' time)",
        ),
    )
