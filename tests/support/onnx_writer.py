"""ONNX graphs put together by hand, without onnx or torch: the protocol buffer's fields, and a tiny XLM-RoBERTa.

Field numbers are those of onnx.proto (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto). The encoder is the
published one (Vaswani et al. 2017; Conneau et al. 2020) from elementary operators, with the weights of `tiny_models`.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Union

from .model_files import field as proto
from .weights import Tensor

FLOAT, INT64 = 1, 7
_OPSET = 20
Value = Union[int, float, str, Sequence[int]]


@dataclass
class Graph:
    """Nodes, constants, inputs and outputs, in the order they were added."""

    nodes: list[bytes] = field(default_factory=list)
    constants: list[bytes] = field(default_factory=list)
    inputs: list[bytes] = field(default_factory=list)
    outputs: list[bytes] = field(default_factory=list)
    count: int = 0

    def node(self, operator: str, *inputs: str, name: str = "", **attributes: Value) -> str:
        """Add one operator and return the name of its output."""
        self.count += 1
        result = name or f"v{self.count}"
        data = b"".join(proto(1, each.encode()) for each in inputs)
        data += proto(2, result.encode()) + proto(4, operator.encode())
        data += b"".join(proto(5, _attribute(key, value)) for key, value in attributes.items())
        self.nodes.append(data)
        return result

    def constant(self, shape: Sequence[int], data: bytes, kind: int = FLOAT) -> str:
        """Add a tensor and return its name."""
        self.count += 1
        name = f"c{self.count}"
        dimensions = b"".join(_number(1, each) for each in shape)
        self.constants.append(dimensions + proto(2, kind) + proto(8, name.encode()) + proto(9, data))
        return name

    def integers(self, *values: int, scalar: bool = False) -> str:
        """Add int64 values."""
        shape = () if scalar else (len(values),)
        return self.constant(shape, struct.pack(f"<{len(values)}q", *values), INT64)

    def floats(self, *values: float) -> str:
        """Add float32 values."""
        return self.constant((len(values),), struct.pack(f"<{len(values)}f", *values))

    def tensor(self, tensor: Tensor) -> str:
        """Add a float32 tensor as `weights` makes it."""
        kind, shape, data = tensor
        assert kind == "F32"
        return self.constant(shape, data)

    def input(self, name: str, axes: Sequence[str], kind: int = INT64) -> str:
        """Declare an input with named axes."""
        self.inputs.append(_declared(name, axes, kind))
        return name

    def output(self, name: str, axes: Sequence[str], kind: int = FLOAT) -> None:
        """Declare an output with named axes."""
        self.outputs.append(_declared(name, axes, kind))

    def to_bytes(self) -> bytes:
        """Return the model file."""
        graph = b"".join(proto(1, each) for each in self.nodes) + proto(2, b"tiny")
        graph += b"".join(proto(5, each) for each in self.constants)
        graph += b"".join(proto(11, each) for each in self.inputs)
        graph += b"".join(proto(12, each) for each in self.outputs)
        return proto(1, 10) + proto(7, graph) + proto(8, proto(1, b"") + proto(2, _OPSET))


def encoder(graph: Graph, tensors: Mapping[str, Tensor], layers: int, heads: int, pad: int = 1) -> str:
    """Add an XLM-RoBERTa over ``input_ids`` and ``attention_mask``; return the states (texts, tokens, hidden)."""
    ids = graph.input("input_ids", ("texts", "tokens"))
    mask = graph.input("attention_mask", ("texts", "tokens"))
    hidden = tensors["embeddings.LayerNorm.weight"][1][0]
    # Positions count real tokens from behind the padding's id; padding keeps its own.
    counted = graph.node("CumSum", mask, graph.integers(1, scalar=True))
    positions = graph.node("Add", graph.node("Mul", counted, mask), graph.integers(pad))
    words = graph.node("Gather", graph.tensor(tensors["embeddings.word_embeddings.weight"]), ids)
    places = graph.node("Gather", graph.tensor(tensors["embeddings.position_embeddings.weight"]), positions)
    kinds = graph.tensor(tensors["embeddings.token_type_embeddings.weight"])
    states = graph.node("Add", graph.node("Add", words, places), kinds)
    states = _norm(graph, tensors, "embeddings.LayerNorm", states)
    real = graph.node("Cast", mask, to=FLOAT)
    missing = graph.node("Sub", graph.floats(1.0), real)
    bias = graph.node("Mul", missing, graph.floats(-1e9))
    bias = graph.node("Unsqueeze", bias, graph.integers(1, 2))
    split = graph.integers(0, 0, heads, hidden // heads)
    scale = graph.floats(1.0 / math.sqrt(hidden // heads))
    for layer in range(layers):
        top = f"encoder.layer.{layer}"
        parts = []
        for name in ("query", "key", "value"):
            part = linear(graph, tensors, f"{top}.attention.self.{name}", states)
            perm = (0, 2, 3, 1) if name == "key" else (0, 2, 1, 3)
            parts.append(graph.node("Transpose", graph.node("Reshape", part, split), perm=perm))
        scores = graph.node("Mul", graph.node("MatMul", parts[0], parts[1]), scale)
        shares = graph.node("Softmax", graph.node("Add", scores, bias), axis=-1)
        mixed = graph.node("Transpose", graph.node("MatMul", shares, parts[2]), perm=(0, 2, 1, 3))
        mixed = graph.node("Reshape", mixed, graph.integers(0, 0, hidden))
        mixed = linear(graph, tensors, f"{top}.attention.output.dense", mixed)
        states = _norm(graph, tensors, f"{top}.attention.output.LayerNorm", graph.node("Add", mixed, states))
        inner = graph.node("Gelu", linear(graph, tensors, f"{top}.intermediate.dense", states))
        inner = linear(graph, tensors, f"{top}.output.dense", inner)
        states = _norm(graph, tensors, f"{top}.output.LayerNorm", graph.node("Add", inner, states))
    return states


def linear(graph: Graph, tensors: Mapping[str, Tensor], name: str, states: str) -> str:
    """Add ``states @ weight.T + bias``."""
    weight = graph.node("Transpose", graph.tensor(tensors[f"{name}.weight"]), perm=(1, 0))
    return graph.node("Add", graph.node("MatMul", states, weight), graph.tensor(tensors[f"{name}.bias"]))


def normalised(graph: Graph, states: str, name: str = "") -> str:
    """Add a division by the length of the last axis."""
    length = graph.node("ReduceL2", states, graph.integers(-1), keepdims=1)
    return graph.node("Div", states, graph.node("Max", length, graph.floats(1e-12)), name=name)


def first_token(graph: Graph, states: str) -> str:
    """Add the choice of the first token's state (texts, hidden)."""
    return graph.node("Gather", states, graph.integers(0, scalar=True), axis=1)


def _norm(graph: Graph, tensors: Mapping[str, Tensor], name: str, states: str) -> str:
    weight, bias = graph.tensor(tensors[f"{name}.weight"]), graph.tensor(tensors[f"{name}.bias"])
    return graph.node("LayerNormalization", states, weight, bias, axis=-1, epsilon=1e-5)


def _attribute(name: str, value: Value) -> bytes:
    head = proto(1, name.encode())
    if isinstance(value, float):
        return head + bytes([2 << 3 | 5]) + struct.pack("<f", value) + proto(20, 1)
    if isinstance(value, int):
        return head + _number(3, value) + proto(20, 2)
    if isinstance(value, str):
        return head + proto(4, value.encode()) + proto(20, 3)
    return head + b"".join(_number(8, each) for each in value) + proto(20, 7)


def _number(number: int, value: int) -> bytes:
    """Return an int64 field; a negative number has ten bytes."""
    return proto(number, value % (1 << 64))


def _declared(name: str, axes: Sequence[str], kind: int) -> bytes:
    shape = b"".join(proto(1, proto(2, axis.encode())) for axis in axes)
    return proto(1, name.encode()) + proto(2, proto(1, proto(1, kind) + proto(2, shape)))
