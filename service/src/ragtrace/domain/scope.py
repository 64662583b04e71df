"""Where to look: a range of days and groups."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True)
class Scope:
    """Which chunks count. `since` and `until` are ISO days, both included, "" for no bound; a chunk without a date is
    inside no bounded range. `groups` None means all; chunks without a group are seen by everybody.

    Raises:
        ValueError: a bound is neither "" nor an ISO day.
    """

    since: str = ""
    until: str = ""
    groups: frozenset[str] | None = None

    def __post_init__(self) -> None:
        """Refuse what would not order like a day."""
        for day in (self.since, self.until):
            if day:
                day_number(day)

    @property
    def dated(self) -> bool:
        """Say whether the days are bounded."""
        return bool(self.since or self.until)

    def holds(self, date: str, group: str) -> bool:
        """Say whether a chunk of this day and group is inside."""
        if self.groups is not None and group and group not in self.groups:
            return False
        if not self.dated:
            return True
        return (
            bool(date) and (not self.since or date >= self.since) and (not self.until or date <= self.until)
        )


EVERYTHING = Scope()


def day_number(day: str) -> int:
    """Return an ISO day as a number that orders like it: "2024-05-01" is 20240501. Raises `ValueError` for anything else."""
    # `fromisoformat` also takes "20240501" and weeks, which do not order like days do.
    if date.fromisoformat(day).isoformat() != day:
        raise ValueError(day)
    return int(day.replace("-", ""))
