"""GGUF, llama.cpp's format: keys and values, a table of tensors, and their aligned bytes.

Format: ggml's docs/gguf.md. Versions 2 and 3, little-endian. Everything is walked in order with bounded
reads; tensors are not read.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from math import prod
from typing import BinaryIO

from .errors import Malformed, exactly

_MAGIC = b"GGUF"
_KEYS = 1 << 16
_TENSORS = 1 << 20
_STRING = 64 << 20
_ITEMS = 1 << 24
_KEY = 65_535
# Width in bytes of the scalar value types: u8 i8 u16 i16 u32 i32 f32 bool, and the 64-bit ones.
_SCALARS = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_TEXT, _ARRAY, _U32 = 8, 9, 4
# Elements and bytes of one block, by ggml type; a type that is missing here is only bounded by the file.
_BLOCKS = {
    0: (1, 4),
    1: (1, 2),
    2: (32, 18),
    3: (32, 20),
    6: (32, 22),
    7: (32, 24),
    8: (32, 34),
    10: (256, 84),
    11: (256, 110),
    12: (256, 144),
    13: (256, 176),
    14: (256, 210),
    15: (256, 292),
    16: (256, 66),
    17: (256, 74),
    18: (256, 98),
    19: (256, 50),
    20: (32, 18),
    21: (256, 110),
    22: (256, 82),
    23: (256, 136),
    24: (1, 1),
    25: (1, 2),
    26: (1, 4),
    27: (1, 8),
    28: (1, 8),
    29: (256, 56),
    30: (1, 2),
}


@dataclass(frozen=True)
class Facts:
    """What a file says of itself: its architecture, its number of tensors, and its chat template."""

    architecture: str
    tensors: int
    chat_template: str


def check(stream: BinaryIO, size: int) -> Facts:
    """Check a whole file by its tables.

    Raises:
        Malformed: what does not add up.
    """
    if exactly(stream, 4) != _MAGIC:
        raise Malformed("GGUF 표식이 없습니다", "there is no GGUF magic")
    version, tensors, keys = struct.unpack("<IQQ", exactly(stream, 20))
    if version not in (2, 3):
        raise Malformed(f"알 수 없는 GGUF 버전 {version}", f"unknown GGUF version {version}")
    if tensors > _TENSORS or keys > _KEYS:
        raise Malformed("개수가 제한을 넘습니다", "counts are beyond the limit")
    kept: dict[str, str | int] = {}
    seen: set[str] = set()
    for _ in range(keys):
        _key_value(stream, seen, kept)
    alignment = kept.get("general.alignment", 32)
    if not isinstance(alignment, int) or not 8 <= alignment <= 1 << 16 or alignment % 8:
        raise Malformed("정렬 값이 틀립니다", "the alignment is wrong")
    spans = [_tensor(stream, alignment) for _ in range(tensors)]
    begin = -(-stream.tell() // alignment) * alignment
    _check_spans(spans, size - begin)
    return Facts(
        str(kept.get("general.architecture", "")), tensors, str(kept.get("tokenizer.chat_template", ""))
    )


_KEPT = ("general.architecture", "general.alignment", "tokenizer.chat_template")


def _key_value(stream: BinaryIO, seen: set[str], kept: dict[str, str | int]) -> None:
    key = _string(stream, _KEY)
    if key in seen:
        raise Malformed(f"키 {key!r}가 두 번 나옵니다", f"key {key!r} appears twice")
    seen.add(key)
    (kind,) = struct.unpack("<I", exactly(stream, 4))
    if key in _KEPT and kind == _TEXT:
        kept[key] = _string(stream, _STRING)
    elif key in _KEPT and kind == _U32:
        kept[key] = struct.unpack("<I", exactly(stream, 4))[0]
    else:
        _skip(stream, kind, 0)


def _skip(stream: BinaryIO, kind: int, depth: int) -> None:
    if kind in _SCALARS:
        exactly(stream, _SCALARS[kind])
    elif kind == _TEXT:
        _string(stream, _STRING)
    elif kind == _ARRAY and depth < 4:
        inner, count = struct.unpack("<IQ", exactly(stream, 12))
        if count > _ITEMS:
            raise Malformed("배열이 제한보다 깁니다", "an array is beyond the limit")
        if inner in _SCALARS:
            remaining = count * _SCALARS[inner]
            while remaining:
                remaining -= len(exactly(stream, min(remaining, 1 << 20)))
        else:
            for _ in range(count):
                _skip(stream, inner, depth + 1)
    else:
        raise Malformed(f"알 수 없는 값 형식 {kind}", f"unknown value type {kind}")


def _string(stream: BinaryIO, limit: int) -> str:
    (length,) = struct.unpack("<Q", exactly(stream, 8))
    if length > limit:
        raise Malformed("문자열이 제한보다 깁니다", "a string is beyond the limit")
    # Tokens of byte-level vocabularies need not be UTF-8.
    return exactly(stream, length).decode("utf-8", "replace")


def _tensor(stream: BinaryIO, alignment: int) -> tuple[int, int, str]:
    name = _string(stream, _KEY)
    (rank,) = struct.unpack("<I", exactly(stream, 4))
    if rank > 8:
        raise Malformed(f"텐서 {name!r}의 차원이 너무 많습니다", f"tensor {name!r} has too many dimensions")
    shape = struct.unpack(f"<{rank}Q", exactly(stream, 8 * rank))
    kind, offset = struct.unpack("<IQ", exactly(stream, 12))
    if offset % alignment:
        raise Malformed(f"텐서 {name!r}의 위치가 정렬되지 않았습니다", f"tensor {name!r} is not aligned")
    elements, width = _BLOCKS.get(kind, (0, 0))
    count = prod(shape)
    if elements and count % elements:
        raise Malformed(
            f"텐서 {name!r}의 모양이 형과 다릅니다", f"tensor {name!r}: its shape contradicts its type"
        )
    return offset, offset + (count // elements * width if elements else 1), name


def _check_spans(spans: list[tuple[int, int, str]], room: int) -> None:
    place = 0
    for begin, end, name in sorted(spans):
        if begin < place:
            raise Malformed(f"텐서 {name!r}가 겹칩니다", f"tensor {name!r} overlaps another")
        if end > room:
            raise Malformed(
                f"텐서 {name!r}가 파일 밖에 있습니다", f"tensor {name!r} lies beyond the end of the file"
            )
        place = end
