"""A writer of compound files ([MS-CFB]): the container of HWP 5 and of old Office formats."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone

SECTOR = 512
MINI = 64
CUTOFF = 4096
END, FREE, FAT = 0xFFFFFFFE, 0xFFFFFFFF, 0xFFFFFFFD
# Places for sectors of the allocation table in the header.
HEADER_FATS = 109


@dataclass
class _Entry:
    name: str
    kind: int
    data: bytes = b""
    children: list[int] = field(default_factory=list)
    start: int = END
    size: int = 0


def compound_file(streams: Mapping[str, bytes]) -> bytes:
    """Return a compound file; a stream's name goes `Storage/Stream` or `Stream`."""
    entries = _tree(streams)
    mini = bytearray()
    mini_fat: list[int] = []
    big: list[_Entry] = []
    for entry in entries:
        entry.size = len(entry.data)
        if entry.size >= CUTOFF:
            big.append(entry)
        elif entry.data:
            count = -(-entry.size // MINI)
            entry.start = len(mini_fat)
            mini_fat += [*range(len(mini_fat) + 1, len(mini_fat) + count), END]
            mini += entry.data.ljust(count * MINI, b"\0")

    counts = [
        _sectors(size)
        for size in (128 * len(entries), 4 * len(mini_fat), len(mini), *(one.size for one in big))
    ]
    fat_sectors = 1
    while fat_sectors * SECTOR // 4 < fat_sectors + sum(counts):
        fat_sectors += 1
    assert fat_sectors <= HEADER_FATS
    fat = [FAT] * fat_sectors
    starts: list[int] = []
    for count in counts:
        starts.append(len(fat) if count else END)
        fat += [*range(len(fat) + 1, len(fat) + count), END] if count else []
    entries[0].start, entries[0].size = starts[2], len(mini)
    for entry, start in zip(big, starts[3:], strict=True):
        entry.start = start

    header = struct.pack(
        "<8s16x5H6x9I", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", 0x3E, 3, 0xFFFE, 9, 6,
        0, fat_sectors, starts[0], 0, CUTOFF, starts[1], counts[1], END, 0,
    )  # fmt: skip
    blocks = [
        header + struct.pack(f"<{HEADER_FATS}I", *range(fat_sectors), *[FREE] * (HEADER_FATS - fat_sectors)),
        struct.pack(f"<{len(fat)}I", *fat).ljust(fat_sectors * SECTOR, b"\xff"),
        b"".join(_packed(entries, at) for at in range(len(entries))).ljust(counts[0] * SECTOR, b"\0"),
        struct.pack(f"<{len(mini_fat)}I", *mini_fat).ljust(counts[1] * SECTOR, b"\xff"),
        bytes(mini).ljust(counts[2] * SECTOR, b"\0"),
        *(one.data.ljust(count * SECTOR, b"\0") for one, count in zip(big, counts[3:], strict=True)),
    ]
    return b"".join(blocks)


def _tree(streams: Mapping[str, bytes]) -> list[_Entry]:
    entries = [_Entry("Root Entry", 5)]
    storages = {"": 0}
    for path, data in streams.items():
        folder, _, name = path.rpartition("/")
        if folder not in storages:
            storages[folder] = len(entries)
            entries[0].children.append(len(entries))
            entries.append(_Entry(folder, 1))
        entries[storages[folder]].children.append(len(entries))
        entries.append(_Entry(name, 2, data))
    for entry in entries:
        entry.children.sort(key=lambda one: (len(entries[one].name), entries[one].name.upper()))
    return entries


def _sectors(size: int) -> int:
    return -(-size // SECTOR)


def _packed(entries: list[_Entry], at: int) -> bytes:
    """Return a directory entry; siblings point to the right only: a list is a tree too."""
    entry = entries[at]
    right = FREE
    for parent in entries:
        if at in parent.children[:-1]:
            right = parent.children[parent.children.index(at) + 1]
    child = entry.children[0] if entry.children else FREE
    name = entry.name.encode("utf-16-le") + b"\0\0"
    links = (FREE, right, child)
    return struct.pack(
        "<64sHBB3I16xI16xIQ", name, len(name), entry.kind, 1, *links, 0, entry.start, entry.size
    )


def property_set(values: Mapping[int, str | datetime]) -> bytes:
    """Return a property set ([MS-OLEPS]) of wide strings and times, as Hangul writes it.

    Hangul gives a string's length in bytes where the format wants characters.
    """
    body, offsets = b"", []
    for key, value in values.items():
        offsets.append((key, 8 + 8 * len(values) + len(body)))
        if isinstance(value, str):
            data = value.encode("utf-16-le") + b"\0\0"
            body += struct.pack("<II", 31, len(data)) + data + bytes(-len(data) % 4)
        else:
            ticks = int((value - datetime(1601, 1, 1, tzinfo=timezone.utc)).total_seconds()) * 10_000_000
            body += struct.pack("<IQ", 64, ticks)
    section = struct.pack("<II", 8 + 8 * len(values) + len(body), len(values))
    section += b"".join(struct.pack("<II", *pair) for pair in offsets) + body
    # What follows the last string when it is read twice as long.
    return struct.pack("<HHI16xI16xI", 0xFFFE, 0, 0, 1, 48) + section + bytes(512)
