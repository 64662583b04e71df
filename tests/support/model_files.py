"""Model files of a few bytes, put together by hand: sound ones, and what makes each of them hostile."""

from __future__ import annotations

import json
import struct
from typing import Any


def safetensors(tensors: dict[str, bytes] | None = None, **header: Any) -> bytes:
    """Return a safetensors file of byte tensors; `header` replaces or adds entries."""
    contents = {"weight": bytes(range(64))} if tensors is None else tensors
    entries: dict[str, Any] = {}
    place = 0
    for name, data in contents.items():
        entries[name] = {"dtype": "U8", "shape": [len(data)], "data_offsets": [place, place + len(data)]}
        place += len(data)
    return with_header(json.dumps(entries | header).encode(), b"".join(contents.values()))


def with_header(header: bytes, data: bytes = b"") -> bytes:
    """Return a safetensors file with this very header."""
    return struct.pack("<Q", len(header)) + header + data


def _string(text: str) -> bytes:
    return struct.pack("<Q", len(text.encode())) + text.encode()


def gguf(
    template: str = "{{ messages }}",
    offsets: tuple[int, ...] = (0, 128),
    *,
    version: int = 3,
    tensors: int | None = None,
    keys: tuple[str, ...] = ("general.architecture",),
    tail: int = 256,
) -> bytes:
    """Return a GGUF file of F32 tensors with 32 elements at the given offsets."""
    values = [*((key, "llama") for key in keys), ("tokenizer.chat_template", template)]
    count = len(offsets) if tensors is None else tensors
    data = b"GGUF" + struct.pack("<IQQ", version, count, len(values) + 1)
    for key, text in values:
        data += _string(key) + struct.pack("<I", 8) + _string(text)
    data += _string("tokenizer.ggml.tokens") + struct.pack("<IIQ", 9, 8, 2) + _string("a") + _string("b")
    for number, offset in enumerate(offsets):
        data += _string(f"blk.{number}.weight") + struct.pack("<IQIQ", 1, 32, 0, offset)
    return data + bytes(-len(data) % 32) + bytes(tail)


def field(number: int, content: bytes | int) -> bytes:
    """Return one protocol buffer field: bytes, or a small integer."""
    if isinstance(content, int):
        return _varint(number << 3) + _varint(content)
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    data = b""
    while value >= 0x80:
        data += bytes([value & 0x7F | 0x80])
        value >>= 7
    return data + bytes([value])


def onnx(
    location: str = "", *, offset: int = 0, length: int = 0, domain: str = "", nested: bool = False
) -> bytes:
    """Return an ONNX model with one tensor: inside, or in the file `location`; `nested` puts it into an attribute."""
    tensor = field(1, 4) + field(8, b"w")
    if location:
        for key, value in (("location", location), ("offset", str(offset)), ("length", str(length))):
            tensor += field(13, field(1, key.encode()) + field(2, value.encode()))
        tensor += field(14, 1)
    else:
        tensor += field(9, bytes(16))
    node = field(4, b"Gemm") + (field(7, domain.encode()) if domain else b"")
    if nested:
        inner = field(6, field(5, tensor))
        graph = field(1, node + field(5, field(1, b"then") + inner))
    else:
        graph = field(1, node) + field(5, tensor)
    return field(1, 8) + field(7, graph)


def sentencepiece(pieces: int = 3) -> bytes:
    """Return a SentencePiece model with so many pieces."""
    return b"".join(field(1, field(1, b"piece%d" % number)) for number in range(pieces)) + field(2, b"")


# What pickle.dumps(os.system) would begin with; never loaded by anything here.
PICKLE = b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94."
TORCH_ZIP = b"PK\x03\x04" + bytes(60)
