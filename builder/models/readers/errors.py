"""What a reader raises, and the small reads that all of them share."""

from __future__ import annotations

from typing import BinaryIO

from bundle.text import Text


class Malformed(Exception):
    """A file is not what its name says; `text` tells a person why."""

    def __init__(self, korean: str, english: str) -> None:
        """Keep the reason in both languages."""
        super().__init__(english)
        self.text = Text(korean, english)


def exactly(stream: BinaryIO, count: int) -> bytes:
    """Read `count` bytes.

    Raises:
        Malformed: the file ends before.
    """
    data = stream.read(count)
    if len(data) != count:
        raise Malformed("파일이 중간에서 끝납니다", "the file ends too early")
    return data
