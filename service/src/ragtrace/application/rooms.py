"""Rooms: what was said lately in each conversation. Kept in memory, so a restart forgets it."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

from ragtrace.domain.conversation import Turn
from ragtrace.limits import ROOM_TURN_CHARS, ROOM_TURNS, ROOMS


@dataclass
class Rooms:
    """The latest turns of the latest rooms. Safe to use from several threads."""

    most: int = ROOMS
    turns: int = ROOM_TURNS
    _rooms: OrderedDict[str, tuple[Turn, ...]] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def said(self, room: str) -> tuple[Turn, ...]:
        """Return the turns of a room, oldest first; none for a room that is not known."""
        with self._lock:
            if room in self._rooms:
                self._rooms.move_to_end(room)
            return self._rooms.get(room, ())

    def add(self, room: str, turns: Sequence[Turn]) -> None:
        """Add turns to a room; the room unused for longest is forgotten when there are too many."""
        short = [Turn(turn.speaker, turn.text[:ROOM_TURN_CHARS]) for turn in turns]
        with self._lock:
            self._rooms[room] = (*self._rooms.get(room, ()), *short)[-self.turns :]
            self._rooms.move_to_end(room)
            while len(self._rooms) > self.most:
                self._rooms.popitem(last=False)
