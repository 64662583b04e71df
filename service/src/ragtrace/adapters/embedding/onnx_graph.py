"""Write an ONNX graph without the package onnx: nodes, small constants, and weights that stay in another file.

Field numbers are those of onnx.proto (ONNX 1.19, IR version 10); a message is its fields, each a tag and a value
(Protocol Buffers, wire format).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Union

FLOAT, INT64, FLOAT16, BFLOAT16 = 1, 7, 10, 16
# The first with GELU as one operator.
_OPSET = 20
_IR = 10
_EXTERNAL = 1
Attribute = Union[int, float, Sequence[int]]


@dataclass
class OnnxGraph:
    """Nodes in the order they were added; every method returns the name of what it adds."""

    _nodes: list[bytes] = field(default_factory=list)
    _tensors: list[bytes] = field(default_factory=list)
    _inputs: list[bytes] = field(default_factory=list)
    _outputs: list[bytes] = field(default_factory=list)
    _count: int = 0

    def node(self, operator: str, *inputs: str, name: str = "", **attributes: Attribute) -> str:
        """Add an operator with one output."""
        result = name or self._name("v")
        data = b"".join(_bytes(1, each.encode()) for each in inputs)
        data += _bytes(2, result.encode()) + _bytes(4, operator.encode())
        data += b"".join(_bytes(5, _attribute(key, value)) for key, value in attributes.items())
        self._nodes.append(data)
        return result

    def integers(self, *values: int) -> str:
        """Add a row of int64 constants."""
        return self._tensor((len(values),), INT64, _bytes(9, struct.pack(f"<{len(values)}q", *values)))

    def integer(self, value: int) -> str:
        """Add one int64 constant without dimensions."""
        return self._tensor((), INT64, _bytes(9, struct.pack("<q", value)))

    def real(self, value: float) -> str:
        """Add one float32 constant."""
        return self._tensor((1,), FLOAT, _bytes(9, struct.pack("<f", value)))

    def external(self, shape: Sequence[int], kind: int, file: str, offset: int, length: int) -> str:
        """Add a tensor whose bytes lie in a file beside the graph."""
        entries = {"location": file, "offset": str(offset), "length": str(length)}
        place = b"".join(
            _bytes(13, _bytes(1, key.encode()) + _bytes(2, value.encode())) for key, value in entries.items()
        )
        return self._tensor(shape, kind, place + _number(14, _EXTERNAL))

    def input(self, name: str, *axes: str) -> str:
        """Declare an int64 input."""
        self._inputs.append(_declared(name, axes, INT64))
        return name

    def output(self, name: str, *axes: str) -> None:
        """Declare a float32 output."""
        self._outputs.append(_declared(name, axes, FLOAT))

    def to_bytes(self) -> bytes:
        """Return the model."""
        graph = b"".join(_bytes(1, each) for each in self._nodes) + _bytes(2, b"encoder")
        graph += b"".join(_bytes(5, each) for each in self._tensors)
        graph += b"".join(_bytes(11, each) for each in self._inputs)
        graph += b"".join(_bytes(12, each) for each in self._outputs)
        return _number(1, _IR) + _bytes(7, graph) + _bytes(8, _bytes(1, b"") + _number(2, _OPSET))

    def _tensor(self, shape: Sequence[int], kind: int, content: bytes) -> str:
        name = self._name("c")
        dimensions = b"".join(_number(1, each) for each in shape)
        self._tensors.append(dimensions + _number(2, kind) + _bytes(8, name.encode()) + content)
        return name

    def _name(self, letter: str) -> str:
        self._count += 1
        return f"{letter}{self._count}"


def _attribute(name: str, value: Attribute) -> bytes:
    head = _bytes(1, name.encode())
    if isinstance(value, float):
        return head + bytes([2 << 3 | 5]) + struct.pack("<f", value) + _number(20, 1)
    if isinstance(value, int):
        return head + _number(3, value) + _number(20, 2)
    return head + b"".join(_number(8, each) for each in value) + _number(20, 7)


def _declared(name: str, axes: Sequence[str], kind: int) -> bytes:
    shape = b"".join(_bytes(1, _bytes(2, axis.encode())) for axis in axes)
    return _bytes(1, name.encode()) + _bytes(2, _bytes(1, _number(1, kind) + _bytes(2, shape)))


def _bytes(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _number(number: int, value: int) -> bytes:
    """Return an integer field; a negative one is written in two's complement of 64 bits."""
    return _varint(number << 3) + _varint(value % (1 << 64))


def _varint(value: int) -> bytes:
    data = bytearray()
    while value >= 0x80:
        data.append(value & 0x7F | 0x80)
        value >>= 7
    data.append(value)
    return bytes(data)
