"""What computes a folder's model: a graph on ONNX Runtime, or torch. The same choice for embedding models and rerankers."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from typing import Literal, Protocol

from ragtrace.adapters.embedding.folder import ModelFolder, problem
from ragtrace.adapters.embedding.onnx_built import can_build
from ragtrace.text import Text

Runtime = Literal["onnx", "torch"]
# Made by NVIDIA's driver: to look for it costs nothing, to ask torch costs seconds.
_CUDA = Path("/dev/nvidiactl")
# fp32 loses nothing; a folder that carries int8 alone was measured when it was built.
_PRECISIONS = ("fp32", "fp16", "int8")
_ACCELERATORS = ("cuda", "mps")


class Chosen(Protocol):
    """The keys that the sections `embedding` and `reranker` have in common."""

    @property
    def engine(self) -> str:
        """Return ``auto``, ``onnx`` or ``torch``."""
        ...

    @property
    def precision(self) -> str:
        """Return ``auto``, ``fp32``, ``fp16``, ``bf16`` or ``int8``."""
        ...

    @property
    def device(self) -> str:
        """Return ``auto``, ``cpu``, ``cuda`` or ``mps``."""
        ...


def choose_runtime(folder: ModelFolder, chosen: Chosen) -> Runtime:
    """Return what computes: a graph on the processor, torch on other devices and for what no graph gives."""
    if chosen.engine != "auto":
        return "torch" if chosen.engine == "torch" else "onnx"
    if chosen.precision == "int8":
        return "onnx"
    if chosen.device in _ACCELERATORS or _precision(folder, chosen.precision) is None:
        return "torch"
    accelerated = chosen.device == "auto" and _CUDA.exists() and importlib.util.find_spec("torch")
    return "torch" if accelerated and folder.weights else "onnx"


def onnx_precision(folder: ModelFolder, chosen: Chosen, section: str) -> str:
    """Return the precision of the graph to run. Raises `ModelProblem` naming the keys of `section` where there is none."""
    found = _precision(folder, chosen.precision)
    if found is None or chosen.device in _ACCELERATORS:
        raise problem(
            Text(
                "설정에 맞는 ONNX 그래프가 모델 폴더에 없습니다.",
                "The model's folder has no ONNX graph for these settings.",
            ),
            f"{folder.path}: {section}.precision {chosen.precision}, device {chosen.device}, "
            f"graphs: {', '.join(folder.graphs) or '-'}",
            Text(
                f"{section}.precision과 {section}.device를 auto로 하거나, 빌더로 변환한 폴더를 옮겨 오십시오.",
                f"Set {section}.precision and {section}.device to auto, or carry in a folder that the builder converted.",
            ),
        )
    return found


def require_torch_precision(folder: ModelFolder, chosen: Chosen, section: str) -> None:
    """Raise `ModelProblem` where torch has no such precision."""
    if chosen.precision == "int8":
        raise problem(
            Text("torch 엔진에는 int8이 없습니다.", "The torch engine has no int8."),
            folder.path,
            Text(f"{section}.engine을 onnx로 하십시오.", f"Set {section}.engine to onnx."),
        )


def preload(runtime: Runtime) -> None:
    """Import the libraries of a runtime now, where they are installed."""
    if runtime == "torch":
        from ragtrace.adapters.embedding import torch_encoder

        torch_encoder.preload()
    for name in ("tokenizers", "onnxruntime") if runtime == "onnx" else ("tokenizers",):
        if importlib.util.find_spec(name):
            importlib.import_module(name)


def _precision(folder: ModelFolder, wanted: str) -> str | None:
    """Return the precision of a graph that the folder carries, or that its safetensors give; None for neither."""
    acceptable = _PRECISIONS if wanted == "auto" else (wanted,)
    found = next((each for each in acceptable if each in folder.graphs), None)
    return "fp32" if found is None and "fp32" in acceptable and can_build(folder) else found
