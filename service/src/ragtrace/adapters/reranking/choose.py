"""Which engine scores with a folder's cross-encoder."""

from __future__ import annotations

import importlib
from pathlib import Path

from ragtrace.adapters.embedding import runtime
from ragtrace.adapters.embedding.folder import ModelFolder
from ragtrace.adapters.processors import threads_for
from ragtrace.adapters.reranking.engine import Engine
from ragtrace.adapters.reranking.folder import inspect_reranker
from ragtrace.adapters.reranking.model import FolderReranker
from ragtrace.errors import ModelProblem
from ragtrace.settings import RerankerSettings

_SECTION = "reranker"


def build(folder: Path, settings: RerankerSettings, threads: int = 0) -> FolderReranker:
    """Return the reranker of a folder; weights are loaded later. `threads` as `embedding.threads` has them.

    Raises:
        ModelProblem: the folder holds nothing that the settings allow.
    """
    found = inspect_reranker(folder)
    return FolderReranker(found, _engine(found, settings, threads_for(threads)))


def preload(folder: Path, settings: RerankerSettings) -> None:
    """Import now what the engine of this folder imports later."""
    for part in ("onnx", "torch"):
        importlib.import_module(f"ragtrace.adapters.reranking.{part}")
    try:
        runtime.preload(runtime.choose_runtime(inspect_reranker(folder), settings))
    except ModelProblem:
        # Told when the reranker is built, where there is somebody to tell.
        return


def _engine(folder: ModelFolder, settings: RerankerSettings, threads: int) -> Engine:
    if runtime.choose_runtime(folder, settings) == "onnx":
        from ragtrace.adapters.reranking.onnx import OnnxCross

        return OnnxCross(folder, runtime.onnx_precision(folder, settings, _SECTION), threads)
    runtime.require_torch_precision(folder, settings, _SECTION)
    from ragtrace.adapters.reranking.torch import TorchCross

    return TorchCross(folder, settings.precision, settings.device, threads)
