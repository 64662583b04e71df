"""A writer of compound files ([MS-CFB]): the container of HWP 5 and of old Office formats."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from datetime import datetime, timezone

SECTOR = 512
MINI = 64
CUTOFF = 4096
END, FREE, FAT = 0xFFFFFFFE, 0xFFFFFFFF, 0xFFFFFFFD
NONE = 0xFFFFFFFF


def compound_file(streams: Mapping[str, bytes]) -> bytes:
    """Return a compound file; a stream's name goes `Storage/Stream` or `Stream`."""
    entries: list[dict[str, object]] = [{"name": "Root Entry", "type": 5, "children": []}]
    storages: dict[str, int] = {"": 0}
    for path, data in streams.items():
        folder, _, name = path.rpartition("/")
        if folder not in storages:
            storages[folder] = len(entries)
            entries[0]["children"].append(len(entries))  # type: ignore[attr-defined]
            entries.append({"name": folder, "type": 1, "children": []})
        entries[storages[folder]]["children"].append(len(entries))  # type: ignore[attr-defined]
        entries.append({"name": name, "type": 2, "data": data, "children": []})

    mini, mini_fat, big = bytearray(), [], []
    for entry in entries:
        data = entry.get("data", b"")
        assert isinstance(data, bytes)
        entry["size"] = len(data)
        if not data:
            entry["start"] = END
        elif len(data) < CUTOFF:
            count = -(-len(data) // MINI)
            entry["start"] = len(mini_fat)
            mini_fat += [*range(len(mini_fat) + 1, len(mini_fat) + count), END]
            mini += data.ljust(count * MINI, b"\0")
        else:
            big.append(entry)

    def sectors(size: int, unit: int = SECTOR) -> int:
        return -(-size // unit)

    directory = sectors(128 * len(entries))
    counts = [
        directory,
        sectors(4 * len(mini_fat)),
        sectors(len(mini)),
        *(sectors(len(one["data"])) for one in big),
    ]  # type: ignore[arg-type]
    fat_sectors = 1
    while fat_sectors * 128 < fat_sectors + sum(counts):
        fat_sectors += 1
    fat = [FAT] * fat_sectors
    starts = []
    for count in counts:
        starts.append(len(fat) if count else END)
        fat += [*range(len(fat) + 1, len(fat) + count), END] if count else []
    entries[0] |= {"start": starts[2], "size": len(mini)}
    for entry, start in zip(big, starts[3:], strict=True):
        entry["start"] = start

    table = b"".join(_entry(entry, _links(entries, at)) for at, entry in enumerate(entries))
    blocks = [
        struct.pack(f"<{len(fat)}I", *fat).ljust(fat_sectors * SECTOR, b"\xff"),
        table.ljust(counts[0] * SECTOR, b"\0"),
        struct.pack(f"<{len(mini_fat)}I", *mini_fat).ljust(counts[1] * SECTOR, b"\xff"),
        bytes(mini).ljust(counts[2] * SECTOR, b"\0"),
        *(one["data"].ljust(count * SECTOR, b"\0") for one, count in zip(big, counts[3:], strict=True)),  # type: ignore[attr-defined]
    ]
    header = struct.pack(
        "<8s16x5H6x9I", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", 0x3E, 3, 0xFFFE, 9, 6,
        0, fat_sectors, starts[0], 0, CUTOFF, starts[1], counts[1], END, 0,
    )  # fmt: skip
    assert fat_sectors <= 109
    header += struct.pack("<109I", *range(fat_sectors), *[FREE] * (109 - fat_sectors))
    return header + b"".join(blocks)


def _links(entries: list[dict[str, object]], at: int) -> tuple[int, int]:
    """Return the right neighbour and the first child: the siblings are a list, which is a tree too."""
    right = NONE
    for parent in entries:
        children = _ordered(entries, parent)
        if at in children[:-1]:
            right = children[children.index(at) + 1]
    own = _ordered(entries, entries[at])
    return right, own[0] if own else NONE


def _ordered(entries: list[dict[str, object]], parent: dict[str, object]) -> list[int]:
    children = parent["children"]
    assert isinstance(children, list)
    return sorted(
        children, key=lambda one: (len(str(entries[one]["name"])), str(entries[one]["name"]).upper())
    )


def _entry(entry: Mapping[str, object], links: tuple[int, int]) -> bytes:
    name = str(entry["name"]).encode("utf-16-le") + b"\0\0"
    right, child = links
    return struct.pack(
        "<64sHBB3I16xI16xIQ", name, len(name), entry["type"], 1, NONE, right, child, 0, entry["start"], entry["size"]
    )  # fmt: skip


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
