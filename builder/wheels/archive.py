"""A strict reader of ZIP files: what two tools could read differently is refused, and contents are checked whole.

Python's `zipfile` forgives prepended and trailing data, gaps, overlaps, headers that contradict the directory and
compressed streams longer than declared. Format: PKWARE APPNOTE 6.3.10, sections 4.3 and 4.4.
"""

from __future__ import annotations

import contextlib
import stat
import struct
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from bundle import limits, names

from .catalogue import Malformed, Problem

# What unpacks to more than this many times its size, beyond the free allowance, is a bomb.
RATIO = 200
ALLOWANCE = 64 * 1024 * 1024
_PIECE = 1 << 20
_BLOCK = 1 << 18
_STORED, _DEFLATED = 0, 8
_ENCRYPTED = 0x1 | 0x40 | 0x2000
_DESCRIPTOR = 0x8
_UTF8 = 0x800
_MAX16, _MAX32 = 0xFFFF, 0xFFFFFFFF
_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR = struct.Struct("<4sLQL")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_ZIP64_EXTRA, _UNICODE_PATH_EXTRA = 0x0001, 0x7075


class Member(NamedTuple):
    """One member as the directory declares it; `begin` is where its data start, sizes are bytes."""

    name: str
    method: int
    flags: int
    crc: int
    packed: int
    size: int
    offset: int
    begin: int
    mode: int

    @property
    def is_folder(self) -> bool:
        """Whether the member stands for a folder."""
        return self.name.endswith("/")


class Archive:
    """An open ZIP file whose structure has been read; `problems` says what is wrong with it."""

    def __init__(self, stream: BinaryIO, size: int) -> None:
        """Read the directory and every member's own header.

        Raises:
            Malformed: the structure cannot be read.
        """
        self._stream = stream
        self._size = size
        self.problems: list[Problem] = []
        self.members = self._read_members()
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
                piece = self._take(min(left, _PIECE))
                left -= len(piece)
                yield piece
            return
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            while left and not inflater.eof:
                block = self._take(min(left, _BLOCK))
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

    def _take(self, count: int) -> bytes:
        data = self._stream.read(count)
        if len(data) != count:
            raise Malformed("zip-readable", "truncated")
        return data

    def _at(self, offset: int, count: int) -> bytes:
        if offset < 0 or offset + count > self._size:
            raise Malformed("zip-readable", f"points to byte {offset + count} of {self._size}")
        self._stream.seek(offset)
        return self._take(count)

    def _read_members(self) -> list[Member]:
        begin, end, count = self._directory()
        if count > limits.FILES:
            raise Malformed("zip-bomb", f"{count} members")
        data = self._at(begin, end - begin)
        members, position = [], 0
        while position < len(data):
            member, position = self._central(data, position)
            members.append(member)
        if len(members) != count:
            raise Malformed("zip-readable", f"{count} members declared, {len(members)} listed")
        ordered = [self._with_local_header(item) for item in sorted(members, key=lambda item: item.offset)]
        self._check_layout(ordered, begin)
        begins = {item.offset: item.begin for item in ordered}
        return [item._replace(begin=begins[item.offset]) for item in members]

    def _directory(self) -> tuple[int, int, int]:
        """Find the directory: where it begins and ends, and how many members it lists."""
        tail = self._at(max(0, self._size - _END.size - _MAX16), min(self._size, _END.size + _MAX16))
        found = tail.rfind(b"PK\x05\x06")
        if found < 0 or found + _END.size > len(tail):
            raise Malformed("zip-readable", "no end record")
        place = self._size - len(tail) + found
        _, disk, first, here, count, size, offset, comment = _END.unpack_from(tail, found)
        if place + _END.size + comment != self._size:
            self.problems.append(Problem("zip-whole", "something follows the end record"))
        end, wide = self._directory64(place, (here, count, size, offset))
        here, count, size, offset = wide
        if disk or first or here != count:
            raise Malformed("zip-readable", "spread over several disks")
        if offset + size != end:
            raise Malformed("zip-whole", "the directory does not end where the end record begins")
        return offset, end, count

    def _directory64(self, place: int, declared: tuple[int, ...]) -> tuple[int, tuple[int, ...]]:
        """Return the end of the directory and the four counts, from the ZIP64 records where there are any."""
        limits_ = (_MAX16, _MAX16, _MAX32, _MAX32)
        saturated = [value == limit for value, limit in zip(declared, limits_, strict=True)]
        raw = self._at(place - _LOCATOR.size, _LOCATOR.size) if place >= _LOCATOR.size else b""
        if not raw.startswith(b"PK\x06\x07"):
            return place, declared
        _, disk, offset, disks = _LOCATOR.unpack(raw)
        if disk or disks != 1 or offset + _END64.size + _LOCATOR.size != place:
            raise Malformed("zip-readable", "the ZIP64 end record is not where it belongs")
        signature, size, _, _, disk, first, *wide = _END64.unpack(self._at(offset, _END64.size))
        if signature != b"PK\x06\x06" or size != _END64.size - 12 or disk or first:
            raise Malformed("zip-readable", "the ZIP64 end record is malformed")
        for narrow, value, full in zip(declared, wide, saturated, strict=True):
            if not full and narrow != value:
                raise Malformed("zip-directory", "the two end records contradict each other")
        return offset, tuple(wide)

    def _central(self, data: bytes, position: int) -> tuple[Member, int]:
        try:
            fields = _CENTRAL.unpack_from(data, position)
        except struct.error as error:
            raise Malformed("zip-readable", "the directory is cut off") from error
        signature, _, _, flags, method, _, _, crc, packed, size, name, extra, comment, disk, _, attrs, at = (
            fields
        )
        begin = position + _CENTRAL.size
        end = begin + name + extra + comment
        if signature != b"PK\x01\x02" or end > len(data) or disk not in (0, _MAX16):
            raise Malformed("zip-readable", "the directory holds something else")
        text = self._name(data[begin : begin + name], flags)
        extras = self._extras(data[begin + name : begin + name + extra], text)
        size, packed, at = _widened(extras.get(_ZIP64_EXTRA, b""), (size, packed, at), text)
        return Member(text, method, flags, crc, packed, size, at, 0, attrs >> 16), end

    def _name(self, raw: bytes, flags: int) -> str:
        try:
            return raw.decode("utf-8" if flags & _UTF8 else "ascii")
        except UnicodeDecodeError:
            text = raw.decode("utf-8", "backslashreplace")
            self.problems.append(Problem("zip-name", f"{text!r} is in no stated encoding"))
            return text

    def _extras(self, data: bytes, name: str) -> dict[int, bytes]:
        found: dict[int, bytes] = {}
        position = 0
        while position + 4 <= len(data):
            kind, length = struct.unpack_from("<2H", data, position)
            position += 4
            if position + length > len(data):
                break
            if kind in found and kind == _ZIP64_EXTRA:
                raise Malformed("zip-directory", f"{name!r} states its size twice")
            found[kind] = data[position : position + length]
            position += length
        if _UNICODE_PATH_EXTRA in found:
            self.problems.append(Problem("zip-name", f"{name!r} has a second name"))
        return found

    def _with_local_header(self, member: Member) -> Member:
        fields = _LOCAL.unpack(self._at(member.offset, _LOCAL.size))
        signature, _, flags, method, _, _, crc, packed, size, name, extra = fields
        if signature != b"PK\x03\x04":
            raise Malformed("zip-directory", f"{member.name!r} is not where the directory says")
        raw = self._take(name + extra)
        text = self._name(raw[:name], flags)
        if packed == _MAX32 or size == _MAX32:
            extras = self._extras(raw[name:], text)
            size, packed, _ = _widened(extras.get(_ZIP64_EXTRA, b""), (size, packed, 0), text)
        declared = (member.name, member.flags, member.method, member.crc, member.packed, member.size)
        own = (text, flags, method, crc, packed, size)
        later = bool(flags & _DESCRIPTOR) and own[:3] == declared[:3] and not any(own[3:])
        if own != declared and not later:
            self.problems.append(Problem("zip-directory", f"{member.name!r} declares itself as {text!r}"))
        return member._replace(begin=member.offset + _LOCAL.size + name + extra)

    def _check_layout(self, ordered: list[Member], directory: int) -> None:
        """Require that members lie one behind the other, from the first byte to the directory."""
        position = 0
        for index, member in enumerate(ordered):
            if member.offset < position:
                raise Malformed("zip-overlap", f"{member.name!r} begins inside another member")
            if member.offset > position:
                raise Malformed("zip-whole", f"unknown data before {member.name!r}")
            position = member.begin + member.packed
            following = ordered[index + 1].offset if index + 1 < len(ordered) else directory
            if member.flags & _DESCRIPTOR and position < following:
                position += self._descriptor(member, following - position)
        if position > directory:
            raise Malformed("zip-overlap", "the last member runs into the directory")
        if position < directory:
            raise Malformed("zip-whole", "unknown data before the directory")

    def _descriptor(self, member: Member, room: int) -> int:
        """Return the length of the data descriptor behind a member (APPNOTE 4.3.9), 0 where there is none."""
        data = self._at(member.begin + member.packed, room) if room <= 24 else b""
        values = (member.crc, member.packed, member.size)
        forms = [struct.pack("<L2Q", *values)]
        if max(values) <= _MAX32:
            forms.append(struct.pack("<3L", *values))
        return room if data.removeprefix(b"PK\x07\x08") in forms or data in forms else 0

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


def _widened(extra: bytes, values: tuple[int, int, int], name: str) -> tuple[int, int, int]:
    """Replace saturated 32-bit values by those of the ZIP64 extra field (APPNOTE 4.5.3), in its order."""
    widened, position = [], 0
    for value in values:
        if value == _MAX32:
            if position + 8 > len(extra):
                raise Malformed("zip-readable", f"{name!r} has no ZIP64 size")
            (value,) = struct.unpack_from("<Q", extra, position)
            position += 8
        widened.append(value)
    return (widened[0], widened[1], widened[2])
