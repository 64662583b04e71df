"""Read what a native library needs to be loaded: machine, libraries, symbol versions. ELF, without loading anything.

Formats: System V Application Binary Interface (gABI), chapters 4 and 5; symbol versions: Linux Standard Base Core 5.0,
"Symbol Versioning"; both as in elf(5). Only the program headers and the dynamic segment are read, as the loader does:
section headers may be stripped. Files are taken as hostile: every offset and count is checked, every loop is bounded.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import BinaryIO, Dict, List, NamedTuple, Tuple

MAGIC = b"\x7fELF"
# e_machine of the architectures a manifest names.
MACHINES = {"x86_64": 62, "aarch64": 183}
NAMES = {number: name for name, number in MACHINES.items()}
# Programs of accelerators and of the kernel come in the same format and are no business of the loader's.
NOT_OF_PROCESSORS = frozenset({190, 224, 247})
_HEADERS, _DYNAMIC_ENTRIES, _VERSIONS, _STRING_BYTES = 512, 4096, 1024, 4096
_PT_LOAD, _PT_DYNAMIC, _PT_INTERP = 1, 2, 3
_DT_NEEDED, _DT_STRTAB, _DT_STRSZ, _DT_SONAME, _DT_RPATH, _DT_RUNPATH = 1, 5, 10, 14, 15, 29
_DT_VERNEED, _DT_VERNEEDNUM = 0x6FFFFFFE, 0x6FFFFFFF
_DT_NULL = 0


class Malformed(Exception):
    """Not an ELF file that a loader would take; the message says what is wrong."""


class Library(NamedTuple):
    """What a file is, and what it needs; ``versions`` by the library that has to provide them."""

    bits: int
    machine: int
    interpreter: str
    soname: str
    needed: Tuple[str, ...]
    search: Tuple[str, ...]
    versions: Dict[str, Tuple[str, ...]]

    @property
    def architecture(self) -> str:
        """Return the processor family by name, else its number."""
        return NAMES.get(self.machine, f"machine {self.machine}")


def is_elf(path: Path) -> bool:
    """Tell by the first bytes.

    Raises:
        OSError: it cannot be read.
    """
    with open(path, "rb") as stream:
        return stream.read(4) == MAGIC


def read(path: Path) -> Library:
    """Return what the file says.

    Raises:
        Malformed: it contradicts itself, or ends too early.
        OSError: it cannot be read.
    """
    with open(path, "rb") as stream:
        return _File(stream).library()


class _Segment(NamedTuple):
    kind: int
    offset: int
    address: int
    size: int


class _File:
    """One open file; reads only what lies inside it."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._size = os.fstat(stream.fileno()).st_size
        start = self._bytes(0, 20)
        if start[:4] != MAGIC:
            raise Malformed("not ELF")
        self.bits = {1: 32, 2: 64}.get(start[4], 0)
        order = {1: "<", 2: ">"}.get(start[5], "")
        if not self.bits or not order:
            raise Malformed("unknown class or byte order")
        self._order = order
        self.machine: int = self._unpack("H", 18)[0]
        self.segments = self._segments()

    def library(self) -> Library:
        """Return everything that is asked for."""
        interpreter = next((item for item in self.segments if item.kind == _PT_INTERP), None)
        table = self._dynamic()
        strings = self._offset(_only(table, _DT_STRTAB)) if _DT_STRTAB in table else 0
        limit = strings + _only(table, _DT_STRSZ) if _DT_STRSZ in table else self._size
        self._strings, self._strings_end = strings, min(limit, self._size)
        search = [self._string(number) for kind in (_DT_RPATH, _DT_RUNPATH) for number in table.get(kind, [])]
        return Library(
            self.bits,
            self.machine,
            self._text(interpreter.offset, interpreter.offset + interpreter.size) if interpreter else "",
            self._string(table[_DT_SONAME][0]) if _DT_SONAME in table else "",
            tuple(self._string(number) for number in table.get(_DT_NEEDED, [])),
            tuple(part for text in search for part in text.split(":") if part),
            self._versions(table) if _DT_VERNEED in table else {},
        )

    def _segments(self) -> List[_Segment]:
        if self.bits == 64:
            place, size, count = self._unpack("Q", 32)[0], *self._unpack("HH", 54)
            form, least = "IIQQQQQQ", 56
        else:
            place, size, count = self._unpack("I", 28)[0], *self._unpack("HH", 42)
            form, least = "IIIIIIII", 32
        if count and (size < least or count > _HEADERS):
            raise Malformed("program headers of an impossible size or number")
        found = []
        for number in range(count):
            fields = self._unpack(form, place + number * size)
            if self.bits == 64:
                kind, _, offset, address, _, length, *_ = fields
            else:
                kind, offset, address, _, length, *_ = fields
            found.append(_Segment(kind, offset, address, length))
        return found

    def _dynamic(self) -> Dict[int, List[int]]:
        """Return the dynamic segment's entries by tag, in order."""
        table: Dict[int, List[int]] = {}
        segment = next((item for item in self.segments if item.kind == _PT_DYNAMIC), None)
        if segment is None:
            return table
        form, width = ("qQ", 16) if self.bits == 64 else ("iI", 8)
        for number in range(min(segment.size // width, _DYNAMIC_ENTRIES)):
            tag, value = self._unpack(form, segment.offset + number * width)
            if tag == _DT_NULL:
                return table
            table.setdefault(tag, []).append(value)
        raise Malformed("the dynamic segment has no end")

    def _versions(self, table: Dict[int, List[int]]) -> Dict[str, Tuple[str, ...]]:
        """Follow the chain of needed versions: one entry for each library, with one for each version of it."""
        found: Dict[str, Tuple[str, ...]] = {}
        place = self._offset(_only(table, _DT_VERNEED))
        budget = _VERSIONS
        for _ in range(min(_only(table, _DT_VERNEEDNUM), _VERSIONS)):
            _, count, name, first, following = self._unpack("HHIII", place)
            at, names = place + first, []
            for _ in range(count):
                budget -= 1
                if budget < 0:
                    raise Malformed("more symbol versions than anybody has")
                _, _, _, version, after = self._unpack("IHHII", at)
                names.append(self._string(version))
                if not after:
                    break
                at += after
            library = self._string(name)
            found[library] = found.get(library, ()) + tuple(names)
            if not following:
                return found
            place += following
        return found

    def _offset(self, address: int) -> int:
        """Return where in the file an address of the loaded image lies."""
        for item in self.segments:
            if item.kind == _PT_LOAD and item.address <= address < item.address + item.size:
                return item.offset + address - item.address
        raise Malformed("an address outside of what is loaded")

    def _string(self, number: int) -> str:
        return self._text(self._strings + number, self._strings_end)

    def _text(self, place: int, end: int) -> str:
        if not 0 <= place < min(end, self._size):
            raise Malformed("a name outside of the file")
        data = self._bytes(place, min(_STRING_BYTES, end - place, self._size - place))
        text, mark, _ = data.partition(b"\0")
        if not mark:
            raise Malformed("a name without an end")
        return text.decode("utf-8", "replace")

    def _unpack(self, form: str, place: int) -> Tuple[int, ...]:
        layout = self._order + form
        return struct.unpack(layout, self._bytes(place, struct.calcsize(layout)))

    def _bytes(self, place: int, size: int) -> bytes:
        if place < 0 or size < 0 or place + size > self._size:
            raise Malformed("the file ends too early")
        self._stream.seek(place)
        data = self._stream.read(size)
        if len(data) != size:
            raise Malformed("the file ends too early")
        return data


def _only(table: Dict[int, List[int]], tag: int) -> int:
    values = table.get(tag, [])
    if len(values) != 1:
        raise Malformed(f"tag {tag:#x} stands {len(values)} times")
    return values[0]
