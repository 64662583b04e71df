"""The validator on models that the real converter made, run by the real ONNX Runtime: sound ones pass, spoiled ones fail."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from builder.cache import Cache
from builder.models.spec import Conversion
from tests.support import tiny_models, weights
from tests.validator import toy_models
from tests.validator.fakes import Installation, run
from tests.validator.toy_models import Files
from validator.checks import model_speed, models
from validator.model import Status

from .conftest import FP32, INT8, SCORES_INT8, Convert, folder_of

CHECKS = (*models.CHECKS[:-1], model_speed.load_time, model_speed.embedding_rate)
RUN_CHECKS = (models.load, models.golden_dense, models.golden_sparse, models.golden_colbert)


@pytest.fixture
def made(
    converted: Convert, convert_python: Path, shared_cache: Cache, bge_m3: Path, reranker: Path
) -> Callable[..., Files]:
    """Return the files of a converted model as a bundle has them."""

    def make(conversion: Conversion = INT8, folder: Path | None = None) -> Files:
        source = folder or (reranker if conversion is SCORES_INT8 else bge_m3)
        record = converted(conversion, source, shared_cache)
        files = {name: (source / name).read_bytes() for name in ("config.json", "tokenizer.json")}
        if conversion is not SCORES_INT8:
            for head in ("sparse_linear", "colbert_linear"):
                files[f"{head}.safetensors"] = weights.safetensors_bytes(tiny_models.head_tensors(head))
        return files | {item.name: shared_cache.path(item.sha256).read_bytes() for item in record.files}

    return make


def install(root: Path, convert_python: Path, **files: Files) -> Installation:
    """Install with the real libraries: the environment is that of the converter, its packages by name."""
    made = toy_models.install(root, files, runtime=False)
    script = "import numpy, os; print(os.path.dirname(os.path.dirname(numpy.__file__)))"
    site = subprocess.run(
        [str(convert_python), "-c", script], capture_output=True, text=True, check=True
    ).stdout.strip()
    (made.site / "converter.pth").write_text(site + "\n")
    return made


def test_converted_models_pass_in_both_precisions(
    made: Callable[..., Files], convert_python: Path, tmp_path: Path
) -> None:
    for conversion in (INT8, FP32):
        root = tmp_path / conversion.precision
        subject = install(
            root, convert_python, embedding=made(conversion), reranker=made(SCORES_INT8)
        ).subject()
        found = {item.id: run(item, subject) for item in CHECKS}
        assert {one.status for one in found.values()} == {Status.PASS}, {
            n: o.details.en for n, o in found.items()
        }
        assert float(found["RAG-013"].measured.split()[1]) > 0.999


def nan_weights(folder: Path) -> None:
    """Let one tensor of a graph's external data be NaN, as a dying disk or a bad conversion leaves it."""
    data = bytearray((folder / "onnx/model.onnx.data").read_bytes())
    data[:4096] = b"\x00\x00\xc0\x7f" * 1024
    (folder / "onnx/model.onnx.data").write_bytes(bytes(data))


def zeroed(folder: Path) -> None:
    place = folder / "onnx/model.onnx.data"
    place.write_bytes(bytes(place.stat().st_size))


def no_data(folder: Path) -> None:
    (folder / "onnx/model.onnx.data").unlink()


def short_data(folder: Path) -> None:
    place = folder / "onnx/model.onnx.data"
    place.write_bytes(place.read_bytes()[:-4096])


def truncated(folder: Path) -> None:
    place = folder / "onnx/model.onnx"
    place.write_bytes(place.read_bytes()[:-200])


def other_tokenizer(folder: Path) -> None:
    document: dict[str, Any] = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    document["normalizer"] = {"type": "Sequence", "normalizers": [{"type": "NFD"}]}
    (folder / "tokenizer.json").write_text(json.dumps(document), encoding="utf-8")


def no_tokenizer_at_all(folder: Path) -> None:
    (folder / "tokenizer.json").write_text("{}", encoding="utf-8")


@pytest.mark.parametrize(
    ("spoil", "failing"),
    [
        (nan_weights, {"RAG-013"}),
        (zeroed, {"RAG-013", "RAG-014"}),
        (no_data, {"RAG-012"}),
        (short_data, {"RAG-012"}),
        (truncated, {"RAG-012"}),
        (other_tokenizer, {"RAG-013", "RAG-014", "RAG-015"}),
        (no_tokenizer_at_all, {"RAG-013", "RAG-014", "RAG-015"}),
    ],
    ids=lambda item: item.__name__ if callable(item) else "",
)
def test_spoiled_models_fail(
    spoil: Callable[[Path], None],
    failing: set[str],
    made: Callable[..., Files],
    convert_python: Path,
    tmp_path: Path,
) -> None:
    installed = install(tmp_path / "p", convert_python, embedding=made(FP32))
    folder = installed.generation / "models" / "bge-m3"
    copy = shutil.copytree(folder, tmp_path / "copy")
    shutil.rmtree(folder)
    shutil.copytree(copy, folder)
    spoil(folder)
    subject = installed.subject()
    found = {item.id: run(item, subject) for item in RUN_CHECKS}
    failed = {name for name, one in found.items() if one.status is Status.FAIL}
    assert failing <= failed, {n: o.details.en for n, o in found.items()}
    assert {one.status for one in found.values()} <= {Status.FAIL, Status.SKIP, Status.PASS}


def test_a_model_swapped_for_another_of_the_same_shape_is_found(
    made: Callable[..., Files], convert_python: Path, tmp_path: Path
) -> None:
    other = tiny_models.bge_m3_repository()
    tensors = tiny_models.encoder_tensors()
    name = "embeddings.word_embeddings.weight"
    tensors[name] = weights.floats("another model", (len(tiny_models.vocabulary()), tiny_models.HIDDEN))
    other["pytorch_model.bin"] = weights.torch_bytes(tensors)
    swapped = made(INT8, folder_of(other, tmp_path / "other"))
    graph = INT8.outputs[0]
    files = made(INT8) | {graph: swapped[graph]}
    subject = install(tmp_path / "p", convert_python, embedding=files).subject()
    found = {item.id: run(item, subject) for item in RUN_CHECKS}
    assert {name: one.status for name, one in found.items()} == {
        "RAG-012": Status.PASS,
        "RAG-013": Status.FAIL,
        "RAG-014": Status.FAIL,
        "RAG-015": Status.FAIL,
    }
    assert "cosine" in found["RAG-013"].details.en
