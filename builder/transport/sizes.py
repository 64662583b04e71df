"""Sizes as people write them on media: ``4GB``, ``700M``, ``3.5GiB``, and the media themselves."""

from __future__ import annotations

import re

from bundle.errors import UsageProblem
from bundle.text import Text

_SIZE = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)\s*([KMGT]?)(I?)B?", re.IGNORECASE)
_POWERS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}
# What fits beside the file system's own tables, unpack.py and the index, on a medium of that kind.
MEDIA = {
    "CD": 690_000_000,
    "DVD": 4_650_000_000,
    "4.7GB-DVD": 4_650_000_000,
    "8.5GB-DVD": 8_480_000_000,
    "BD": 24_900_000_000,
    # The largest file that a stick formatted with FAT32 can hold.
    "FAT32": 2**32 - 1,
}
SMALLEST = 1_000_000


def parse_size(text: str) -> int:
    """Return a volume size in bytes; units are decimal as on the packaging, binary with an ``i``.

    Raises:
        UsageProblem: not a size, or below one megabyte.
    """
    size = MEDIA.get(text.strip().upper()) or to_bytes(text)
    if size is None:
        raise _problem(text, Text("볼륨 크기를 알 수 없습니다", "the volume size is not understood"))
    if size < SMALLEST:
        raise _problem(
            text, Text("볼륨이 너무 작습니다 (1MB 이상)", "the volumes are too small (at least 1MB)")
        )
    return size


def to_bytes(text: str) -> int | None:
    """Return a size in bytes, or None for what is no size."""
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        return None
    number, unit, binary = found.groups()
    return int(float(number) * (1024 if binary else 1000) ** _POWERS[unit.upper()])


def _problem(text: str, summary: Text) -> UsageProblem:
    names = ", ".join(MEDIA)
    return UsageProblem(
        summary,
        where=f"--volume-size {text}",
        hint=Text(f"예: 4GB, 700M, 3.5GiB 또는 {names}", f"for instance 4GB, 700M, 3.5GiB, or {names}"),
    )
