"""Walk a protocol buffer's wire format without its schema: number, kind and place of each field.

Format: protobuf.dev/programming-guides/encoding. Contents are skipped by seeking, so memory does not grow
with the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from .errors import Malformed, exactly

BYTES = 2
_FIXED = {1: 8, 5: 4}
# Far more than the largest graphs have; a hostile file must not keep the reader busy for hours.
FIELDS = 20_000_000


class Field(NamedTuple):
    """One field: its number, its wire type, the integer of wire type 0, and where its bytes lie."""

    number: int
    wire: int
    value: int
    begin: int
    end: int


def fields(stream: BinaryIO, begin: int, end: int) -> Iterator[Field]:
    """Yield the fields between two places; the caller may read elsewhere in between.

    Raises:
        Malformed: the bytes are no protocol buffer that ends exactly at `end`.
    """
    place = begin
    for _ in range(FIELDS):
        if place == end:
            return
        stream.seek(place)
        tag = _varint(stream)
        number, wire = tag >> 3, tag & 7
        value, length = 0, 0
        if wire == 0:
            value = _varint(stream)
        elif wire == BYTES:
            length = _varint(stream)
        elif wire in _FIXED:
            length = _FIXED[wire]
        else:
            raise Malformed(f"알 수 없는 필드 형식 {wire}", f"unknown kind of field {wire}")
        start = stream.tell()
        place = start + length
        if not number or place > end:
            raise Malformed("필드가 파일 밖으로 나갑니다", "a field lies beyond its end")
        yield Field(number, wire, value, start, place)
    raise Malformed("필드가 너무 많습니다", "there are too many fields")


def content(stream: BinaryIO, field: Field, limit: int) -> bytes:
    """Return a field's bytes.

    Raises:
        Malformed: more than `limit` of them.
    """
    if field.wire != BYTES or field.end - field.begin > limit:
        raise Malformed("필드의 형식이나 길이가 틀립니다", "a field has a wrong kind or length")
    stream.seek(field.begin)
    return exactly(stream, field.end - field.begin)


def _varint(stream: BinaryIO) -> int:
    value = 0
    for shift in range(0, 70, 7):
        byte = exactly(stream, 1)[0]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value
    raise Malformed("정수가 너무 깁니다", "an integer is too long")
