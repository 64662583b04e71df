"""Tiny model folders on disk, whole and damaged."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ragtrace.adapters.embedding.choose import build
from ragtrace.adapters.embedding.pipeline import FolderModel
from ragtrace.settings import EmbeddingSettings
from tests.service.support import write
from tests.support import tiny_graphs, tiny_models, weights

TEXTS = [
    "폐쇄망 문서 검색",
    "the closed network has no internet",
    "가",
    "모델 변환 서명 번들 설치 문서 검색 폐쇄망 모델 변환",
    "",
]


def bge_m3(folder: Path, **changes: bytes | None) -> Path:
    """Write a carried BGE-M3; `changes` are by file name with ``__`` for a slash and ``_dot_`` for the dot."""
    return _written(folder, tiny_graphs.bge_m3_folder(), changes)


def dense(folder: Path, pooling: str = "cls_token", **changes: bytes | None) -> Path:
    """Write a model for dense vectors alone."""
    return _written(folder, tiny_graphs.dense_folder(pooling), changes)


def model(folder: Path, **settings: Any) -> FolderModel:
    """Return the model of a folder on ONNX Runtime unless told otherwise."""
    return build(folder, EmbeddingSettings(**{"engine": "onnx", **settings}))


def without_graph(folder: Path, tensors: Mapping[str, weights.Tensor] | None = None) -> Path:
    """Write a BGE-M3 of safetensors alone."""
    data = weights.safetensors_bytes(tensors or tiny_models.encoder_tensors())
    return bge_m3(folder, onnx__model_dot_onnx=None, model_dot_safetensors=data)


def torch_model(folder: Path, max_tokens: int) -> FolderModel:
    """Return the model of a folder, with safetensors beside its graph, on torch's processor."""
    tensors = weights.safetensors_bytes(tiny_models.encoder_tensors())
    write(folder, {"model.safetensors": tensors})
    return model(folder, engine="torch", device="cpu", max_tokens=max_tokens, batch_size=3)


def config(folder: Path, **changes: object) -> Path:
    """Change keys of ``config.json``; None takes a key away."""
    file = folder / "config.json"
    document = json.loads(file.read_bytes()) | changes
    file.write_text(json.dumps({key: value for key, value in document.items() if value is not None}), "utf-8")
    return folder


def _written(folder: Path, files: Mapping[str, bytes], changes: Mapping[str, bytes | None]) -> Path:
    changed = {name.replace("__", "/").replace("_dot_", "."): data for name, data in changes.items()}
    kept = {name: data for name, data in {**files, **changed}.items() if data is not None}
    return write(folder, kept)
