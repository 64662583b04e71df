"""Parts of an object: built once, whichever threads ask, and forgotten together."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

from ragtrace.parts import forget, part


@dataclass
class Kitchen:
    building: threading.RLock = field(default_factory=threading.RLock)
    made: int = 0

    @part
    def pot(self) -> list[int]:
        """Return the pot."""
        time.sleep(0.05)
        self.made += 1
        return [self.made]

    @part
    def lid(self) -> list[int]:
        """Return the lid, which needs the pot."""
        return self.pot


def test_threads_that_ask_at_once_get_the_same() -> None:
    kitchen, found = Kitchen(), []
    barrier = threading.Barrier(4)

    def ask() -> None:
        barrier.wait()
        found.append(kitchen.lid)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert found == [[1]] * 4 and len({id(each) for each in found}) == 1


def test_a_part_is_its_containers_own() -> None:
    one, other = Kitchen(), Kitchen()
    assert one.pot is one.pot and one.pot is not other.pot
    assert Kitchen.pot.__doc__ == "Return the pot."


def test_what_is_forgotten_is_returned_if_it_was_there_and_built_anew() -> None:
    kitchen = Kitchen()
    assert forget(kitchen, "pot", "lid") == []
    first = kitchen.pot
    assert forget(kitchen, "lid", "pot") == [first]
    assert kitchen.pot == [2]
