"""Ctrl-C, SIGTERM and a closed terminal become one exception, once; while things are put back they wait."""

from __future__ import annotations

import atexit
import signal
from contextlib import contextmanager
from types import FrameType
from typing import Iterator, Optional

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")
# Whether signals are turned into `Stopped` at all, whether one has been already, and whether it is too late for one.
_state = {"listening": False, "told": False, "settled": False}


class Stopped(BaseException):
    """Somebody asked this process to end."""


def _raise(number: int, frame: Optional[FrameType]) -> None:
    """Raise, but once: a second Ctrl-C, or the SIGTERM that follows a SIGHUP, must not hit the few lines between
    the first one's exception and the undoing."""
    if not _state["told"]:
        _state["told"] = True
        raise Stopped(signal.Signals(number).name)


def _nothing(number: int, frame: Optional[FrameType]) -> None:
    """Be a handler, because SIG_IGN would be inherited: a service started meanwhile could not be stopped."""


def _ignore() -> None:
    """Ignore the signals while the interpreter ends: it takes its handlers back, and a signal would kill again."""
    for number in _numbers():
        signal.signal(number, signal.SIG_IGN)


def _numbers() -> list[signal.Signals]:
    """Return the signals to handle; one that the caller ignores (nohup) stays ignored."""
    known = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]
    return [number for number in known if signal.getsignal(number) is not signal.SIG_IGN]


@contextmanager
def listening(to_the_end: bool = False) -> Iterator[None]:
    """Turn the signals into `Stopped` for the duration.

    Args:
        to_the_end: where one was, or the work is done, ignore further ones until the process ends: nothing is left
            to interrupt but the report, and the exit code has to stay the one that tells what happened.
    """
    before = {number: signal.signal(number, _raise) for number in _numbers()}
    _state.update(listening=True, told=False, settled=False)
    try:
        yield
    finally:
        over = to_the_end and (_state["told"] or _state["settled"])
        for number, handler in before.items():
            signal.signal(number, _nothing if over else handler)
        if over:
            atexit.register(_ignore)
        _state.update(listening=False)


@contextmanager
def shielded() -> Iterator[None]:
    """Ignore the signals for the duration: putting things back must not be interrupted half-way."""
    before = {number: signal.signal(number, _nothing) for number in _numbers()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def settle() -> None:
    """Ignore the signals from now on, up to the end of `listening`: what was begun is done, and whoever is told
    "interrupted, nothing was changed" now would be told something wrong."""
    if _state["listening"]:
        _state["settled"] = True
        for number in _numbers():
            signal.signal(number, _nothing)
