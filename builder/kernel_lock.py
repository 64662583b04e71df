"""Kernel locks on files: a killed holder releases its lock by dying, and its file is nobody's."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

from bundle.kernellock import try_lock

# One way for every system: Windows has no call that waits for ever.
_PAUSE_S = 0.05


def take(path: Path, *, wait: bool) -> int | None:
    """Lock `path` for this holder alone and return the descriptor, or None when it is held and `wait` is false.

    The file is made if it is not there. `give_back` removes it; whoever waited for it meanwhile has then
    locked a file without a name, notices, and begins anew.
    """
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        if not _lock(descriptor, wait):
            os.close(descriptor)
            return None
        try:
            if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                return descriptor
        except FileNotFoundError:
            pass
        os.close(descriptor)


def give_back(path: Path, descriptor: int) -> None:
    """Remove the lock's file and release the lock."""
    with contextlib.suppress(OSError):  # Windows keeps a file that somebody has open: the next one uses it
        os.unlink(path)
    os.close(descriptor)


@contextlib.contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold the lock `path`, waiting for it."""
    descriptor = take(path, wait=True)
    assert descriptor is not None
    try:
        yield
    finally:
        give_back(path, descriptor)


def _lock(descriptor: int, wait: bool) -> bool:
    while not try_lock(descriptor):
        if not wait:
            return False
        time.sleep(_PAUSE_S)
    return True
