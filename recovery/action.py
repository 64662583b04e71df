"""What an action is: what it changes, how to undo it, whether it can be done here, and how it is done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, Optional, Tuple

from bundle.text import Text
from recovery.engine import Means


@dataclass(frozen=True)
class Done:
    """How an action ended."""

    ok: bool
    detail: str = ""


Obstacle = Callable[[Means], Optional[Text]]


@dataclass(frozen=True)
class Action:
    """One thing the assistant can do.

    Args:
        id: its name in records.
        title: what it is.
        changes: what is different afterwards.
        undo: how that is taken back.
        apply: do it; idempotent, or a transaction of the installer.
        available: why it cannot be done here; None where it can.
        words: what the installer is told to do; empty for what the assistant does itself.
        preview: more about what it would do on this host, without doing anything.
        makes_room: it frees space, so a full disk must not keep it from being done.
    """

    id: str
    title: Text
    changes: Text
    undo: Text
    apply: Callable[[Means], Done]
    available: Obstacle
    words: Callable[[Means], Tuple[str, ...]]
    preview: Callable[[Means], Optional[Text]] = lambda means: None
    makes_room: bool = False
