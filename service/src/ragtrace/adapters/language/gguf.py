"""The head of a GGUF file: what it is and how long a context it was trained for. Reads no weights.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ragtrace.errors import ModelProblem
from ragtrace.text import Text

_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
# Real files have some dozens of keys, and strings up to a chat template's length; more is damage.
_KEYS, _TEXT_BYTES = 4096, 16 << 20
_VERSIONS = (2, 3)


@dataclass(frozen=True)
class Gguf:
    """What the head of a file says: architecture, name, trained context (0 where it does not say), parts, and which
    rule splits text before its vocabulary does (empty where none is named)."""

    architecture: str
    name: str
    context: int
    parts: int
    splits_by: str


def read_gguf(path: Path) -> Gguf:
    """Return what a GGUF file is. Raises `ModelProblem` where it is none, is cut short, or is no model of text."""
    try:
        with path.open("rb") as file:
            values = _values(file)
    except OSError as error:
        raise _unusable(path, error.strerror or str(error)) from error
    except (struct.error, ValueError, UnicodeDecodeError, OverflowError) as error:
        raise _unusable(path, str(error)) from error
    architecture = str(values.get("general.architecture", ""))
    if not architecture or values.get("general.type", "model") != "model" or architecture == "clip":
        raise _unusable(path, f"{values.get('general.type', 'model')} {architecture}".strip())
    context = values.get(f"{architecture}.context_length", 0)
    parts = values.get("split.count", 1)
    return Gguf(
        architecture,
        str(values.get("general.name", "")),
        context if isinstance(context, int) else 0,
        parts if isinstance(parts, int) else 1,
        str(values.get("tokenizer.ggml.pre", "")),
    )


def _values(file: BinaryIO) -> dict[str, object]:
    """Return the scalar values of the head; arrays, which hold the vocabulary, are read over."""
    if file.read(4) != b"GGUF":
        raise ValueError("no GGUF")
    version, _, count = struct.unpack("<IQQ", file.read(20))
    if version not in _VERSIONS or count > _KEYS:
        raise ValueError(f"version {version}, {count} keys")
    found: dict[str, object] = {}
    for _ in range(count):
        key = _text(file)
        (kind,) = struct.unpack("<I", file.read(4))
        # The vocabulary comes last and is long; nothing behind it is needed.
        if key == "tokenizer.ggml.tokens":
            break
        found[key] = _value(file, kind)
    return found


def _value(file: BinaryIO, kind: int) -> object:
    if kind == _STRING:
        return _text(file)
    if kind == _ARRAY:
        inner, count = struct.unpack("<IQ", file.read(12))
        if inner == _STRING:
            for _ in range(count):
                _text(file)
        else:
            file.seek(struct.calcsize("<" + _format(inner)) * count, 1)
        return None
    code = "<" + _format(kind)
    value: object = struct.unpack(code, file.read(struct.calcsize(code)))[0]
    return value


def _format(kind: int) -> str:
    if kind not in _SCALARS:
        raise ValueError(f"value type {kind}")
    return _SCALARS[kind]


def _text(file: BinaryIO) -> str:
    (size,) = struct.unpack("<Q", file.read(8))
    if size > _TEXT_BYTES:
        raise ValueError(f"text of {size} bytes")
    data = file.read(size)
    if len(data) != size:
        raise ValueError("cut short")
    return data.decode("utf-8", "replace")


def _unusable(path: Path, reason: str) -> ModelProblem:
    return ModelProblem(
        Text(
            "GGUF 언어 모델로 읽을 수 없는 파일입니다.", "The file cannot be read as a GGUF language model."
        ),
        where=f"{path}: {reason}",
        hint=Text("파일이 온전한지 확인하십시오.", "Check that the file is whole."),
    )
