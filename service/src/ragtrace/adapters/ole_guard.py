"""Open compound files (OLE2: HWP 5, old Office, encrypted OOXML) without trusting a size they name.

Structure after [MS-CFB] §2.2 (header) and §2.6 (directory); read through olefile, whose loops these bounds end.
"""

from __future__ import annotations

import io
import struct
from typing import TYPE_CHECKING

from ragtrace.adapters.zip_guard import damaged

if TYPE_CHECKING:
    from olefile import OleFileIO

MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_HEADER_BYTES = 512
# What olefile lets through for a damaged or hostile file.
_FAULTS = (OSError, ValueError, IndexError, KeyError, TypeError, AttributeError, struct.error, RecursionError)


class GuardedOle:
    """The streams of a compound file; a name goes `Storage/Stream`."""

    def __init__(self, file: OleFileIO, size: int) -> None:
        self._file = file
        self._size = size
        self.names = tuple("/".join(path) for path in file.listdir(streams=True, storages=False))

    def __contains__(self, name: object) -> bool:
        """Say whether there is a stream of this name."""
        return name in self.names

    def read(self, name: str) -> bytes:
        """Return a stream's bytes. Raises `ParseProblem` when it is missing, cut off or longer than the file."""
        if name not in self.names:
            raise damaged(name)
        try:
            declared: int = self._file.get_size(name)
            # A chain of sectors may be a ring: olefile would follow it for as long as the size says.
            if declared > self._size:
                raise damaged(name)
            data: bytes = self._file.openstream(name).read()
        except _FAULTS as error:
            raise damaged(f"{name}: {error}") from error
        if len(data) != declared:
            raise damaged(name)
        return data

    def properties(self, name: str) -> dict[int, object]:
        """Return a property set ([MS-OLEPS]) by property id, times as naive UTC; {} when it cannot be read."""
        if name not in self.names or self._file.get_size(name) > self._size:
            return {}
        try:
            found: dict[int, object] = self._file.getproperties(name, convert_time=True, no_conversion=[10])
        except (*_FAULTS, OverflowError):
            # Titles and dates are extras: without them the document is still the document.
            return {}
        return found


def open_ole(data: bytes) -> GuardedOle:
    """Return the compound file in `data`. Raises `ParseProblem` when it is none, cut off or damaged."""
    import olefile

    _check_header(data)
    try:
        # Never bytes: below 1,536 of them olefile takes them for a file name.
        return GuardedOle(olefile.OleFileIO(io.BytesIO(data)), len(data))
    except _FAULTS as error:
        raise damaged(str(error)) from error


def _check_header(data: bytes) -> None:
    """Compare the counts of sectors with the length of the file."""
    if len(data) < _HEADER_BYTES or not data.startswith(MAGIC):
        raise damaged("OLE")
    (shift,) = struct.unpack_from("<H", data, 30)
    if shift not in (9, 12):
        raise damaged("OLE")
    sectors = len(data) >> shift
    (fat,) = struct.unpack_from("<I", data, 44)
    (mini_fat,) = struct.unpack_from("<I", data, 64)
    (double_fat,) = struct.unpack_from("<I", data, 72)
    if max(fat, mini_fat, double_fat) > sectors + 1:
        raise damaged("OLE")
