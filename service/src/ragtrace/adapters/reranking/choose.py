"""Which engine scores with a folder's cross-encoder."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from ragtrace.adapters.embedding.folder import ModelFolder, problem
from ragtrace.adapters.embedding.onnx_built import can_build
from ragtrace.adapters.processors import threads_for
from ragtrace.adapters.reranking.engine import Engine
from ragtrace.adapters.reranking.folder import inspect_reranker
from ragtrace.adapters.reranking.model import FolderReranker
from ragtrace.settings import RerankerSettings
from ragtrace.text import Text

# Made by NVIDIA's driver: to look for it costs nothing, to ask torch costs seconds.
_CUDA = Path("/dev/nvidiactl")
# fp32 loses nothing; a folder that carries int8 alone was measured when it was built.
_PRECISIONS = ("fp32", "int8")


def build(folder: Path, settings: RerankerSettings, threads: int = 0) -> FolderReranker:
    """Return the reranker of a folder; weights are loaded later.

    Raises:
        ModelProblem: the folder holds nothing that the settings allow.
    """
    found = inspect_reranker(folder)
    engine = _onnx(found, settings, threads) if _runtime(found, settings) == "onnx" else None
    return FolderReranker(found, engine or _torch(found, settings, threads))


def _runtime(folder: ModelFolder, settings: RerankerSettings) -> str:
    """Return ``onnx`` or ``torch``: a graph on the processor, torch on other devices and where weights are pickles."""
    if settings.engine != "auto":
        return settings.engine
    computable = folder.graphs or can_build(folder)
    if settings.device in ("cuda", "mps") or settings.precision in ("fp16", "bf16") or not computable:
        return "torch"
    accelerated = settings.device == "auto" and _CUDA.exists() and importlib.util.find_spec("torch")
    return "torch" if accelerated and folder.weights else "onnx"


def _onnx(folder: ModelFolder, settings: RerankerSettings, threads: int) -> Engine:
    wanted = _PRECISIONS if settings.precision == "auto" else (settings.precision,)
    precision = next((each for each in wanted if each in folder.graphs), None)
    if precision is None and wanted[0] == "fp32" and can_build(folder):
        precision = "fp32"
    if precision is None or settings.device in ("cuda", "mps"):
        raise problem(
            Text(
                "설정에 맞는 ONNX 그래프가 리랭커 폴더에 없습니다.",
                "The reranker's folder has no ONNX graph for these settings.",
            ),
            f"{folder.path}: reranker.precision {settings.precision}, device {settings.device}, "
            f"graphs: {', '.join(folder.graphs) or '-'}",
            Text(
                "reranker.precision과 reranker.device를 auto로 하거나, 빌더로 변환한 폴더를 옮겨 오십시오.",
                "Set reranker.precision and reranker.device to auto, or carry in a folder that the builder converted.",
            ),
        )
    from ragtrace.adapters.reranking.onnx import OnnxCross

    return OnnxCross(folder, precision, threads_for(threads))


def _torch(folder: ModelFolder, settings: RerankerSettings, threads: int) -> Engine:
    if settings.precision == "int8":
        raise problem(
            Text("torch 엔진에는 int8이 없습니다.", "The torch engine has no int8."),
            folder.path,
            Text("reranker.engine을 onnx로 하십시오.", "Set reranker.engine to onnx."),
        )
    from ragtrace.adapters.reranking.torch import TorchCross

    return TorchCross(folder, settings.precision, settings.device, threads)
