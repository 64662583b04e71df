"""Tiny cross-encoders on disk, whole and damaged."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ragtrace.adapters.reranking.choose import build
from ragtrace.adapters.reranking.model import FolderReranker
from ragtrace.settings import RerankerSettings
from tests.service.support import write
from tests.support import onnx_writer, tiny_graphs, tiny_models
from tests.support.onnx_writer import Graph

SMALL = ("config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")


def cross_encoder(folder: Path, changes: Mapping[str, bytes | None] | None = None) -> Path:
    """Write a carried cross-encoder, its graph and its safetensors; None takes a file away."""
    upstream = tiny_models.reranker_repository()
    files: dict[str, bytes | None] = {name: upstream[name] for name in (*SMALL, "model.safetensors")}
    files["model.onnx"] = tiny_graphs.cross_encoder()
    files.update(changes or {})
    return write(folder, {name: data for name, data in files.items() if data is not None})


def reranker(folder: Path, **settings: Any) -> FolderReranker:
    """Return the reranker of a folder on ONNX Runtime unless told otherwise."""
    return build(folder, RerankerSettings(**{"engine": "onnx", **settings}))


def config(folder: Path, **changes: object) -> Path:
    """Change keys of ``config.json``; None takes a key away."""
    file = folder / "config.json"
    document = json.loads(file.read_bytes()) | changes
    file.write_text(json.dumps({key: value for key, value in document.items() if value is not None}), "utf-8")
    return folder


def formula(kind: str) -> bytes:
    """Return a graph that scores by no model at all.

    ``mean`` of the token ids, ``nan``, ``same`` for one number, ``two`` for two labels, ``flat`` without labels.
    """
    graph = Graph()
    ids = graph.input("input_ids", ("pairs", "tokens"))
    mask = graph.input("attention_mask", ("pairs", "tokens"))
    real = graph.node("Cast", graph.node("Mul", ids, mask), to=onnx_writer.FLOAT)
    total = graph.node("ReduceSum", real, graph.integers(1), keepdims=0 if kind == "flat" else 1)
    if kind == "nan":
        zero = graph.node("Mul", total, graph.floats(0.0))
        total = graph.node("Div", zero, zero)
    elif kind == "same":
        total = graph.node("Mul", total, graph.floats(0.0))
    elif kind == "two":
        total = graph.node("Concat", total, total, axis=1)
    graph.node("Identity", total, name="logits")
    graph.output("logits", ("pairs",) if kind == "flat" else ("pairs", "labels"))
    return graph.to_bytes()
