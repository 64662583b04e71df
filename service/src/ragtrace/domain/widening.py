"""Widening: a range of days that holds too little is moved outwards, step by step, until it holds enough."""

from __future__ import annotations

import calendar
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import MAXYEAR, MINYEAR, date

from ragtrace.domain.scope import Scope

# Months added on each bounded side, counted from the range that was asked for.
STEPS = (3, 6, 12, 24, 60)


@dataclass(frozen=True)
class Widened:
    """The range that is looked in: by how many months it was widened (0 not at all, None to all days), and how many
    chunks it holds.
    """

    scope: Scope
    months: int | None
    held: int

    @property
    def changed(self) -> bool:
        """Say whether more is looked at than was asked for."""
        return self.months != 0


def widen(scope: Scope, count: Callable[[Scope], int], least: int) -> Widened:
    """Return the narrowest of the widened ranges that holds at least `least` chunks; all days where none does.

    Groups are rights and are never widened. A range without bounds is left as it is.
    """
    held = count(scope)
    if not scope.dated or held >= least:
        return Widened(scope, 0, held)
    for months, wider in widenings(scope):
        held = count(wider)
        if held >= least:
            return Widened(wider, months, held)
    everything = replace(scope, since="", until="")
    return Widened(everything, None, count(everything))


def widenings(scope: Scope) -> Iterator[tuple[int, Scope]]:
    """Yield the months and the range of every step; a side without a bound stays without."""
    for months in STEPS:
        since = shifted(scope.since, -months) if scope.since else ""
        until = shifted(scope.until, months) if scope.until else ""
        yield months, replace(scope, since=since, until=until)


def shifted(day: str, months: int) -> str:
    """Return the ISO day so many months later; the last of a month where that month is shorter, and no day of a year that
    the calendar has not.
    """
    origin = date.fromisoformat(day)
    number = origin.year * 12 + origin.month - 1 + months
    year, month = number // 12, number % 12 + 1
    if not MINYEAR <= year <= MAXYEAR:
        return (date.min if year < MINYEAR else date.max).isoformat()
    return date(year, month, min(origin.day, calendar.monthrange(year, month)[1])).isoformat()
