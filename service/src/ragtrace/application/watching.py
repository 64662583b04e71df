"""Notice what changes in a source by looking again and again, and wait until a file is quiet.

No operating system's notifications are used: they miss network drives, and a look costs one `stat` a file.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from ragtrace.application.ports import FoundFile
from ragtrace.application.reading import hidden_behind

# Size, time of change, and whether it may be read; None where there is no file.
Look = tuple[int, int, bool] | None


@dataclass
class ChangeWatch:
    """What was taken in last, and since when what has changed since then has been quiet."""

    quiet_s: float
    _taken: dict[str, Look] = field(default_factory=dict)
    _seen: dict[str, Look] = field(default_factory=dict)
    _since: dict[str, tuple[Look, float]] = field(default_factory=dict)

    def begin(self, files: Iterable[FoundFile]) -> None:
        """Remember the files as they are: a whole run, which begins now, takes them in."""
        self._taken, _ = _looks(files)

    def look(self, files: Iterable[FoundFile], now: float) -> frozenset[str]:
        """Return the paths that have changed since they were taken in and been quiet for `quiet_s` seconds.

        `now` is in seconds from any beginning. A file that vanished is a change too, unless a folder above it cannot be
        listed at the moment.
        """
        self._seen, troubled = _looks(files)
        for path in self._taken.keys() - self._seen.keys():
            if hidden_behind(path, troubled):
                self._seen[path] = self._taken[path]
        ready = set()
        for path in self._taken.keys() | self._seen.keys():
            look = self._seen.get(path)
            if look == self._taken.get(path):
                self._since.pop(path, None)
                continue
            before = self._since.get(path)
            if before is None or before[0] != look:
                self._since[path] = before = (look, now)
            if now - before[1] >= self.quiet_s:
                ready.add(path)
        return frozenset(ready)

    def taken(self, paths: Iterable[str]) -> None:
        """Remember that these were taken in as the last `look` saw them; what changed meanwhile is seen by the next."""
        for path in paths:
            self._since.pop(path, None)
            look = self._seen.get(path)
            if look is None:
                self._taken.pop(path, None)
            else:
                self._taken[path] = look


def _looks(files: Iterable[FoundFile]) -> tuple[dict[str, Look], set[str]]:
    looks: dict[str, Look] = {}
    troubled = set()
    for found in files:
        if found.ignored:
            continue
        if found.problem is not None:
            troubled.add(found.path)
        looks[found.path] = (found.size, found.mtime_ns, found.problem is None)
    return looks, troubled
