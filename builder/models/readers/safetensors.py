"""safetensors: a length, a JSON header, and the tensors' bytes without gaps.

Format: https://huggingface.co/docs/safetensors - eight bytes little-endian header length, a JSON object of
``name: {dtype, shape, data_offsets}`` (and ``__metadata__``, text to text), then the buffer.
"""

from __future__ import annotations

import json
import struct
from math import prod
from typing import Any, BinaryIO

from .errors import Malformed, exactly

# The format's own limit on the header.
HEADER_BYTES = 100_000_000
_RANK = 32
_BITS = {
    "BOOL": 8,
    "U8": 8,
    "I8": 8,
    "F8_E4M3": 8,
    "F8_E5M2": 8,
    "F8_E8M0": 8,
    "F8_E4M3FNUZ": 8,
    "F8_E5M2FNUZ": 8,
    "F4": 4,
    "F6_E2M3": 6,
    "F6_E3M2": 6,
    "U16": 16,
    "I16": 16,
    "F16": 16,
    "BF16": 16,
    "U32": 32,
    "I32": 32,
    "F32": 32,
    "U64": 64,
    "I64": 64,
    "F64": 64,
    "C64": 64,
}


def check(stream: BinaryIO, size: int) -> int:
    """Check a whole file by its header and return the number of tensors; no tensor is read.

    Raises:
        Malformed: what does not add up.
    """
    if size < 8:
        raise Malformed("헤더 길이가 없습니다", "there is no header length")
    (length,) = struct.unpack("<Q", exactly(stream, 8))
    if length > min(HEADER_BYTES, size - 8):
        raise Malformed(
            f"헤더 길이 {length}가 제한이나 파일보다 큽니다",
            f"the header length {length} is beyond the limit or the file",
        )
    tensors = _header(exactly(stream, length))
    _check_offsets(tensors, size - 8 - length)
    return len(tensors)


def _header(data: bytes) -> dict[str, Any]:
    if not data.startswith(b"{"):
        raise Malformed("헤더가 JSON 객체가 아닙니다", "the header is no JSON object")
    try:
        header = json.loads(data.decode("utf-8"), object_pairs_hook=_no_duplicates)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"헤더가 JSON이 아닙니다: {error}", f"the header is no JSON: {error}") from error
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(item, str) for item in metadata.values()):
        raise Malformed("__metadata__가 문자열 표가 아닙니다", "__metadata__ is not text to text")
    return dict(header)


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("duplicate key")
    return result


def _check_offsets(tensors: dict[str, Any], room: int) -> None:
    """Tensors fill the buffer from its first to its last byte, each as long as its type and shape say."""
    spans = sorted((*_span(name, tensor), name) for name, tensor in tensors.items())
    place = 0
    for begin, end, name in spans:
        if begin != place:
            kind = (
                ("겹칩니다", "overlaps another")
                if begin < place
                else ("앞에 빈틈이 있습니다", "follows a gap")
            )
            raise Malformed(f"텐서 {name!r}가 {kind[0]}", f"tensor {name!r} {kind[1]}")
        place = end
    if place != room:
        raise Malformed(
            f"텐서는 {place}바이트까지인데 파일에는 {room}바이트가 있습니다",
            f"the tensors end at byte {place} of {room}",
        )


def _span(name: str, tensor: object) -> tuple[int, int]:
    if not isinstance(tensor, dict) or set(tensor) != {"dtype", "shape", "data_offsets"}:
        raise Malformed(f"텐서 {name!r}의 항목이 틀립니다", f"tensor {name!r} has the wrong keys")
    bits, shape, offsets = _BITS.get(str(tensor["dtype"])), tensor["shape"], tensor["data_offsets"]
    if bits is None:
        raise Malformed(
            f"텐서 {name!r}: 알 수 없는 형 {tensor['dtype']!r}",
            f"tensor {name!r}: unknown type {tensor['dtype']!r}",
        )
    if not (_naturals(shape) and len(shape) <= _RANK and _naturals(offsets) and len(offsets) == 2):
        raise Malformed(
            f"텐서 {name!r}의 모양이나 위치가 틀립니다", f"tensor {name!r} has a wrong shape or place"
        )
    begin, end = offsets
    if (end - begin) * 8 != prod(shape) * bits:
        raise Malformed(
            f"텐서 {name!r}의 크기가 형·모양과 다릅니다",
            f"tensor {name!r}: its size contradicts type and shape",
        )
    return begin, end


def _naturals(value: object) -> bool:
    return isinstance(value, list) and all(type(item) is int and 0 <= item < 2**63 for item in value)
