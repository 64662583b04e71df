"""The structure of a ZIP file: directory, end records and every member's own header, read and compared.

Format: PKWARE APPNOTE 6.3.10, sections 4.3 and 4.4. What two tools could read differently is a problem.
"""

from __future__ import annotations

import struct
from typing import BinaryIO, NamedTuple

from . import limits

_DESCRIPTOR = 0x8
_UTF8 = 0x800
_MAX16, _MAX32 = 0xFFFF, 0xFFFFFFFF
_KNOWN_VERSION = 63  # of the format, times ten: the newest that the APPNOTE describes (4.4.3.2)
_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR = struct.Struct("<4sLQL")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_ZIP64_EXTRA, _UNICODE_PATH_EXTRA = 0x0001, 0x7075


class Problem(NamedTuple):
    """One thing wrong with an archive: the check that found it (``builder/wheels/catalogue.py`` says what each
    means), and what it saw."""

    check: str
    detail: str


class Malformed(Exception):
    """The archive cannot be read any further; `problem` says why."""

    def __init__(self, check: str, detail: str) -> None:
        super().__init__(detail)
        self.problem = Problem(check, detail)


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


class Structure:
    """What a ZIP file declares: `members` in the directory's order, and `problems` with how it says so."""

    def __init__(self, stream: BinaryIO, size: int) -> None:
        """Read the directory and every member's own header.

        Raises:
            Malformed: the structure cannot be read.
        """
        self._stream = stream
        self._size = size
        self.problems: list[Problem] = []
        self.members = self._read_members()

    def _at(self, offset: int, count: int) -> bytes:
        if offset < 0 or offset + count > self._size:
            raise Malformed("zip-readable", f"points to byte {offset + count} of {self._size}")
        self._stream.seek(offset)
        return take(self._stream, count)

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
        saturated = [value == limit for value, limit in zip(declared, limits_)]
        raw = self._at(place - _LOCATOR.size, _LOCATOR.size) if place >= _LOCATOR.size else b""
        if not raw.startswith(b"PK\x06\x07"):
            return place, declared
        _, disk, offset, disks = _LOCATOR.unpack(raw)
        if disk or disks != 1 or offset + _END64.size + _LOCATOR.size != place:
            raise Malformed("zip-readable", "the ZIP64 end record is not where it belongs")
        signature, size, _, _, disk, first, *wide = _END64.unpack(self._at(offset, _END64.size))
        if signature != b"PK\x06\x06" or size != _END64.size - 12 or disk or first:
            raise Malformed("zip-readable", "the ZIP64 end record is malformed")
        for narrow, value, full in zip(declared, wide, saturated):
            if not full and narrow != value:
                raise Malformed("zip-directory", "the two end records contradict each other")
        return offset, tuple(wide)

    def _central(self, data: bytes, position: int) -> tuple[Member, int]:
        try:
            fields = _CENTRAL.unpack_from(data, position)
        except struct.error as error:
            raise Malformed("zip-readable", "the directory is cut off") from error
        signature, _, needed, flags, method, _, _, crc, packed, size, name, extra, comment, disk = fields[:14]
        attrs, at = fields[15:]
        begin = position + _CENTRAL.size
        end = begin + name + extra + comment
        if signature != b"PK\x01\x02" or end > len(data) or disk not in (0, _MAX16):
            raise Malformed("zip-readable", "the directory holds something else")
        text = self._name(data[begin : begin + name], flags)
        extras = self._extras(data[begin + name : begin + name + extra], text)
        size, packed, at = _widened(extras.get(_ZIP64_EXTRA, b""), (size, packed, at), text)
        if needed & 0xFF > _KNOWN_VERSION:
            self.problems.append(
                Problem("zip-method", f"{text!r} needs version {needed & 0xFF} of the format")
            )
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
        raw = take(self._stream, name + extra)
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


def take(stream: BinaryIO, count: int) -> bytes:
    """Read exactly so many bytes.

    Raises:
        Malformed: there are fewer.
    """
    data = stream.read(count)
    if len(data) != count:
        raise Malformed("zip-readable", "truncated")
    return data


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
