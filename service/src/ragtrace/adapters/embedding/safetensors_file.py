"""Where the tensors of a safetensors file lie (https://huggingface.co/docs/safetensors): a length, a JSON header, bytes."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

from ragtrace.adapters.embedding.folder import problem
from ragtrace.text import Text

# What the format's own reader allows at most.
_HEADER_BYTES = 100_000_000
SIZES = {"F32": 4, "F16": 2, "BF16": 2, "F64": 8, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}


@dataclass(frozen=True)
class Place:
    """One tensor: type, shape, and its bytes in the file."""

    file: Path
    kind: str
    shape: tuple[int, ...]
    offset: int
    length: int


def places(file: Path) -> dict[str, Place]:
    """Return where each tensor lies, by name. Raises `ModelProblem` where the file is damaged or cut short."""
    try:
        size = file.stat().st_size
        with open(file, "rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if not 2 <= length <= min(size - 8, _HEADER_BYTES):
                raise ValueError(f"header of {length} bytes")
            header = json.loads(stream.read(length))
        header.pop("__metadata__", None)
        return {name: _place(file, entry, 8 + length, size) for name, entry in header.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise problem(
            Text(f"{file.name}을(를) 읽을 수 없습니다.", f"{file.name} cannot be read."),
            f"{file}: {type(error).__name__}: {error}",
        ) from error


def _place(file: Path, entry: dict[str, object], start: int, size: int) -> Place:
    kind, shape, offsets = str(entry["dtype"]), entry["shape"], entry["data_offsets"]
    if not isinstance(shape, list) or not isinstance(offsets, list) or len(offsets) != 2:
        raise ValueError(f"{entry}")
    dimensions = tuple(int(each) for each in shape)
    begin, end = int(offsets[0]), int(offsets[1])
    if min(dimensions, default=0) < 0 or end - begin != SIZES[kind] * math.prod(dimensions):
        raise ValueError(f"{entry}")
    if not 0 <= begin <= end <= size - start:
        raise ValueError(f"bytes {begin} to {end} of {size - start}")
    return Place(file, kind, dimensions, start + begin, end - begin)
