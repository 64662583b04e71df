"""A strict reader of ZIP files: what two tools could read differently is refused, and contents are checked whole.

Python's `zipfile` forgives prepended and trailing data, gaps, overlaps, headers that contradict the directory and
compressed streams longer than declared.
"""

from __future__ import annotations

import contextlib
import stat
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from . import limits, names
from .zipstructure import Malformed, Member, Problem, Structure, take

# What unpacks to more than this many times its size, beyond the free allowance, is a bomb.
RATIO = 200
ALLOWANCE = 64 * 1024 * 1024
_PIECE = 1 << 20
_BLOCK = 1 << 18
_STORED, _DEFLATED = 0, 8
_ENCRYPTED = 0x1 | 0x40 | 0x2000


class Archive:
    """An open ZIP file whose structure has been read; `problems` says what is wrong with it."""

    def __init__(self, stream: BinaryIO, size: int) -> None:
        """Read the directory and every member's own header.

        Raises:
            Malformed: the structure cannot be read.
        """
        structure = Structure(stream, size)
        self._stream = stream
        self._size = size
        self.problems = structure.problems
        self.members = structure.members
        self._check_names()
        self._check_plausible()

    def files(self) -> list[Member]:
        """Return the members that are files, in the order in which they lie."""
        return sorted((item for item in self.members if not item.is_folder), key=lambda item: item.offset)

    def pieces(self, member: Member) -> Iterator[bytes]:
        """Yield a member's contents.

        Raises:
            Malformed: it does not unpack to exactly what is declared.
        """
        crc = size = 0
        for piece in self._unpacked(member):
            size += len(piece)
            if size > member.size:
                raise Malformed("zip-size", f"{member.name!r} is larger than declared")
            crc = zlib.crc32(piece, crc)
            yield piece
        if (size, crc) != (member.size, member.crc):
            raise Malformed("zip-size", f"{member.name!r} is not what its size and CRC declare")

    def read(self, member: Member, limit: int = 16 * _PIECE) -> bytes:
        """Return a small member whole.

        Raises:
            Malformed: it is larger than `limit`, or not what is declared.
        """
        if member.size > limit:
            raise Malformed("zip-bomb", f"{member.name!r} is larger than such a file ever is")
        return b"".join(self.pieces(member))

    def _unpacked(self, member: Member) -> Iterator[bytes]:
        self._stream.seek(member.begin)
        left = member.packed
        if member.method == _STORED:
            while left:
                piece = take(self._stream, min(left, _PIECE))
                left -= len(piece)
                yield piece
            return
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            while left and not inflater.eof:
                block = take(self._stream, min(left, _BLOCK))
                left -= len(block)
                while block:
                    yield inflater.decompress(block, _PIECE)
                    block = inflater.unconsumed_tail
            rest = inflater.flush()
        except zlib.error as error:
            raise Malformed("zip-size", f"{member.name!r}: {error}") from error
        if rest:
            yield rest
        if not inflater.eof or inflater.unused_data or left:
            raise Malformed("zip-size", f"{member.name!r}: its compressed data end elsewhere than declared")

    def _check_names(self) -> None:
        listed = [item.name for item in self.members]
        for name, count in Counter(listed).items():
            if count > 1:
                self.problems.append(Problem("zip-duplicate", repr(name)))
        for name in names.colliding([name for name in dict.fromkeys(listed) if not name.endswith("/")]):
            self.problems.append(Problem("zip-case", repr(name)))
        for member in self.members:
            wrong = name_problem(member.name)
            if wrong:
                self.problems.append(Problem("zip-name", f"{member.name!r} {wrong}"))
            if member.flags & _ENCRYPTED:
                self.problems.append(Problem("zip-encrypted", repr(member.name)))
            if member.method not in (_STORED, _DEFLATED):
                self.problems.append(Problem("zip-method", f"{member.name!r}: method {member.method}"))
            kind = stat.S_IFMT(member.mode)
            if kind not in (0, stat.S_IFDIR if member.is_folder else stat.S_IFREG):
                self.problems.append(Problem("zip-link", f"{member.name!r} has the mode {member.mode:o}"))
            if member.is_folder and member.size:
                self.problems.append(Problem("zip-size", f"{member.name!r} is a folder with contents"))

    def _check_plausible(self) -> None:
        total = sum(item.size for item in self.members)
        if total > self._size * RATIO + ALLOWANCE:
            self.problems.append(Problem("zip-bomb", f"unpacks to {total} bytes"))


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Archive]:
    """Open a ZIP file and read its structure.

    Raises:
        Malformed: the structure cannot be read.
    """
    with path.open("rb") as stream:
        yield Archive(stream, path.stat().st_size)


def name_problem(name: str) -> str:
    """Return why a member may not have this name, or an empty text."""
    bare = name[:-1] if name.endswith("/") else name
    if not bare or bare.startswith("/"):
        return "is absolute or empty"
    if "\\" in bare or ":" in bare:
        return "has a backslash or a drive"
    if any(part in ("", ".", "..") for part in bare.split("/")):
        return "has a component that is empty, '.' or '..'"
    if any(ord(character) < 32 or ord(character) == 127 for character in bare):
        return "has a control character"
    if len(bare) > limits.PATH_CHARACTERS * 4:
        return "is longer than any system takes"
    return ""
