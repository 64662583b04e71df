"""A part of an object: built when it is first asked for, once, whichever threads ask."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Generic, Protocol, Self, TypeVar, overload

_T = TypeVar("_T")


class Whole(Protocol):
    """What has parts. The lock is held while one is built, so that no two threads build it."""

    building: threading.RLock


class part(Generic[_T]):
    """Decorates a method, as `property` does, that builds a part; what it returns is kept until `forget`.

    `functools.cached_property` has no lock since Python 3.12: two threads would open the same files twice.
    """

    def __init__(self, build: Callable[[Any], _T]) -> None:
        self._build = build
        self._name = build.__name__
        self.__doc__ = build.__doc__

    @overload
    def __get__(self, whole: None, kind: type) -> Self: ...

    @overload
    def __get__(self, whole: Whole, kind: type) -> _T: ...

    def __get__(self, whole: Whole | None, kind: type) -> Self | _T:
        if whole is None:
            return self
        with whole.building:
            kept = vars(whole)
            if self._name not in kept:
                kept[self._name] = self._build(whole)
            found: _T = kept[self._name]
            return found


def forget(whole: Whole, *names: str) -> list[Any]:
    """Return those of the named parts that were built; the next who asks has them built anew."""
    with whole.building:
        kept = vars(whole)
        return [kept.pop(name) for name in names if name in kept]
