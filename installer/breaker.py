"""`state/recovery.json`: how many recoveries in a row have failed, so that a loop of them comes to an end.

A recovery is counted, durably, before it switches or starts anything, and the count is removed once it has come to
its end with a healthy service. Where a machine goes down whenever the service starts, or a release crashes again
and again, the count is what is left of the attempts.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from bundle.atomic import write_atomic

from . import sealed
from .filesystem import remove_file
from .paths import Prefix

ATTEMPTS = 3


@dataclass(frozen=True)
class Attempts:
    """The failed recoveries in a row, and what command made the last one (its digest: it may name anything)."""

    count: int = 0
    command: str = ""

    @property
    def exhausted(self) -> bool:
        """Whether it is time to stop."""
        return self.count >= ATTEMPTS

    def made_by(self, command: str) -> bool:
        """Return whether the same command failed before: then it is no decision of a person to try again."""
        return self.command == _digest(command)


def _digest(command: str) -> str:
    return hashlib.sha256(command.encode("utf-8", "backslashreplace")).hexdigest()


def read(prefix: Prefix) -> Attempts:
    """Return the count; none where the file is missing or damaged."""
    try:
        document = sealed.unseal(prefix.breaker.read_bytes())
        return Attempts(int(document["attempts"]), str(document["command"]))
    except (FileNotFoundError, NotADirectoryError, sealed.Damaged, KeyError, TypeError, ValueError):
        return Attempts()


def count(prefix: Prefix, command: str) -> None:
    """Note that a recovery begins; it has failed unless `reset` is reached."""
    document = {"format": 1, "attempts": read(prefix).count + 1, "command": _digest(command)}
    write_atomic(prefix.breaker, sealed.seal(document), 0o644)


def reset(prefix: Prefix) -> None:
    """Forget what failed."""
    remove_file(prefix.breaker)
