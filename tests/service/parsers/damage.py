"""Files that a disk or a transfer has spoilt."""

from __future__ import annotations

import random
from collections.abc import Iterator


def damaged(whole: bytes, times: int, seed: int) -> Iterator[bytes]:
    """Yield a file with a few bytes replaced, every third one cut short too; the same ones each time."""
    generator = random.Random(seed)
    for number in range(times):
        data = bytearray(whole)
        if number % 3 == 0:
            del data[generator.randrange(len(data)) :]
        for _ in range(generator.randrange(1, 12)):
            if data:
                data[generator.randrange(len(data))] = generator.randrange(256)
        yield bytes(data)
