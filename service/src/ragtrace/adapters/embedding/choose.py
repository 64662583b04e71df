"""Which engine computes a folder's vectors."""

from __future__ import annotations

import importlib
from pathlib import Path

from ragtrace.adapters.embedding import runtime
from ragtrace.adapters.embedding.engine import Engine
from ragtrace.adapters.embedding.folder import ModelFolder, inspect
from ragtrace.adapters.embedding.pipeline import FolderModel
from ragtrace.adapters.processors import threads_for
from ragtrace.errors import ModelProblem
from ragtrace.settings import EmbeddingSettings

_SECTION = "embedding"


def build(folder: Path, settings: EmbeddingSettings) -> FolderModel:
    """Return the model of a folder; weights are loaded later.

    Raises:
        ModelProblem: the folder holds nothing that the settings allow.
    """
    found = inspect(folder)
    engine = _engine(found, settings)
    return FolderModel(found, engine, settings.max_tokens, settings.batch_size, settings.batch_tokens)


def preload(folder: Path, settings: EmbeddingSettings) -> None:
    """Import now what the engine of this folder imports later."""
    for part in ("onnx_bge", "onnx_dense", "torch_bge", "torch_dense"):
        importlib.import_module(f"ragtrace.adapters.embedding.{part}")
    try:
        runtime.preload(runtime.choose_runtime(inspect(folder), settings))
    except ModelProblem:
        # Told when the model is built, where there is somebody to tell.
        return


def _engine(folder: ModelFolder, settings: EmbeddingSettings) -> Engine:
    threads = threads_for(settings.threads)
    if runtime.choose_runtime(folder, settings) == "onnx":
        precision = runtime.onnx_precision(folder, settings, _SECTION)
        if folder.family == "bge-m3":
            from ragtrace.adapters.embedding.onnx_bge import OnnxBge

            return OnnxBge(folder, precision, threads)
        from ragtrace.adapters.embedding.onnx_dense import OnnxDense

        return OnnxDense(folder, precision, threads)
    runtime.require_torch_precision(folder, settings, _SECTION)
    if folder.family == "bge-m3":
        from ragtrace.adapters.embedding.torch_bge import TorchBge

        return TorchBge(folder, settings.precision, settings.device, threads)
    from ragtrace.adapters.embedding.torch_dense import TorchDense

    return TorchDense(folder, settings.precision, settings.device, threads)
