"""Where to look: a range of days and groups."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Scope:
    """Which chunks count. `since` and `until` are ISO days, both included, "" for no bound; a chunk without a date is
    inside no bounded range. `groups` None means all; chunks without a group are seen by everybody.
    """

    since: str = ""
    until: str = ""
    groups: frozenset[str] | None = None

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
