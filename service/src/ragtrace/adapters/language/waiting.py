"""Between threads: a place to generate in, and the tokens on their way from the engine's thread to the caller's."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

from ragtrace.errors import Overloaded
from ragtrace.text import Text

# How long a caller sleeps before it asks again whether it was cancelled. An item wakes it at once.
POLL_S = 0.05
Item = TypeVar("Item")


class Gate:
    """Lets so many generations in at a time; further ones wait their turn, but not for ever."""

    def __init__(self, places: int, timeout_s: float) -> None:
        self.places = places
        self._timeout = timeout_s
        self._free = threading.Semaphore(places)

    @contextmanager
    def place(self, cancelled: Callable[[], bool]) -> Iterator[bool]:
        """Hold a place inside; false when cancelled first. Raises `Overloaded` when none comes free in time."""
        deadline = time.monotonic() + self._timeout
        while not self._free.acquire(timeout=POLL_S):
            if cancelled():
                yield False
                return
            if time.monotonic() > deadline:
                raise Overloaded(
                    Text(
                        f"언어 모델이 {self._timeout:g}초 동안 계속 바쁩니다.",
                        f"The language model has been busy for {self._timeout:g} seconds.",
                    ),
                    hint=Text(
                        "잠시 뒤에 다시 시도하거나 language.parallel을 늘리십시오.",
                        "Try again in a moment, or raise language.parallel.",
                    ),
                )
        try:
            yield not cancelled()
        finally:
            self._free.release()


class Flow(Generic[Item]):
    """What one generation makes, handed over in order.

    The engine's thread calls `put` and one of `end` and `fail`, and looks at `unwanted` between tokens.
    """

    def __init__(self) -> None:
        self._items: queue.SimpleQueue[tuple[str, Item | BaseException | None]] = queue.SimpleQueue()
        self._unwanted = threading.Event()

    @property
    def unwanted(self) -> bool:
        """Say whether nobody reads any more."""
        return self._unwanted.is_set()

    def put(self, item: Item) -> None:
        """Hand an item over."""
        self._items.put(("item", item))

    def end(self) -> None:
        """Say that there is no more."""
        self._items.put(("end", None))

    def fail(self, error: BaseException) -> None:
        """Say that it failed; the reader raises the error."""
        self._items.put(("error", error))

    def give_up(self) -> None:
        """Say that nobody reads any more."""
        self._unwanted.set()

    def read(self, cancelled: Callable[[], bool]) -> Generator[Item, None, None]:
        """Yield items until the end, or until cancelled; then, and when closed, the engine is told to stop."""
        try:
            while not cancelled():
                try:
                    kind, item = self._items.get(timeout=POLL_S)
                except queue.Empty:
                    continue
                if kind == "error":
                    assert isinstance(item, BaseException)
                    raise item
                if kind == "end":
                    return
                yield item  # type: ignore[misc]
            self._unwanted.set()
        except GeneratorExit:
            self._unwanted.set()
            raise
