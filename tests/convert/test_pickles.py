"""Pickles become safetensors: the same tensors, the same bytes every time, and nothing in them ever runs."""

from __future__ import annotations

import json
import os
import pickle
import stat
import struct
from pathlib import Path

import pytest

from builder.cache import Cache
from builder.models.convert.run import convert, convert_cached
from builder.models.spec import Conversion
from bundle.errors import BuildError, IntegrityError
from bundle.hashing import sha256_bytes
from tests.support import tiny_models, weights

from .conftest import Convert, folder_of

HEADS = Conversion(
    "safetensors",
    ("sparse_linear.pt", "colbert_linear.pt", "pytorch_model.bin"),
    ("sparse_linear.safetensors", "colbert_linear.safetensors", "model.safetensors"),
)
ONE = Conversion("safetensors", ("model.bin",), ("model.safetensors",))


def tensors_in(data: bytes) -> dict[str, weights.Tensor]:
    """Read a safetensors file by the format's own description."""
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    assert header.pop("__metadata__") == {"format": "pt"}
    body = data[8 + length :]
    return {
        name: (item["dtype"], tuple(item["shape"]), body[slice(*item["data_offsets"])])
        for name, item in header.items()
    }


def one(folder: Path, data: bytes) -> Path:
    (folder / "model.bin").write_bytes(data)
    return folder


def test_every_tensor_is_the_same_bit_by_bit(converted: Convert, cache: Cache, bge_m3: Path) -> None:
    made = {item.name: cache.path(item.sha256).read_bytes() for item in converted(HEADS, bge_m3).files}
    assert tensors_in(made["model.safetensors"]) == tiny_models.encoder_tensors()
    for head in ("sparse_linear", "colbert_linear"):
        assert tensors_in(made[f"{head}.safetensors"]) == tiny_models.head_tensors(head)


def test_types_special_values_and_scalars_survive(converted: Convert, cache: Cache, tmp_path: Path) -> None:
    odd = {
        "nan": ("F32", (2,), struct.pack("<2I", 0x7FC00001, 0x80000000)),
        "half": ("F16", (1, 3), bytes(range(6))),
        "brain": ("BF16", (2,), bytes(range(4))),
        "whole": ("I64", (), struct.pack("<q", -5)),
        "flags": ("BOOL", (3,), b"\x01\x00\x01"),
        "none": ("F32", (0, 4), b""),
    }
    record = converted(ONE, one(tmp_path, weights.torch_bytes(odd)))
    data = cache.path(record.files[0].sha256).read_bytes()
    assert tensors_in(data) == odd
    assert record.tensors["model.safetensors"]["half"] == "F16[1,3]"


def test_bytes_depend_neither_on_order_nor_umask(convert_python: Path, tmp_path: Path) -> None:
    tensors = tiny_models.head_tensors("colbert_linear")
    results = []
    for number, items in enumerate((tensors, dict(reversed(tensors.items())))):
        folder = tmp_path / str(number)
        folder.mkdir()
        before = os.umask(0o077 if number else 0o022)
        try:
            made = convert(
                ONE,
                {"model.bin": one(folder, weights.torch_bytes(items, folder=str(number))) / "model.bin"},
                folder / "out",
                cache=Cache(folder / "cache"),
                python=convert_python,
            )
        finally:
            os.umask(before)
        assert stat.S_IMODE(made["model.safetensors"].stat().st_mode) == 0o644
        results.append(made["model.safetensors"].read_bytes())
    assert results[0] == results[1]


def test_shards_get_an_index_of_their_new_names(converted: Convert, cache: Cache, tmp_path: Path) -> None:
    files, shards = sharded()
    record = converted(shards, folder_of(files, tmp_path))
    index = json.loads(cache.path(record.files[2].sha256).read_bytes())
    assert index["weight_map"] == {
        "bias": "model-00002-of-00002.safetensors",
        "weight": "model-00001-of-00002.safetensors",
    }
    assert index["metadata"] == {"total_size": 4 * (32 * 32 + 32)}


def test_an_index_that_names_other_tensors_is_refused(converted: Convert, tmp_path: Path) -> None:
    files, shards = sharded()
    files["pytorch_model.bin.index.json"] = files["pytorch_model.bin.index.json"].replace(
        b'"bias"', b'"gone"'
    )
    with pytest.raises(BuildError) as caught:
        converted(shards, folder_of(files, tmp_path))
    assert [item.en for item in caught.value.details] == ["bias", "gone"]


def sharded() -> tuple[dict[str, bytes], Conversion]:
    tensors = tiny_models.head_tensors("colbert_linear")
    parts = {
        f"pytorch_model-0000{n}-of-00002.bin": {key: tensors[key]} for n, key in ((1, "weight"), (2, "bias"))
    }
    files = {name: weights.torch_bytes(part) for name, part in parts.items()}
    files["pytorch_model.bin.index.json"] = tiny_models.shard_index(parts)
    return files, Conversion(
        "safetensors",
        tuple(files),
        (
            "model-00001-of-00002.safetensors",
            "model-00002-of-00002.safetensors",
            "model.safetensors.index.json",
        ),
    )


def test_a_pickle_that_would_run_a_command_is_refused_and_runs_nothing(
    converted: Convert, tmp_path: Path
) -> None:
    mark = tmp_path / "ran"
    hostile = weights.torch_bytes(
        tiny_models.head_tensors("sparse_linear"),
        extra={"x": weights.call("posix", "system", f"touch {mark}")},
    )
    with pytest.raises(BuildError) as caught:
        converted(ONE, one(tmp_path, hostile))
    assert [item.en for item in caught.value.details] == ["posix.system"]
    assert "weights_only" not in caught.value.render("en")
    assert not mark.exists()


def endless() -> bytes:
    """A checkpoint of sixteen bytes that poses as a tensor of four gigabytes."""
    return weights.torch_bytes(
        {"seed": weights.ones((4,))},
        extra={"huge": weights.tensor_opcodes(0, "F32", (1 << 30,), strides=(0,), count=4)},
    )


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (
            weights.torch_bytes({"a": weights.ones((2,))}, extra={"step": weights.whole_number(7)}),
            "'step': int",
        ),
        (weights.torch_bytes({}), "tensors alone"),
        (endless(), "4294967312 bytes of tensors"),
        (weights.torch_bytes(tiny_models.head_tensors("colbert_linear"))[:-400], "cannot be read"),
        (pickle.dumps({"a": 1}), "cannot be read"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n", "cannot be read"),
        (b"", "cannot be read"),
    ],
    ids=["number", "empty", "endless", "cut", "plain-pickle", "lfs-pointer", "no-bytes"],
)
def test_anything_but_named_tensors_is_refused(
    data: bytes, told: str, converted: Convert, cache: Cache, tmp_path: Path
) -> None:
    with pytest.raises(BuildError) as caught:
        converted(ONE, one(tmp_path, data))
    assert told in caught.value.render("en")
    assert "model.bin" in caught.value.where
    assert not [path for path in (cache.root / "files").rglob("*") if path.is_file()]
    assert not list((cache.root / "work").iterdir())


def test_the_record_says_what_came_from_what_and_with_which_tools(
    converted: Convert, cache: Cache, bge_m3: Path
) -> None:
    record = converted(HEADS, bge_m3)
    repository = tiny_models.bge_m3_repository()
    assert record.inputs == {name: sha256_bytes(repository[name]) for name in HEADS.inputs}
    for item in record.files:
        data = cache.path(item.sha256).read_bytes()
        assert (item.size, item.sha256) == (len(data), sha256_bytes(data))
    assert {"python", "torch", "safetensors", "onnx"} <= set(record.tools)
    assert record.tensors["sparse_linear.safetensors"] == {"bias": "F32[1]", "weight": "F32[1,32]"}


def test_what_was_converted_once_is_used_where_nothing_can_convert(
    converted: Convert, cache: Cache, bge_m3: Path, tmp_path: Path
) -> None:
    first = converted(HEADS, bge_m3)
    inputs = {name: bge_m3 / name for name in HEADS.inputs}
    again = convert_cached(cache, HEADS, inputs, python=tmp_path / "no-such-python")
    assert again == first
    cache.drop(first.files[1].sha256)
    with pytest.raises(BuildError, match="interpreter"):
        convert_cached(cache, HEADS, inputs, python=tmp_path / "no-such-python")


def test_inputs_that_are_not_the_pinned_ones_are_not_converted(
    convert_python: Path, cache: Cache, bge_m3: Path
) -> None:
    inputs = {name: bge_m3 / name for name in HEADS.inputs}
    with pytest.raises(IntegrityError) as caught:
        convert_cached(
            cache, HEADS, inputs, digests=dict.fromkeys(HEADS.inputs, "0" * 64), python=convert_python
        )
    assert [item.en for item in caught.value.details] == list(HEADS.inputs)
