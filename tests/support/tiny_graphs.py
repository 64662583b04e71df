"""The tiny models of `tiny_models` as ONNX graphs, as the builder converts them, and as model folders for the service."""

from __future__ import annotations

import json
from collections.abc import Mapping

from . import onnx_writer, tiny_models
from .onnx_writer import Graph
from .weights import Tensor, safetensors_bytes


def bge_m3(
    tensors: Mapping[str, Tensor] | None = None,
    heads: Mapping[str, Mapping[str, Tensor]] | None = None,
    outputs: tuple[str, ...] = ("dense", "sparse", "colbert"),
) -> bytes:
    """Return BGE-M3 as one graph with these outputs; other weights stand for damage."""
    given = dict(tensors or tiny_models.encoder_tensors())
    for name in ("sparse_linear", "colbert_linear"):
        head = (heads or {}).get(name, tiny_models.head_tensors(name))
        given |= {f"{name}.{part}": tensor for part, tensor in head.items()}
    graph = Graph()
    states = onnx_writer.encoder(graph, given, tiny_models.LAYERS, tiny_models.HEADS)
    real = graph.node("Cast", "attention_mask", to=onnx_writer.FLOAT)
    if "dense" in outputs:
        onnx_writer.normalised(graph, onnx_writer.first_token(graph, states), "dense")
        graph.output("dense", ("texts", "hidden"))
    if "sparse" in outputs:
        weights = graph.node("Relu", onnx_writer.linear(graph, given, "sparse_linear", states))
        flat = graph.node("Squeeze", weights, graph.integers(-1))
        graph.node("Mul", flat, real, name="sparse")
        graph.output("sparse", ("texts", "tokens"))
    if "colbert" in outputs:
        ends = [graph.integers(each) for each in (1, (1 << 62), 1)]
        later = graph.node("Slice", states, *ends)
        rows = onnx_writer.normalised(graph, onnx_writer.linear(graph, given, "colbert_linear", later))
        kept = graph.node("Unsqueeze", graph.node("Slice", real, *ends), graph.integers(-1))
        graph.node("Mul", rows, kept, name="colbert")
        graph.output("colbert", ("texts", "tokens_but_first", "hidden"))
    return graph.to_bytes()


def states(output: str = "last_hidden_state") -> bytes:
    """Return the encoder alone, as exporters write other embedding models."""
    graph = Graph()
    found = onnx_writer.encoder(graph, tiny_models.encoder_tensors(), tiny_models.LAYERS, tiny_models.HEADS)
    graph.node("Identity", found, name=output)
    graph.output(output, ("texts", "tokens", "hidden"))
    return graph.to_bytes()


def cross_encoder() -> bytes:
    """Return the tiny cross-encoder with the output ``logits`` (pairs, 1)."""
    tensors = tiny_models.encoder_tensors(pooler=False)
    tensors |= tiny_models.classifier_tensors()
    graph = Graph()
    found = onnx_writer.encoder(graph, tensors, tiny_models.LAYERS, tiny_models.HEADS)
    inner = onnx_writer.linear(graph, tensors, "classifier.dense", onnx_writer.first_token(graph, found))
    inner = graph.node("Tanh", inner)
    scores = onnx_writer.linear(graph, tensors, "classifier.out_proj", inner)
    graph.node("Identity", scores, name="logits")
    graph.output("logits", ("pairs", "labels"))
    return graph.to_bytes()


def bge_m3_folder() -> dict[str, bytes]:
    """Return a carried BGE-M3: small files, heads as safetensors, the fp32 graph."""
    upstream = tiny_models.bge_m3_repository()
    small = ("config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
    heads = {
        f"{name}.safetensors": safetensors_bytes(tiny_models.head_tensors(name))
        for name in ("sparse_linear", "colbert_linear")
    }
    return {name: upstream[name] for name in small} | heads | {"onnx/model.onnx": bge_m3()}


def dense_folder(pooling: str = "cls_token") -> dict[str, bytes]:
    """Return a model for dense vectors alone in sentence-transformers' layout, with a graph and safetensors."""
    upstream = tiny_models.bge_m3_repository()
    modules = ["Transformer", "Pooling", "Normalize"]
    paths = ["", "1_Pooling", "2_Normalize"]
    return {
        "config.json": upstream["config.json"],
        "tokenizer.json": upstream["tokenizer.json"],
        "modules.json": json.dumps(
            [
                {"idx": n, "name": str(n), "path": path, "type": f"sentence_transformers.models.{kind}"}
                for n, (kind, path) in enumerate(zip(modules, paths, strict=True))
            ]
        ).encode(),
        "1_Pooling/config.json": json.dumps(
            {
                "word_embedding_dimension": tiny_models.HIDDEN,
                "pooling_mode_cls_token": pooling == "cls_token",
                "pooling_mode_mean_tokens": pooling == "mean_tokens",
                "pooling_mode_max_tokens": pooling == "max_tokens",
            }
        ).encode(),
        "sentence_bert_config.json": b'{"max_seq_length": 64, "do_lower_case": false}',
        "model.safetensors": safetensors_bytes(tiny_models.encoder_tensors()),
        "onnx/model.onnx": states(),
    }
