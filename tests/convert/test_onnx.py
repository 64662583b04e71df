"""One graph gives dense, sparse and ColBERT vectors, and they are the model's."""

from __future__ import annotations

import json
import math
import os
import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from builder.cache import Cache
from builder.models.convert import interpreter
from builder.models.convert.run import Converted, convert
from builder.models.spec import Conversion
from bundle.errors import BuildError
from tests.support import tiny_models, weights

from .conftest import FP32, INT8, SCORES, SCORES_INT8, Convert, folder_of

LONGEST = tiny_models.POSITIONS - 2
# One text, the shortest, the longest, and a batch with padding; none is the shape that was traced.
BATCHES = [
    [[0, 4, 6, 7, 2]],
    [[0, 2]],
    [[0, *(5 + n % 60 for n in range(LONGEST - 2)), 2]],
    [[0, 8, 2], [0, 4, 5, 6, 7, 8, 9, 10, 2], [0, 30, 31, 2]],
]
Differences = list[dict[str, list[float]]]
Compare = Callable[[Converted, Path], Differences]


@pytest.fixture
def compared(convert_python: Path, shared_cache: Cache, tmp_path: Path) -> Compare:
    """Run a converted graph beside the formulas, in an interpreter of its own."""

    def compare(record: Converted, folder: Path) -> Differences:
        for item in record.files:
            place = tmp_path / Path(item.name).name
            shutil.copyfile(shared_cache.path(item.sha256), place)
        graph = tmp_path / Path(record.files[0].name).name
        done = subprocess.run(
            [str(convert_python), str(Path(__file__).with_name("formulas.py"))],
            input=json.dumps({"folder": str(folder), "graph": str(graph), "batches": BATCHES}),
            env=interpreter.environment(tmp_path),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        found: Differences = json.loads(done.stdout)
        assert len(found) == len(BATCHES)
        return found

    return compare


def test_the_graph_equals_the_published_formulas(
    converted: Convert, compared: Compare, shared_cache: Cache, bge_m3: Path
) -> None:
    record = converted(FP32, bge_m3, shared_cache)
    for row in compared(record, bge_m3):
        assert set(row) == {"dense", "sparse", "colbert"}
        assert max(difference for difference, _ in row.values()) < 5e-6
    assert min(record.measured.values()) > 0.999999


def test_the_int8_graph_stays_near_and_is_smaller(
    converted: Convert, compared: Compare, shared_cache: Cache, bge_m3: Path
) -> None:
    record = converted(INT8, bge_m3, shared_cache)
    for row in compared(record, bge_m3):
        assert min(cosine for _, cosine in row.values()) > 0.99
        assert max(difference for difference, _ in row.values()) > 1e-5, "nothing was quantised"
    whole = converted(FP32, bge_m3, shared_cache)
    assert record.files[0].size < (whole.files[0].size + whole.files[1].size) * 0.6


def test_a_cross_encoder_keeps_its_scores(
    converted: Convert, compared: Compare, shared_cache: Cache, reranker: Path
) -> None:
    for row in compared(converted(SCORES, reranker, shared_cache), reranker):
        assert row["logits"][0] < 5e-6
    assert converted(SCORES_INT8, reranker, shared_cache).measured["logits"] > 0.99


def test_the_bytes_are_the_same_again_and_tell_nothing_of_this_machine(
    converted: Convert, cache: Cache, shared_cache: Cache, bge_m3: Path, tmp_path: Path
) -> None:
    elsewhere = folder_of(tiny_models.bge_m3_repository(), tmp_path / "elsewhere")
    first, again = converted(FP32, bge_m3, shared_cache), converted(FP32, elsewhere, cache)
    assert first == again
    for item in again.files:
        data = cache.path(item.sha256).read_bytes()
        for secret in (b"site-packages", str(Path.home()).encode() + b"/", str(tmp_path).encode(), b".py"):
            assert secret not in data, item.name
    graph = cache.path(again.files[0].sha256).read_bytes()
    assert b"model.onnx.data" in graph


def test_golden_vectors_are_those_of_the_model(converted: Convert, shared_cache: Cache, bge_m3: Path) -> None:
    record = converted(FP32, bge_m3, shared_cache)
    golden: dict[str, Any] = json.loads(shared_cache.path(record.files[2].sha256).read_bytes())
    assert (golden["graph"], golden["precision"], golden["minimum_cosine"]) == ("model.onnx", "fp32", 0.9999)
    pieces = tiny_models.vocabulary()
    assert len(golden["cases"]) >= 4
    for case in golden["cases"]:
        ids, tokens = case["input_ids"], len(case["input_ids"])
        assert (pieces[ids[0]], pieces[ids[-1]]) == ("<s>", "</s>") and case["text"]
        assert len(case["dense"]) == tiny_models.HIDDEN
        assert math.isclose(math.hypot(*case["dense"]), 1.0, abs_tol=1e-4)
        assert len(case["sparse"]) == tokens and min(case["sparse"]) >= 0.0
        assert math.isclose(math.hypot(*case["sparse"]), case["sparse_norm"], abs_tol=1e-4)
        assert len(case["colbert"]) == tokens - 1
        assert math.isclose(case["colbert_norm"], math.sqrt(tokens - 1), abs_tol=1e-4)
    assert any(max(case["sparse"]) > 0 for case in golden["cases"])


def test_without_a_tokenizer_the_golden_vectors_are_of_token_numbers(
    converted: Convert, cache: Cache, bge_m3: Path
) -> None:
    inputs = tuple(name for name in FP32.inputs if name != "tokenizer.json")
    record = converted(Conversion("bge-m3-onnx", inputs, ("m.onnx", "g.json")), bge_m3)
    golden = json.loads(cache.path(record.files[1].sha256).read_bytes())
    assert {case["text"] for case in golden["cases"]} == {""}
    assert [item.name for item in record.files] == ["m.onnx", "g.json"]


def test_files_for_a_person_are_readable_and_lie_where_they_belong(
    convert_python: Path, converted: Convert, shared_cache: Cache, bge_m3: Path, tmp_path: Path
) -> None:
    converted(FP32, bge_m3, shared_cache)
    inputs = {name: bge_m3 / name for name in FP32.inputs}
    before = os.umask(0o077)
    try:
        made = convert(FP32, inputs, tmp_path / "out", cache=shared_cache, python=convert_python)
    finally:
        os.umask(before)
    assert list(made) == list(FP32.outputs)
    assert {place.stat().st_mode & 0o777 for place in made.values()} == {0o644}
    assert sorted(path.name for path in (tmp_path / "out/onnx").iterdir()) == [
        "golden.json",
        "model.onnx",
        "model.onnx.data",
    ]


def without_sparse_head(files: dict[str, bytes]) -> None:
    files["sparse_linear.pt"] = weights.torch_bytes({"weight": weights.ones((1, tiny_models.HIDDEN))})


def wide_head(files: dict[str, bytes]) -> None:
    files["sparse_linear.pt"] = weights.torch_bytes(
        {"weight": weights.ones((1, 64)), "bias": weights.ones((1,))}
    )


def one_layer_more(files: dict[str, bytes]) -> None:
    files["config.json"] = tiny_models.encoder_config(num_hidden_layers=3)


def another_architecture(files: dict[str, bytes]) -> None:
    files["config.json"] = tiny_models.encoder_config(model_type="bert", hidden_act="relu")


def larger_tokenizer(files: dict[str, bytes]) -> None:
    files["config.json"] = tiny_models.encoder_config(vocab_size=20)
    tensors = tiny_models.encoder_tensors()
    tensors["embeddings.word_embeddings.weight"] = weights.floats("small", (20, tiny_models.HIDDEN))
    files["pytorch_model.bin"] = weights.torch_bytes(tensors)


def not_a_number(files: dict[str, bytes]) -> None:
    tensors = tiny_models.encoder_tensors()
    tensors["encoder.layer.1.output.dense.bias"] = ("F32", (32,), b"\x00\x00\xc0\x7f" * 32)
    files["pytorch_model.bin"] = weights.torch_bytes(tensors)


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (without_sparse_head, "- sparse_linear.bias"),
        (wide_head, "sparse_linear.weight: (1, 64) ≠ (1, 32)"),
        (one_layer_more, "- encoder.encoder.layer.2.attention.output.LayerNorm.bias"),
        (another_architecture, "model_type = 'bert', 'xlm-roberta'"),
        (larger_tokenizer, "the tokenizer does not fit"),
        (not_a_number, "not finite"),
    ],
    ids=lambda item: item.__name__ if callable(item) else "",
)
def test_inputs_that_do_not_fit_are_refused(
    spoil: Callable[[dict[str, bytes]], None], told: str, converted: Convert, tmp_path: Path
) -> None:
    files = tiny_models.bge_m3_repository()
    spoil(files)
    with pytest.raises(BuildError) as caught:
        converted(FP32, folder_of(files, tmp_path))
    assert told in caught.value.render("en")


def test_an_int8_graph_that_lost_the_meaning_is_refused(
    converted: Convert, cache: Cache, tmp_path: Path
) -> None:
    # One unit of a layer far out of line takes the whole range of its activations, and its weights undo it.
    files = tiny_models.bge_m3_repository()
    tensors = tiny_models.encoder_tensors()
    top, inner = "encoder.layer.1", tiny_models.INNER
    bias = [1e5] + [0.0] * (inner - 1)
    rows = weights.floats("outlier", (tiny_models.HIDDEN, inner), scale=8.0)[2]
    columns = [(0.0, *row[1:]) for row in struct.iter_unpack(f"<{inner}f", rows)]
    tensors[f"{top}.intermediate.dense.bias"] = ("F32", (inner,), struct.pack(f"<{inner}f", *bias))
    tensors[f"{top}.output.dense.weight"] = (
        "F32",
        (tiny_models.HIDDEN, inner),
        b"".join(struct.pack(f"<{inner}f", *row) for row in columns),
    )
    files["pytorch_model.bin"] = weights.torch_bytes(tensors)
    with pytest.raises(BuildError, match="differ") as caught:
        converted(INT8, folder_of(files, tmp_path))
    assert any("cosine" in item.en for item in caught.value.details)
    assert not [path for path in (cache.root / "files").rglob("*") if path.is_file()]


def test_outputs_that_no_graph_has_are_refused(converted: Convert, bge_m3: Path) -> None:
    with pytest.raises(BuildError, match=r"X\.onnx"):
        converted(Conversion("bge-m3-onnx", FP32.inputs, ("model.onnx", "weights.bin")), bge_m3)
