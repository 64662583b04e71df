"""int8 weights for an ONNX graph, one tensor in memory at a time. Child process only.

The nodes are those that ONNX Runtime's own ``quantize_dynamic`` writes, so its kernels and fusions apply:
DynamicQuantizeLinear of the activation, MatMulInteger, one multiplication by both scales. That tool holds four
copies of the model (11 GB for BGE-M3) and quantises an embedding table with a single scale; here each column of
a matrix and each row of a table has its own. Jacob et al. 2018, "Quantization and Training of Neural Networks".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy
import onnx
from onnx import helper, numpy_helper
from onnx.external_data_helper import ExternalDataInfo

_LARGEST = 127
# Rows of a table that are quantised together.
_ROWS = 16384


def quantise(source: Path, place: Path, heads: Sequence[str], *, external: bool) -> None:
    """Write the graph of `source` with int8 weights; activations are quantised while it runs.

    The heads stay as they are: they are a thousandth of the weights and decide the sparse weights directly.
    """
    model = onnx.load(source, load_external_data=False)
    work = _Rewriting(model.graph, source.parent, set(_head_nodes(model.graph, heads)))
    nodes = [new for node in model.graph.node for new in work.replaced(node)]
    kept = work.remaining(nodes)
    del model.graph.node[:], model.graph.initializer[:], model.graph.value_info[:]
    model.graph.node.extend(nodes)
    model.graph.initializer.extend(kept)
    if external:
        onnx.save_model(
            model, place, save_as_external_data=True, location=f"{place.name}.data", size_threshold=1024
        )
    else:
        onnx.save_model(model, place)


class _Rewriting:
    """One pass over a graph: which weights were quantised, and what replaces each node."""

    def __init__(self, graph: onnx.GraphProto, folder: Path, left_alone: set[str]) -> None:
        self._initializers = {item.name: item for item in graph.initializer}
        self._folder = folder
        self._left_alone = left_alone
        self._added: dict[str, onnx.TensorProto] = {}
        self._activations: set[str] = set()

    def replaced(self, node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
        """Give the nodes that take this one's place: itself, where it has no weight to quantise."""
        if node.op_type == "MatMul" and self._is_matrix(node.input[1]) and node.name not in self._left_alone:
            yield from self._matrix_product(node)
        elif node.op_type == "Gather" and self._is_matrix(node.input[0]) and _axis(node) == 0:
            yield from self._table(node)
        else:
            yield node

    def remaining(self, nodes: Sequence[onnx.NodeProto]) -> list[onnx.TensorProto]:
        """Return every tensor that the new nodes use, its bytes inside it."""
        used = {name for node in nodes for name in node.input}
        whole = [
            numpy_helper.from_array(numpy.array(self._array(item)), name)
            for name, item in self._initializers.items()
            if name in used
        ]
        return [*whole, *self._added.values()]

    def _matrix_product(self, node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
        states, weight, result = node.input[0], node.input[1], node.output[0]
        self._quantise(weight, axis=0)
        if states not in self._activations:
            self._activations.add(states)
            outputs = [f"{states}_{part}" for part in ("quantized", "scale", "zero_point")]
            yield helper.make_node("DynamicQuantizeLinear", [states], outputs, f"{states}_quantize")
        factors = [
            f"{states}_quantized",
            f"{weight}_quantized",
            f"{states}_zero_point",
            f"{weight}_zero_point",
        ]
        name = node.name
        yield helper.make_node("MatMulInteger", factors, [f"{result}_whole"], name)
        yield helper.make_node(
            "Cast", [f"{result}_whole"], [f"{result}_cast"], f"{name}_cast", to=onnx.TensorProto.FLOAT
        )
        yield helper.make_node(
            "Mul", [f"{states}_scale", f"{weight}_scale"], [f"{result}_scale"], f"{name}_scales"
        )
        yield helper.make_node("Mul", [f"{result}_cast", f"{result}_scale"], [result], f"{name}_scaled")

    def _table(self, node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
        table, places, result = node.input[0], node.input[1], node.output[0]
        self._quantise(table, axis=1)
        name = node.name
        yield helper.make_node("Gather", [f"{table}_quantized", places], [f"{result}_whole"], name)
        yield helper.make_node(
            "Cast", [f"{result}_whole"], [f"{result}_cast"], f"{name}_cast", to=onnx.TensorProto.FLOAT
        )
        yield helper.make_node("Gather", [f"{table}_scale", places], [f"{result}_scale"], f"{name}_scales")
        yield helper.make_node("Mul", [f"{result}_cast", f"{result}_scale"], [result], f"{name}_scaled")

    def _quantise(self, name: str, axis: int) -> None:
        """Add the int8 tensor with its scales; `axis` is the one that shares a scale."""
        if f"{name}_quantized" in self._added:
            return
        array = self._array(self._initializers[name])
        quantized = numpy.empty(array.shape, numpy.int8)
        if axis == 0:
            scales = _scales(array, 0)
            quantized[:] = numpy.rint(array / scales)
            self._add(f"{name}_zero_point", numpy.zeros(array.shape[1], numpy.int8))
            self._add(f"{name}_scale", scales[0])
        else:
            scales = numpy.empty((len(array), 1), numpy.float32)
            for start in range(0, len(array), _ROWS):
                rows = slice(start, start + _ROWS)
                scales[rows] = _scales(array[rows], 1)
                quantized[rows] = numpy.rint(array[rows] / scales[rows])
            self._add(f"{name}_scale", scales)
        self._add(f"{name}_quantized", quantized)

    def _add(self, name: str, array: numpy.ndarray[tuple[int, ...], numpy.dtype[numpy.generic]]) -> None:
        self._added[name] = numpy_helper.from_array(array, name)

    def _is_matrix(self, name: str) -> bool:
        item = self._initializers.get(name)
        return item is not None and len(item.dims) == 2 and item.data_type == onnx.TensorProto.FLOAT

    def _array(self, item: onnx.TensorProto) -> numpy.ndarray[tuple[int, ...], numpy.dtype[numpy.float32]]:
        """Return a tensor's values; those outside the graph file stay there until they are touched."""
        if item.data_location != onnx.TensorProto.EXTERNAL:
            inside: numpy.ndarray[tuple[int, ...], numpy.dtype[numpy.float32]] = numpy_helper.to_array(item)
            return inside
        where = ExternalDataInfo(item)
        dtype = helper.tensor_dtype_to_np_dtype(item.data_type)
        return numpy.memmap(
            self._folder / where.location, dtype, "r", offset=where.offset or 0, shape=tuple(item.dims)
        )


def _scales(
    array: numpy.ndarray[tuple[int, ...], numpy.dtype[numpy.float32]], axis: int
) -> numpy.ndarray[tuple[int, ...], numpy.dtype[numpy.float32]]:
    """Return what one step of int8 is worth along `axis`; 1 where there is nothing but zeros."""
    reach = numpy.maximum(array.max(axis=axis, keepdims=True), -array.min(axis=axis, keepdims=True))
    return numpy.where(reach > 0, reach / numpy.float32(_LARGEST), numpy.float32(1)).astype(numpy.float32)


def _axis(node: onnx.NodeProto) -> int:
    return next((int(item.i) for item in node.attribute if item.name == "axis"), 0)


def _head_nodes(graph: onnx.GraphProto, heads: Sequence[str]) -> Iterator[str]:
    """Give the names of the nodes that multiply with a head: those whose result gets its bias added."""
    makers = {output: node.name for node in graph.node for output in node.output}
    biases = {f"{head}.bias" for head in heads}
    for node in graph.node:
        if biases & set(node.input):
            yield from (makers[name] for name in node.input if name in makers)
