"""Read the tensors of a weights file without ever running what the file says. Child process only."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file

from bundle.text import Text

from .job import Refusal

# By torch's name of the type: the safetensors name. What is not here is refused.
DTYPES = {
    "float64": "F64",
    "float32": "F32",
    "float16": "F16",
    "bfloat16": "BF16",
    "float8_e4m3fn": "F8_E4M3",
    "float8_e5m2": "F8_E5M2",
    "int64": "I64",
    "int32": "I32",
    "int16": "I16",
    "int8": "I8",
    "uint8": "U8",
    "bool": "BOOL",
}
# Tied weights are written out more than once; beyond this, a few bytes pose as a huge tensor.
_GROWTH = 4
_SHOWN = 20


def dtype_name(tensor: torch.Tensor) -> str:
    """Return the safetensors name of the tensor's type, or torch's own name where there is none."""
    name = str(tensor.dtype).removeprefix("torch.")
    return DTYPES.get(name, name)


def read(path: Path, name: str) -> dict[str, torch.Tensor]:
    """Return the tensors of a ``.safetensors`` file or of a pickle, by name.

    Raises:
        Refusal: the file holds something else, or cannot be read.
    """
    return _read_safetensors(path, name) if name.endswith(".safetensors") else read_pickle(path, name)


def _read_safetensors(path: Path, name: str) -> dict[str, torch.Tensor]:
    try:
        tensors: dict[str, torch.Tensor] = load_file(path)
    except MemoryError:
        raise
    except Exception as error:
        raise _unreadable(name, error) from error
    return tensors


def read_pickle(path: Path, name: str) -> dict[str, torch.Tensor]:
    """Return the tensors of a torch checkpoint; the file stays mapped where its format allows.

    Raises:
        Refusal: it names anything but tensors, is no checkpoint, or is damaged.
    """
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except MemoryError:
        raise
    except Exception as error:
        raise _unreadable(name, error) from error
    if not isinstance(loaded, Mapping):
        raise _other_content(name, [f"{type(loaded).__name__}"])
    wrong = [f"{key!r}: {type(value).__name__}" for key, value in loaded.items() if not _is_plain(key, value)]
    if wrong or not loaded:
        raise _other_content(name, wrong)
    size = sum(value.numel() * value.element_size() for value in loaded.values())
    if size > _GROWTH * path.stat().st_size:
        raise _other_content(name, [f"{size} bytes of tensors in a file of {path.stat().st_size}"])
    return dict(loaded)


def _is_plain(key: object, value: object) -> bool:
    return (
        isinstance(key, str)
        and isinstance(value, torch.Tensor)
        and value.layout == torch.strided
        and value.device.type == "cpu"
        and not value.is_quantized
        and str(value.dtype).removeprefix("torch.") in DTYPES
    )


def _other_content(name: str, found: list[str]) -> Refusal:
    more = [f"… {len(found) - _SHOWN}"] if len(found) > _SHOWN else []
    return Refusal(
        Text("가중치 파일에 텐서가 아닌 것이 있습니다", "a weights file does not hold named tensors alone"),
        name,
        [Text(item, item) for item in [*found[:_SHOWN], *more]],
    )


def _unreadable(name: str, error: Exception) -> Refusal:
    """Say why; torch's own text is not passed on whole, for it advises to switch the protection off."""
    named = re.search(r"GLOBAL ([\w.]+)", str(error))
    if named:
        return Refusal(
            Text(
                "피클이 텐서가 아닌 것을 부르려 합니다",
                "the pickle tries to call something that is no tensor",
            ),
            name,
            [Text(named.group(1), named.group(1))],
        )
    lines = str(error).strip().splitlines() or [""]
    line = f"{type(error).__name__}: {lines[0][:200]}"
    return Refusal(
        Text("가중치 파일을 읽을 수 없습니다", "a weights file cannot be read"), name, [Text(line, line)]
    )
