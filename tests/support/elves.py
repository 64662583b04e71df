"""Small ELF libraries made by hand: what a linker would write, with one thing wrong where a test wants that."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

BASE = 0x1000
X86_64, AARCH64, I386 = 62, 183, 3


def library(
    *,
    machine: int = X86_64,
    bits: int = 64,
    needed: Sequence[str] = (),
    versions: Mapping[str, Sequence[str]] | None = None,
    runpath: str = "",
    soname: str = "",
    interpreter: str = "",
    changes: Mapping[int, int] | None = None,
) -> bytes:
    """Return a shared library's bytes.

    Args:
        machine: ``e_machine``.
        bits: 32 or 64.
        needed: ``DT_NEEDED``, in order.
        versions: symbol versions by the library that has to provide them.
        runpath: ``DT_RUNPATH``.
        soname: ``DT_SONAME``.
        interpreter: ``PT_INTERP``.
        changes: values to write in place of a dynamic tag's true one.
    """
    strings = bytearray(b"\0")

    def name(text: str) -> int:
        strings.extend(text.encode() + b"\0")
        return len(strings) - len(text.encode()) - 1

    entries = [(1, name(item)) for item in needed]
    entries += [(29, name(runpath))] if runpath else []
    entries += [(14, name(soname))] if soname else []
    verneed, count = _verneed(versions or {}, name)
    word = "Q" if bits == 64 else "I"
    header, each = (64, 56) if bits == 64 else (52, 32)
    wide = struct.calcsize(word) * 2
    segments = 3 if interpreter else 2
    dynamic = header + each * segments
    length = wide * (len(entries) + (2 if versions else 0) + 3)
    place = dynamic + length
    texts = place + len(verneed)
    program = interpreter.encode() + b"\0"
    if versions:
        entries += [(0x6FFFFFFE, BASE + place), (0x6FFFFFFF, count)]
    entries += [(5, BASE + texts), (10, len(strings)), (0, 0)]
    entries = [(tag, (changes or {}).get(tag, value)) for tag, value in entries]
    end = texts + len(strings)
    total = end + (len(program) if interpreter else 0)
    parts = [(1, 0, BASE, total), (2, dynamic, BASE + dynamic, length)]
    parts += [(3, end, BASE + end, len(program))] if interpreter else []
    body = b"".join(_segment(bits, *part) for part in parts)
    body += b"".join(struct.pack("<" + word * 2, tag, value) for tag, value in entries)
    made = _header(bits, machine, segments) + body + verneed + bytes(strings)
    return made + (program if interpreter else b"")


def _header(bits: int, machine: int, segments: int) -> bytes:
    start = b"\x7fELF" + bytes([2 if bits == 64 else 1, 1, 1]) + bytes(9)
    if bits == 64:
        return start + struct.pack("<HHIQQQIHHHHHH", 3, machine, 1, 0, 64, 0, 0, 64, 56, segments, 0, 0, 0)
    return start + struct.pack("<HHIIIIIHHHHHH", 3, machine, 1, 0, 52, 0, 0, 52, 32, segments, 0, 0, 0)


def _segment(bits: int, kind: int, offset: int, address: int, size: int) -> bytes:
    if bits == 64:
        return struct.pack("<IIQQQQQQ", kind, 4, offset, address, address, size, size, 8)
    return struct.pack("<IIIIIIII", kind, offset, address, address, size, size, 4, 4)


def _verneed(versions: Mapping[str, Sequence[str]], name: object) -> tuple[bytes, int]:
    assert callable(name)
    made = b""
    for number, (library_name, wanted) in enumerate(versions.items()):
        last = number == len(versions) - 1
        size = 16 + 16 * len(wanted)
        made += struct.pack("<HHIII", 1, len(wanted), name(library_name), 16, 0 if last else size)
        for index, version in enumerate(wanted):
            made += struct.pack("<IHHII", 0, 0, 2, name(version), 0 if index == len(wanted) - 1 else 16)
    return made, len(versions)
