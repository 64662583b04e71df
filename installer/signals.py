"""Ctrl-C, SIGTERM and a closed terminal become one exception; while things are put back they wait."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from types import FrameType
from typing import Iterator, Optional

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")


class Stopped(BaseException):
    """Somebody asked this process to end."""


def _raise(number: int, frame: Optional[FrameType]) -> None:
    raise Stopped(signal.Signals(number).name)


def _nothing(number: int, frame: Optional[FrameType]) -> None:
    """Be a handler, because SIG_IGN would be inherited: a service started meanwhile could not be stopped."""


def _numbers() -> list[signal.Signals]:
    """Return the signals to handle; one that the caller ignores (nohup) stays ignored."""
    known = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]
    return [number for number in known if signal.getsignal(number) is not signal.SIG_IGN]


@contextmanager
def listening() -> Iterator[None]:
    """Turn the signals into `Stopped` for the duration."""
    before = {number: signal.signal(number, _raise) for number in _numbers()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def shielded() -> Iterator[None]:
    """Ignore the signals for the duration: putting things back must not be interrupted half-way."""
    before = {number: signal.signal(number, _nothing) for number in _numbers()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
