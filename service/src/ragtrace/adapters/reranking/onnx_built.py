"""A cross-encoder's graph made from its safetensors, for folders that carry none: the encoder, then RoBERTa's classifier."""

from __future__ import annotations

from ragtrace.adapters.embedding import onnx_built
from ragtrace.adapters.embedding.folder import ModelFolder

_HEAD = "classifier."


def build(folder: ModelFolder) -> bytes:
    """Return the graph with ``logits`` (pairs, 1): dense, tanh and one output over the first token.

    Raises:
        ModelProblem: a weight is missing or of another shape or type, or the formulas are not this model's.
    """
    encoder = onnx_built.encoder_of(folder)
    head = {name: place for name, place in onnx_built.tensors(folder).items() if name.startswith(_HEAD)}
    encoder.weights |= head
    graph, size = encoder.graph, folder.dimension
    first = graph.node("Gather", encoder.states(), graph.integer(0), axis=1)
    inner = graph.node("Tanh", encoder.linear(f"{_HEAD}dense", first, (size, size)))
    graph.node("Identity", encoder.linear(f"{_HEAD}out_proj", inner, (1, size)), name="logits")
    graph.output("logits", "pairs", "labels")
    return graph.to_bytes()
