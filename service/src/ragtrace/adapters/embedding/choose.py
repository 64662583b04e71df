"""Which engine computes a folder's vectors."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path

from ragtrace.adapters.embedding.engine import Engine
from ragtrace.adapters.embedding.folder import ModelFolder, inspect, problem
from ragtrace.adapters.embedding.onnx_built import can_build
from ragtrace.adapters.embedding.pipeline import FolderModel
from ragtrace.adapters.processors import threads_for
from ragtrace.errors import ModelProblem
from ragtrace.settings import EmbeddingSettings
from ragtrace.text import Text

# Made by NVIDIA's driver: to look for it costs nothing, to ask torch costs seconds.
_CUDA = Path("/dev/nvidiactl")
# fp32 loses nothing; a folder that carries int8 alone was measured when it was built.
_PRECISIONS = ("fp32", "fp16", "int8")


def build(folder: Path, settings: EmbeddingSettings) -> FolderModel:
    """Return the model of a folder; weights are loaded later.

    Raises:
        ModelProblem: the folder holds nothing that the settings allow.
    """
    found = inspect(folder)
    runtime = _runtime(found, settings)
    engine = _onnx(found, settings) if runtime == "onnx" else _torch(found, settings)
    return FolderModel(found, engine, settings.max_tokens, settings.batch_size, settings.batch_tokens)


def _runtime(folder: ModelFolder, settings: EmbeddingSettings) -> str:
    """Return ``onnx`` or ``torch``: a graph on the processor, torch on other devices and where weights are pickles."""
    if settings.engine != "auto":
        return settings.engine
    computable = folder.graphs or can_build(folder)
    if settings.device in ("cuda", "mps") or settings.precision == "bf16" or not computable:
        return "torch"
    accelerated = settings.device == "auto" and _CUDA.exists() and importlib.util.find_spec("torch")
    return "torch" if accelerated and folder.weights else "onnx"


def _onnx(folder: ModelFolder, settings: EmbeddingSettings) -> Engine:
    wanted = _PRECISIONS if settings.precision == "auto" else (settings.precision,)
    precision = next((each for each in wanted if each in folder.graphs), None)
    if precision is None and wanted[0] == "fp32" and can_build(folder):
        precision = "fp32"
    if precision is None or settings.device in ("cuda", "mps"):
        raise problem(
            Text(
                "설정에 맞는 ONNX 그래프가 모델 폴더에 없습니다.",
                "The model's folder has no ONNX graph for these settings.",
            ),
            f"{folder.path}: embedding.precision {settings.precision}, device {settings.device}, "
            f"graphs: {', '.join(folder.graphs) or '-'}",
            Text(
                "embedding.precision과 embedding.device를 auto로 하거나, 빌더로 변환한 폴더를 옮겨 오십시오.",
                "Set embedding.precision and embedding.device to auto, or carry in a folder that the builder converted.",
            ),
        )
    threads = threads_for(settings.threads)
    if folder.family == "bge-m3":
        from ragtrace.adapters.embedding.onnx_bge import OnnxBge

        return OnnxBge(folder, precision, threads)
    from ragtrace.adapters.embedding.onnx_dense import OnnxDense

    return OnnxDense(folder, precision, threads)


def _torch(folder: ModelFolder, settings: EmbeddingSettings) -> Engine:
    if settings.precision == "int8":
        raise problem(
            Text("torch 엔진에는 int8이 없습니다.", "The torch engine has no int8."),
            folder.path,
            Text("embedding.engine을 onnx로 하십시오.", "Set embedding.engine to onnx."),
        )
    if folder.family == "bge-m3":
        from ragtrace.adapters.embedding.torch_bge import TorchBge

        return TorchBge(folder, settings.precision, settings.device, settings.threads)
    from ragtrace.adapters.embedding.torch_dense import TorchDense

    return TorchDense(folder, settings.precision, settings.device, settings.threads)


def preload(folder: Path, settings: EmbeddingSettings) -> None:
    """Import now what the engine of this folder imports later."""
    for part in ("onnx_bge", "onnx_dense", "torch_bge", "torch_dense"):
        importlib.import_module(f"ragtrace.adapters.embedding.{part}")
    try:
        runtime = _runtime(inspect(folder), settings)
        if runtime == "torch":
            from ragtrace.adapters.embedding import torch_encoder

            torch_encoder.preload()
    except ModelProblem:
        # Told when the model is built, where there is somebody to tell.
        return
    for name in ("tokenizers", "onnxruntime") if runtime == "onnx" else ("tokenizers",):
        if importlib.util.find_spec(name):
            importlib.import_module(name)
