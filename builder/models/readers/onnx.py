"""ONNX: find every place where a graph names a file of its own, and whose operators it needs.

Schema: onnx/onnx.proto of the ONNX project. Weights beyond 2 GB lie in files that the graph names
(``TensorProto.external_data``): a hostile name there reads any file of the host.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import BinaryIO

from . import protobuf
from .errors import Malformed
from .protobuf import Field

_DEPTH = 32
_NAME = 4096
_NATIVE = frozenset({"", "ai.onnx", "ai.onnx.ml", "com.microsoft"})
# Fields that hold further messages, by the message they stand in.
_CHILDREN = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
_NODE_DOMAIN, _FUNCTION_DOMAIN, _EXTERNAL = 7, 10, 13


@dataclass(frozen=True)
class External:
    """A piece of another file: its name as the graph writes it, first byte, and length (0: to the end)."""

    location: str
    offset: int
    length: int


@dataclass
class Facts:
    """What was met: pieces of other files, and domains whose operators neither ONNX nor the file defines."""

    external: list[External] = field(default_factory=list)
    domains: set[str] = field(default_factory=set)
    own_domains: set[str] = field(default_factory=set)

    @property
    def foreign(self) -> list[str]:
        """Return the domains that need a library of somebody else's operators."""
        return sorted(self.domains - self.own_domains - _NATIVE)


def check(stream: BinaryIO, size: int) -> Facts:
    """Walk a whole model.

    Raises:
        Malformed: it is no ONNX model.
    """
    facts = Facts()
    numbers = {item.number for item in protobuf.fields(stream, 0, size)}
    if not {1, 7} <= numbers:
        raise Malformed("ONNX 모델이 아닙니다: 그래프가 없습니다", "no ONNX model: there is no graph")
    _walk(stream, "model", 0, size, facts, 0)
    return facts


def _walk(stream: BinaryIO, message: str, begin: int, end: int, facts: Facts, depth: int) -> None:
    if depth > _DEPTH:
        raise Malformed("그래프가 너무 깊습니다", "graphs are nested too deeply")
    children = _CHILDREN[message]
    entries: dict[str, str] = {}
    for item in protobuf.fields(stream, begin, end):
        child = children.get(item.number)
        if child is not None and item.wire == protobuf.BYTES:
            _walk(stream, child, item.begin, item.end, facts, depth + 1)
        elif message == "node" and item.number == _NODE_DOMAIN:
            facts.domains.add(_text(stream, item))
        elif message == "function" and item.number == _FUNCTION_DOMAIN:
            facts.own_domains.add(_text(stream, item))
        elif message == "tensor" and item.number == _EXTERNAL:
            key, value = _entry(stream, item)
            entries[key] = value
    if entries:
        facts.external.append(_external(entries))


def _entry(stream: BinaryIO, item: Field) -> tuple[str, str]:
    parts = {part.number: _text(stream, part) for part in protobuf.fields(stream, item.begin, item.end)}
    return parts.get(1, ""), parts.get(2, "")


def _text(stream: BinaryIO, item: Field) -> str:
    try:
        return protobuf.content(stream, item, _NAME).decode("utf-8")
    except UnicodeDecodeError as error:
        raise Malformed("이름이 UTF-8이 아닙니다", "a name is not UTF-8") from error


def _external(entries: dict[str, str]) -> External:
    try:
        offset, length = int(entries.get("offset", "0")), int(entries.get("length", "0"))
    except ValueError as error:
        raise Malformed("외부 데이터의 위치가 틀립니다", "the place of external data is wrong") from error
    if offset < 0 or length < 0:
        raise Malformed("외부 데이터의 위치가 음수입니다", "the place of external data is negative")
    return External(entries.get("location", ""), offset, length)
