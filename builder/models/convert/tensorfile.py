"""Write safetensors tensor by tensor: the same bytes for the same tensors, and little memory.

The library's own writer copies all tensors into memory first. Format: https://github.com/huggingface/safetensors,
"Format": eight bytes little-endian header length, a JSON header, the tensors without gaps. Child process only.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import safe_open

from bundle.text import Text

from .checkpoint import dtype_name
from .job import Refusal

_CHUNK = 64 * 1024 * 1024


def write(path: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    """Write the tensors: the widest types first, as every one then lies aligned, and by name among equals."""
    names = sorted(tensors, key=lambda name: (-tensors[name].element_size(), name))
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name in names:
        tensor = tensors[name]
        end = offset + tensor.numel() * tensor.element_size()
        header[name] = {
            "dtype": dtype_name(tensor),
            "shape": list(tensor.shape),
            "data_offsets": [offset, end],
        }
        offset = end
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    with path.open("xb") as stream:
        stream.write(struct.pack("<Q", len(text)) + text)
        for name in names:
            data = memoryview(_bytes(tensors[name]).numpy())
            for start in range(0, len(data), _CHUNK):
                stream.write(data[start : start + _CHUNK])


def compare(path: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    """Read the file back through the library and compare every tensor bit by bit.

    Raises:
        Refusal: the file does not hold exactly these tensors.
    """
    with safe_open(path, framework="pt") as opened:
        same = set(opened.keys()) == set(tensors)
        wrong = [] if same else sorted(set(opened.keys()) ^ set(tensors))
        for name in sorted(set(tensors) & set(opened.keys())):
            if not _equal(opened.get_tensor(name), tensors[name]):
                wrong.append(name)
    if wrong:
        raise Refusal(
            Text("변환 결과가 원본과 다릅니다", "the converted file differs from its original"),
            path.name,
            [Text(name, name) for name in wrong],
        )


def described(tensors: Mapping[str, torch.Tensor]) -> dict[str, str]:
    """Return type and shape of every tensor, such as ``F32[1024,1024]``."""
    return {
        name: f"{dtype_name(tensors[name])}[{','.join(str(size) for size in tensors[name].shape)}]"
        for name in sorted(tensors)
    }


def _bytes(tensor: torch.Tensor) -> torch.Tensor:
    plain = tensor.detach().resolve_conj().resolve_neg().contiguous()
    return plain.reshape(-1).view(torch.uint8)


def _equal(left: torch.Tensor, right: torch.Tensor) -> bool:
    # As bytes: a NaN equals itself, and 0.0 is not -0.0.
    alike = left.dtype == right.dtype and left.shape == right.shape
    return alike and bool(torch.equal(_bytes(left), _bytes(right)))
