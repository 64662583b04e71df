"""Weight files written by hand, without torch: safetensors, GGUF and torch checkpoints.

A tensor is a dtype name of the safetensors format, a shape, and its little-endian bytes. The torch writer
assembles the pickle opcodes itself, so a test can also write checkpoints that say something they must not.
"""

from __future__ import annotations

import io
import json
import math
import random
import struct
import zipfile
from collections.abc import Mapping, Sequence

Tensor = tuple[str, tuple[int, ...], bytes]

_SIZES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I8": 1, "U8": 1, "BOOL": 1}
_STORAGES = {
    "F64": "DoubleStorage",
    "F32": "FloatStorage",
    "F16": "HalfStorage",
    "BF16": "BFloat16Storage",
    "I64": "LongStorage",
    "I32": "IntStorage",
    "I8": "CharStorage",
    "U8": "ByteStorage",
    "BOOL": "BoolStorage",
}
_GGML_TYPES = {"F32": 0, "F16": 1}
_GGUF_ALIGNMENT = 32


def floats(name: str, shape: Sequence[int], *, scale: float = 0.08, mean: float = 0.0) -> Tensor:
    """Return normally distributed float32 values that depend on nothing but `name` and the arguments."""
    draw = random.Random(name).gauss
    count = math.prod(shape)
    return "F32", tuple(shape), struct.pack(f"<{count}f", *(draw(mean, scale) for _ in range(count)))


def ones(shape: Sequence[int]) -> Tensor:
    """Return float32 ones."""
    return "F32", tuple(shape), struct.pack("<f", 1.0) * math.prod(shape)


def zeros(shape: Sequence[int]) -> Tensor:
    """Return float32 zeros."""
    return "F32", tuple(shape), bytes(4 * math.prod(shape))


def safetensors_bytes(tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> bytes:
    """Return a safetensors file: header length, JSON header, tensors in order of their names."""
    header: dict[str, object] = {"__metadata__": dict(metadata or {"format": "pt"})}
    offset = 0
    for name in sorted(tensors):
        dtype, shape, data = tensors[name]
        assert len(data) == _SIZES[dtype] * math.prod(shape), name
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [offset, offset + len(data)]}
        offset += len(data)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + b"".join(tensors[name][2] for name in sorted(tensors))


def gguf_bytes(metadata: Mapping[str, object], tensors: Mapping[str, Tensor]) -> bytes:
    """Return a GGUF file, version 3: header, metadata, tensor infos, padded tensor data.

    Args:
        metadata: ``str``, ``bool``, ``int`` (uint32, in lists int32), ``float`` (float32), or a list of one.
        tensors: F32 or F16; shapes as torch writes them, GGUF's own order is the reverse.
    """
    out = io.BytesIO()
    out.write(b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(metadata)))
    for key, value in metadata.items():
        kind, data = _gguf_value(value)
        out.write(_gguf_string(key) + struct.pack("<I", kind) + data)
    offset = 0
    for name, (dtype, shape, data) in tensors.items():
        out.write(_gguf_string(name) + struct.pack("<I", len(shape)))
        out.write(struct.pack(f"<{len(shape)}Q", *reversed(shape)))
        out.write(struct.pack("<IQ", _GGML_TYPES[dtype], offset))
        offset += len(data) + -len(data) % _GGUF_ALIGNMENT
    for *_, data in tensors.values():
        out.write(bytes(-out.tell() % _GGUF_ALIGNMENT))
        out.write(data)
    out.write(bytes(-out.tell() % _GGUF_ALIGNMENT))
    return out.getvalue()


def gguf_names(layers: int) -> dict[str, str]:
    """Return llama.cpp's name for each tensor of a Llama of Hugging Face, both without ``.weight``."""
    parts = {
        "input_layernorm": "attn_norm",
        "mlp.down_proj": "ffn_down",
        "mlp.gate_proj": "ffn_gate",
        "mlp.up_proj": "ffn_up",
        "post_attention_layernorm": "ffn_norm",
        "self_attn.k_proj": "attn_k",
        "self_attn.o_proj": "attn_output",
        "self_attn.q_proj": "attn_q",
        "self_attn.v_proj": "attn_v",
    }
    names = {"lm_head": "output", "model.embed_tokens": "token_embd", "model.norm": "output_norm"}
    for layer in range(layers):
        names |= {f"model.layers.{layer}.{ours}": f"blk.{layer}.{theirs}" for ours, theirs in parts.items()}
    return names


def _gguf_string(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _gguf_value(value: object) -> tuple[int, bytes]:
    if isinstance(value, bool):
        return 7, struct.pack("<?", value)
    if isinstance(value, int):
        return 4, struct.pack("<I", value)
    if isinstance(value, float):
        return 6, struct.pack("<f", value)
    if isinstance(value, str):
        return 8, _gguf_string(value)
    assert isinstance(value, list)
    items = [(5, struct.pack("<i", item)) if isinstance(item, int) else _gguf_value(item) for item in value]
    kind = items[0][0]
    return 9, struct.pack("<IQ", kind, len(items)) + b"".join(data for _, data in items)


def torch_bytes(
    tensors: Mapping[str, Tensor], *, extra: Mapping[str, bytes] | None = None, folder: str = "archive"
) -> bytes:
    """Return a checkpoint as ``torch.save`` of an ordered dictionary of tensors writes it.

    Args:
        extra: further entries by name, each the opcodes that put its value on the stack (see `CALL`).
        folder: the name of the folder inside the ZIP archive.
    """
    pickle = b"\x80\x02" + _ORDERED + b"("
    for number, (name, (dtype, shape, _)) in enumerate(tensors.items()):
        pickle += _text(name) + tensor_opcodes(number, dtype, shape)
    for name, opcodes in (extra or {}).items():
        pickle += _text(name) + opcodes
    pickle += b"u."
    members = {"data.pkl": pickle, "byteorder": b"little", "version": b"3\n"}
    members |= {f"data/{number}": data for number, (*_, data) in enumerate(tensors.values())}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(f"{folder}/{name}", (2020, 1, 1, 0, 0, 0)), data)
    return buffer.getvalue()


_ORDERED = b"ccollections\nOrderedDict\n)R"


def call(module: str, function: str, argument: str) -> bytes:
    """Return the pickle opcodes that call a function when loaded: what a hostile checkpoint holds."""
    return f"c{module}\n{function}\n".encode() + b"(" + _text(argument) + b"tR"


def whole_number(value: int) -> bytes:
    """Return the pickle opcodes of a small number."""
    return b"J" + struct.pack("<i", value)


def _text(text: str) -> bytes:
    data = text.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def _numbers(values: Sequence[int]) -> bytes:
    return b"(" + b"".join(whole_number(value) for value in values) + b"t"


def tensor_opcodes(
    number: int,
    dtype: str,
    shape: Sequence[int],
    strides: Sequence[int] | None = None,
    count: int | None = None,
) -> bytes:
    """Return the pickle opcodes of a tensor over storage `number`, which holds `count` elements."""
    strides = strides or [math.prod(shape[position + 1 :]) for position in range(len(shape))]
    storage = b"(" + _text("storage") + f"ctorch\n{_STORAGES[dtype]}\n".encode() + _text(str(number))
    storage += _text("cpu") + whole_number(math.prod(shape) if count is None else count) + b"tQ"
    arguments = storage + whole_number(0) + _numbers(shape) + _numbers(strides) + b"\x89" + _ORDERED
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + arguments + b"tR"
