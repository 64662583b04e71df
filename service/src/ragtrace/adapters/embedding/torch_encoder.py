"""An encoder on torch: transformers' own classes for XLM-RoBERTa, RoBERTa and BERT, filled with a folder's tensors.

Nothing goes through ``from_pretrained``: no file of the folder decides what runs, nothing is looked for on a Hub, and a
tensor that is missing is an error instead of a random number. Pickles are read by torch's loader for tensors alone.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ragtrace.adapters.embedding.folder import ModelFolder, problem
from ragtrace.errors import ModelProblem
from ragtrace.text import Text

_CLASSES = {
    "xlm-roberta": ("XLMRobertaConfig", "XLMRobertaModel"),
    "roberta": ("RobertaConfig", "RobertaModel"),
    "bert": ("BertConfig", "BertModel"),
}
# What training leaves beside the encoder, and positions that are counted anew.
_IGNORED = ("pooler.", "lm_head.", "cls.", "embeddings.position_ids")
# torch before it can be made to run code in spite of `weights_only` (docs of 2.10's release).
_LEAST_TORCH = (2, 10)
_SHOWN = 5


def libraries() -> tuple[Any, Any]:
    """Return torch and transformers. Raises `ModelProblem` where they are missing or too old."""
    try:
        import torch
        import transformers
    except ImportError as error:
        raise ModelProblem(
            Text("torch가 설치되어 있지 않습니다.", "torch is not installed."),
            where=str(error),
            hint=Text(
                "torch가 들어 있는 프로파일을 설치하거나 embedding.engine을 onnx로 하십시오.",
                "Install a profile with torch, or set embedding.engine to onnx.",
            ),
        ) from error
    version = tuple(int(part) for part in torch.__version__.split("+")[0].split(".")[:2])
    if version < _LEAST_TORCH:
        raise ModelProblem(
            Text("torch가 너무 오래되었습니다.", "torch is too old."),
            where=f"torch {torch.__version__} < {'.'.join(map(str, _LEAST_TORCH))}",
        )
    return torch, transformers


def preload() -> None:
    """Import the classes of all architectures, which transformers does at their first use only."""
    _, transformers = libraries()
    for _, name in _CLASSES.values():
        getattr(transformers, name)


def choose_device(torch: Any, wanted: str) -> str:  # noqa: ANN401  the module
    """Return ``cuda``, ``mps`` or ``cpu``. Raises `ModelProblem` where the one that is asked for is not there."""
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if wanted == "auto":
        return next(name for name in ("cuda", "mps", "cpu") if there[name])
    if not there[wanted]:
        raise ModelProblem(
            Text(f"이 기계에서 {wanted} 장치를 쓸 수 없습니다.", f"There is no {wanted} device here."),
            where=f"torch {torch.__version__}",
            hint=Text("embedding.device를 auto로 하십시오.", "Set embedding.device to auto."),
        )
    return wanted


def build(folder: ModelFolder) -> Any:  # noqa: ANN401  torch.nn.Module, which may not be installed
    """Return the encoder in float32 on the processor, without dropout.

    Raises:
        ModelProblem: a tensor is missing, of another shape, or belongs to nothing.
    """
    torch, transformers = libraries()
    if not folder.weights:
        raise problem(
            Text(
                "모델 폴더에 torch용 가중치가 없습니다.", "The model's folder holds no weights for torch."
            ),
            folder.path,
            Text("embedding.engine을 onnx로 하십시오.", "Set embedding.engine to onnx."),
        )  # fmt: skip
    given: dict[str, Any] = {}
    for file in folder.weights:
        given |= tensors(file)
    config_class, model_class = _CLASSES[folder.architecture]
    try:
        config = getattr(transformers, config_class)(**folder.config)
        config._attn_implementation = "sdpa"
        with torch.device("meta"):
            model = getattr(transformers, model_class)(config, add_pooling_layer=False)
    except (TypeError, ValueError, KeyError, RuntimeError) as error:
        raise problem(
            Text("config.json으로 모델을 만들 수 없습니다.", "config.json describes no model."),
            f"{folder.path / 'config.json'}: {error}",
        ) from error
    fill(model, _named(given, f"{folder.architecture.removeprefix('xlm-')}."), str(folder.path))
    # Constants that were made on the meta device above have no values yet.
    positions = torch.arange(int(folder.config["max_position_embeddings"]))[None]
    model.embeddings.position_ids = positions
    model.embeddings.token_type_ids = torch.zeros_like(positions)
    return model.eval()


def fill(model: Any, given: Mapping[str, Any], where: str) -> None:  # noqa: ANN401
    """Put tensors into a module made without any, as float32. Raises `ModelProblem` unless they fit exactly."""
    expected = dict(model.named_parameters())
    wrong = [f"- {name}" for name in sorted(expected.keys() - given.keys())]
    wrong += [f"+ {name}" for name in sorted(given.keys() - expected.keys())]
    wrong += [
        f"{name}: {tuple(given[name].shape)} ≠ {tuple(expected[name].shape)}"
        for name in sorted(expected.keys() & given.keys())
        if given[name].shape != expected[name].shape
    ]
    if wrong:
        raise problem(
            Text("가중치가 모델과 맞지 않습니다.", "The weights do not fit the model."),
            f"{where}: {', '.join(wrong[:_SHOWN])}{' …' if len(wrong) > _SHOWN else ''}",
        )
    model.load_state_dict({name: tensor.float() for name, tensor in given.items()}, strict=True, assign=True)


def tensors(file: Path) -> dict[str, Any]:
    """Return the tensors of a file by name. Raises `ModelProblem` where it is damaged or holds something else."""
    torch, _ = libraries()
    try:
        if file.suffix == ".safetensors":
            from safetensors.torch import load_file

            found = load_file(file)
        else:
            found = torch.load(file, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(file))
    except Exception as error:
        said = _said(error)
        raise problem(
            Text(f"{file.name}을(를) 읽을 수 없습니다.", f"{file.name} cannot be read."),
            f"{file}: {said}",
        ) from error
    if not isinstance(found, Mapping) or not all(isinstance(each, torch.Tensor) for each in found.values()):
        raise problem(
            Text(f"{file.name}에 텐서가 아닌 것이 있습니다.", f"{file.name} holds more than tensors."), file
        )
    return dict(found)


def _said(error: Exception) -> str:
    """Return why, but not torch's own text on pickles: it advises to switch the protection off."""
    named = re.search(r"GLOBAL ([\w.]+)", str(error))
    if named:
        return f"it tries to call {named.group(1)}"
    line = (str(error).strip().splitlines() or [""])[0][:200]
    return type(error).__name__ if "weights_only" in line else f"{type(error).__name__}: {line}"


def _named(given: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Return the encoder's tensors under its own names: whole models have theirs under the architecture's name."""
    inside = {name.removeprefix(prefix): tensor for name, tensor in given.items() if name.startswith(prefix)}
    return {name: tensor for name, tensor in (inside or given).items() if not name.startswith(_IGNORED)}
