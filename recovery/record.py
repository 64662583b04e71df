"""Write what was done to the installation's audit log: the same hash-chained log as the installer's, under the same
lock, whether the installer is present or not."""

from __future__ import annotations

from pathlib import Path
from typing import Sequence

from bundle import chainlog


def record(prefix: Path, action: str, outcome: str, checks: Sequence[str]) -> None:
    """Append one entry to the log below ``<prefix>/state``.

    Args:
        prefix: the installation.
        action: an id of the fixed list.
        outcome: ``started``, ``done``, ``failed``, ``interrupted``, ``declined`` or ``unavailable``.
        checks: the checks that it was about.

    Raises:
        OSError: it could not be written.
    """
    facts = {"action": "recovery:" + action, "outcome": outcome, "checks": list(checks)}
    chainlog.append(prefix / "state", facts)
