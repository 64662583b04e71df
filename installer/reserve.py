"""`state/reserve.bin`: bytes set aside in good times, freed when a full disk stops a recovery."""

from __future__ import annotations

import errno
import os

from .filesystem import remove_file
from .paths import Prefix

# Pointer, unit, journal and audit lines of a recovery are a few kilobytes; folders take blocks of 4 KiB.
RESERVE_BYTES = 1024 * 1024
_FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))


def ensure(prefix: Prefix) -> bool:
    """Fill the reserve where it is missing or short; return whether it is there.

    Real bytes are written: a sparse file would reserve nothing.
    """
    try:
        if prefix.reserve.stat().st_size == RESERVE_BYTES:
            return True
    except FileNotFoundError:
        pass
    try:
        with open(prefix.reserve, "wb") as stream:
            stream.write(bytes(RESERVE_BYTES))
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        if error.errno not in _FULL:
            raise
        release(prefix)
        return False
    return True


def release(prefix: Prefix) -> None:
    """Give the bytes back to the file system."""
    remove_file(prefix.reserve)


def is_full(error: BaseException | None) -> bool:
    """Return whether `error`, or what caused it, says that the disk is full."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _FULL:
            return True
        error = error.__cause__ or error.__context__
    return False
