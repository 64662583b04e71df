"""An encoder's graph made from its safetensors, for folders that carry none: no torch, no copy of the weights on disk.

XLM-RoBERTa, RoBERTa and BERT with absolute positions (Vaswani et al. 2017; Devlin et al. 2019; Conneau et al. 2020),
and BGE-M3's heads (Chen et al. 2024, section 3). ONNX Runtime reads the weights from where they lie in the file.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from ragtrace.adapters.embedding import safetensors_file
from ragtrace.adapters.embedding.folder import HEADS, ModelFolder, missing, problem
from ragtrace.adapters.embedding.onnx_graph import BFLOAT16, FLOAT, FLOAT16, OnnxGraph
from ragtrace.adapters.embedding.safetensors_file import Place
from ragtrace.text import Text

_KINDS = {"F32": FLOAT, "F16": FLOAT16, "BF16": BFLOAT16}
_TO_THE_END = 1 << 62
# Far below any score: its share after the softmax is zero exactly.
_NEVER = -1e9


def can_build(folder: ModelFolder) -> bool:
    """Say whether everything that belongs to the graph lies there as safetensors."""
    return bool(folder.weights) and all(each.suffix == ".safetensors" for each in files(folder))


def files(folder: ModelFolder) -> list[Path]:
    """Return the files that a graph is made from."""
    return [*folder.weights, *(folder.heads[name] for name in sorted(folder.heads))]


def build(folder: ModelFolder) -> bytes:
    """Return the graph: ``dense``, ``sparse`` and ``colbert`` of BGE-M3, ``last_hidden_state`` of other models.

    Raises:
        ModelProblem: a weight is missing or of another shape or type, or the formulas are not this model's.
    """
    encoder = encoder_of(folder)
    states = encoder.states()
    if folder.family == "dense":
        encoder.graph.node("Identity", states, name="last_hidden_state")
        encoder.graph.output("last_hidden_state", "texts", "tokens", "hidden")
    else:
        _heads(encoder, states)
    return encoder.graph.to_bytes()


def encoder_of(folder: ModelFolder) -> EncoderGraph:
    """Return the graph of a folder's encoder, to which nothing is added yet.

    Raises:
        ModelProblem: the formulas are not this model's, or a file is damaged.
    """
    wanted = {"hidden_act": "gelu", "position_embedding_type": "absolute"}
    wrong = [
        f"{key}: {folder.config.get(key)}"
        for key, value in wanted.items()
        if folder.config.get(key, value) != value
    ]
    if wrong:
        raise problem(
            Text("이 판이 계산하는 모델 구조가 아닙니다.", "This release does not compute such a model."),
            f"{folder.path / 'config.json'}: {', '.join(wrong)}",
        )
    weights = tensors(folder)
    prefix = f"{folder.architecture.removeprefix('xlm-')}."
    inside = {name.removeprefix(prefix): place for name, place in weights.items() if name.startswith(prefix)}
    return EncoderGraph(folder, inside or weights)


def tensors(folder: ModelFolder) -> dict[str, Place]:
    """Return where each tensor of the folder's weights lies, by its name. Raises `ModelProblem`."""
    return {name: place for file in folder.weights for name, place in safetensors_file.places(file).items()}


def _heads(encoder: EncoderGraph, states: str) -> None:
    graph, folder = encoder.graph, encoder.folder
    for name in HEADS:
        if name not in folder.heads:
            raise missing(folder.path / f"{name}.safetensors")
        found = safetensors_file.places(folder.heads[name])
        encoder.weights |= {f"{name}.{part}": place for part, place in found.items()}
    real = graph.node("Cast", "attention_mask", to=FLOAT)
    _unit(graph, graph.node("Gather", states, graph.integer(0), axis=1), "dense")
    graph.output("dense", "texts", "hidden")
    weights = graph.node("Relu", encoder.linear("sparse_linear", states, (1, folder.dimension)))
    graph.node("Mul", graph.node("Squeeze", weights, graph.integers(-1)), real, name="sparse")
    graph.output("sparse", "texts", "tokens")
    ends = [graph.integers(each) for each in (1, _TO_THE_END, 1)]
    later = graph.node("Slice", states, *ends)
    square = (folder.dimension, folder.dimension)
    _unit(graph, encoder.linear("colbert_linear", later, square), "colbert")
    graph.output("colbert", "texts", "tokens_but_first", "hidden")


def _unit(graph: OnnxGraph, vectors: str, name: str) -> None:
    length = graph.node("ReduceL2", vectors, graph.integers(-1), keepdims=1)
    graph.node("Div", vectors, graph.node("Max", length, graph.real(1e-12)), name=name)


class EncoderGraph:
    """The graph of one encoder over ``input_ids`` and ``attention_mask``."""

    def __init__(self, folder: ModelFolder, weights: Mapping[str, Place]) -> None:
        self.folder = folder
        self.graph = OnnxGraph()
        self.weights = dict(weights)
        try:
            self._heads = int(folder.config["num_attention_heads"])
            self._layers = int(folder.config["num_hidden_layers"])
            self._inner = int(folder.config["intermediate_size"])
            self._positions = int(folder.config["max_position_embeddings"])
            self._types = int(folder.config["type_vocab_size"])
            self._epsilon = float(folder.config["layer_norm_eps"])
        except (KeyError, TypeError, ValueError) as error:
            raise problem(
                Text("config.json으로 모델을 만들 수 없습니다.", "config.json describes no model."),
                f"{folder.path / 'config.json'}: {error!r}",
            ) from error

    def states(self) -> str:
        """Add everything up to the last layer's states (texts, tokens, hidden)."""
        graph, hidden = self.graph, self.folder.dimension
        ids, mask = (
            graph.input("input_ids", "texts", "tokens"),
            graph.input("attention_mask", "texts", "tokens"),
        )
        top = "embeddings"
        words = self._weight(f"{top}.word_embeddings.weight", (self.folder.vocabulary, hidden))
        places = self._weight(f"{top}.position_embeddings.weight", (self._positions, hidden))
        kinds = self._weight(f"{top}.token_type_embeddings.weight", (self._types, hidden))
        states = graph.node("Gather", words, ids)
        states = graph.node("Add", states, graph.node("Gather", places, self._numbered(mask)))
        states = graph.node("Add", states, graph.node("Gather", kinds, graph.integers(0)))
        states = self._norm(f"{top}.LayerNorm", states)
        absent = graph.node("Sub", graph.real(1.0), graph.node("Cast", mask, to=FLOAT))
        hidden_from = graph.node(
            "Unsqueeze", graph.node("Mul", absent, graph.real(_NEVER)), graph.integers(1, 2)
        )
        for layer in range(self._layers):
            states = self._layer(f"encoder.layer.{layer}", states, hidden_from)
        return states

    def linear(self, name: str, states: str, shape: tuple[int, int]) -> str:
        """Add ``states @ weight.T + bias``."""
        weight = self.graph.node("Transpose", self._weight(f"{name}.weight", shape), perm=(1, 0))
        return self.graph.node(
            "Add", self.graph.node("MatMul", states, weight), self._weight(f"{name}.bias", shape[:1])
        )

    def _numbered(self, mask: str) -> str:
        """Add the positions: real tokens counted from 0, or in RoBERTa's family from behind the padding's id."""
        graph = self.graph
        counted = graph.node("CumSum", mask, graph.integer(1))
        if self.folder.architecture == "bert":
            return graph.node("Mul", graph.node("Sub", counted, graph.integers(1)), mask)
        return graph.node("Add", graph.node("Mul", counted, mask), graph.integers(self.folder.pad))

    def _layer(self, top: str, states: str, hidden_from: str) -> str:
        graph, size = self.graph, self.folder.dimension
        square, width = (size, size), size // self._heads
        split = graph.integers(0, 0, self._heads, width)
        parts = []
        for name, order in (("query", (0, 2, 1, 3)), ("key", (0, 2, 3, 1)), ("value", (0, 2, 1, 3))):
            part = self.linear(f"{top}.attention.self.{name}", states, square)
            parts.append(graph.node("Transpose", graph.node("Reshape", part, split), perm=order))
        scores = graph.node("MatMul", parts[0], parts[1])
        scores = graph.node("Mul", scores, graph.real(1.0 / math.sqrt(width)))
        shares = graph.node("Softmax", graph.node("Add", scores, hidden_from), axis=-1)
        mixed = graph.node("Transpose", graph.node("MatMul", shares, parts[2]), perm=(0, 2, 1, 3))
        mixed = graph.node("Reshape", mixed, graph.integers(0, 0, size))
        mixed = graph.node("Add", self.linear(f"{top}.attention.output.dense", mixed, square), states)
        states = self._norm(f"{top}.attention.output.LayerNorm", mixed)
        inner = graph.node("Gelu", self.linear(f"{top}.intermediate.dense", states, (self._inner, size)))
        inner = graph.node("Add", self.linear(f"{top}.output.dense", inner, (size, self._inner)), states)
        return self._norm(f"{top}.output.LayerNorm", inner)

    def _norm(self, name: str, states: str) -> str:
        scale, shift = (
            self._weight(f"{name}.{part}", (self.folder.dimension,)) for part in ("weight", "bias")
        )
        return self.graph.node("LayerNormalization", states, scale, shift, axis=-1, epsilon=self._epsilon)

    def _weight(self, name: str, shape: tuple[int, ...]) -> str:
        """Add a weight as float32. Raises `ModelProblem` where the files hold no such tensor."""
        place = self.weights.get(name)
        if place is None or place.shape != shape or place.kind not in _KINDS:
            found = "-" if place is None else f"{place.kind} {place.shape}"
            raise problem(
                Text("가중치가 모델과 맞지 않습니다.", "The weights do not fit the model."),
                f"{self.folder.path}: {name}: {found} ≠ {shape}",
            )
        kind = _KINDS[place.kind]
        tensor = self.graph.external(place.shape, kind, place.file.name, place.offset, place.length)
        return tensor if kind == FLOAT else self.graph.node("Cast", tensor, to=FLOAT)
