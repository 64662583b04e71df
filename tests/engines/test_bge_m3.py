"""BGE-M3 on both engines gives what FlagEmbedding gives on the same weights: all three outputs, cosine ≥ 0.9999."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ragtrace.application.ports.embedding import OUTPUTS, Embedding
from ragtrace.errors import ModelProblem
from tests.service.embedding import folders
from tests.support import tiny_graphs, tiny_models, weights

pytestmark = pytest.mark.usefixtures("flag_embedding")
ALL = frozenset(OUTPUTS)
TEXTS = [
    *folders.TEXTS,
    "폐쇄망 문서 문서 문서 검색 🙂 unknown words and 123.",
    "the closed network " * 60,
]
Reference = list[dict[str, Any]]


def flag_embedding(folder: Path, texts: list[str]) -> Reference:
    """Return what FlagEmbedding makes of the texts, in float32 on the processor."""
    from FlagEmbedding import BGEM3FlagModel

    model = BGEM3FlagModel(str(folder), use_fp16=False, devices="cpu")
    found = model.encode(
        texts,
        batch_size=3,
        max_length=128,
        return_dense=True,
        return_sparse=True,
        return_colbert_vecs=True,
    )
    return [
        {"dense": dense, "sparse": sparse, "colbert": rows}
        for dense, sparse, rows in zip(
            found["dense_vecs"], found["lexical_weights"], found["colbert_vecs"], strict=True
        )
    ]


def cosine(left: NDArray[Any], right: NDArray[Any]) -> float:
    one, two = left.astype(np.float64).ravel(), right.astype(np.float64).ravel()
    return float(one @ two / (np.linalg.norm(one) * np.linalg.norm(two)))


def agree(wanted: Reference, found: list[Embedding], least: float) -> None:
    for text, one, two in zip(TEXTS, wanted, found, strict=True):
        assert two.dense is not None and two.sparse_ids is not None and two.sparse_weights is not None
        assert two.colbert is not None
        assert cosine(one["dense"], two.dense) >= least, text
        assert one["colbert"].shape == two.colbert.shape
        assert (np.sum(one["colbert"] * two.colbert, axis=1) >= least).all(), text
        sparse = {int(key): float(value) for key, value in one["sparse"].items()}
        assert sorted(sparse) == two.sparse_ids.tolist(), text
        if sparse:
            assert cosine(np.array([sparse[key] for key in sorted(sparse)]), two.sparse_weights) >= least
            assert np.allclose(
                [sparse[key] for key in sorted(sparse)], two.sparse_weights, rtol=1e-3, atol=1e-5
            )


@pytest.fixture
def reference(upstream: Path) -> Reference:
    return flag_embedding(upstream, TEXTS)


def test_torch_agrees_with_flag_embedding(upstream: Path, reference: Reference) -> None:
    model = folders.model(upstream, engine="torch", device="cpu", batch_size=3)
    agree(reference, model.embed(TEXTS, ALL), 0.9999)


def test_onnx_agrees_with_flag_embedding(tmp_path: Path, reference: Reference) -> None:
    model = folders.model(folders.bge_m3(tmp_path / "carried"), batch_size=3)
    agree(reference, model.embed(TEXTS, ALL), 0.9999)


def test_a_graph_made_of_safetensors_agrees_with_flag_embedding(tmp_path: Path, reference: Reference) -> None:
    model = folders.model(folders.without_graph(tmp_path / "weights"), batch_size=3)
    agree(reference, model.embed(TEXTS, ALL), 0.9999)


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_half_precision_stays_near(upstream: Path, reference: Reference, precision: str) -> None:
    model = folders.model(upstream, engine="torch", device="cpu", precision=precision)
    found = model.embed(TEXTS, ALL)
    least = {"fp16": 0.9999, "bf16": 0.999}[precision]
    for one, two in zip(reference, found, strict=True):
        assert two.dense is not None and cosine(one["dense"], two.dense) >= least
    assert precision in model.fingerprint


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_what_the_builder_converts_is_proved_by_its_golden_vectors_and_agrees(
    upstream: Path, tmp_path: Path, reference: Reference, precision: str
) -> None:
    """The whole way: the builder's own conversion, carried as its profile says, run by the service's adapter."""
    from builder.models.convert import onnx_job
    from builder.models.convert.job import Job

    name = {"fp32": "model.onnx", "int8": "model_int8.onnx"}[precision]
    golden = {"fp32": "golden.json", "int8": "golden_int8.json"}[precision]
    inputs = ("config.json", "tokenizer.json", "pytorch_model.bin", "sparse_linear.pt", "colbert_linear.pt")
    work = tmp_path / "work"
    work.mkdir()
    outputs = (name, golden) if precision == "int8" else (name, f"{name}.data", golden)
    job = Job("bge-m3-onnx", precision, {each: str(upstream / each) for each in inputs}, outputs, str(work))
    onnx_job.convert(job, lambda step: None)
    carried = tmp_path / "carried"
    (carried / "onnx").mkdir(parents=True)
    for each in ("config.json", "tokenizer.json"):
        shutil.copy(upstream / each, carried / each)
    for each in outputs:
        shutil.copy(work / each, carried / "onnx" / each)
    model = folders.model(carried, batch_size=3)
    found = model.embed(TEXTS, ALL)
    assert precision in model.fingerprint and len(tiny_models.vocabulary()) == model._folder.vocabulary
    if precision == "fp32":
        agree(reference, found, 0.9999)
    else:
        for one, two in zip(reference, found, strict=True):
            assert two.dense is not None and cosine(one["dense"], two.dense) >= 0.99


def head(**changes: Any) -> bytes:
    return weights.torch_bytes({**tiny_models.head_tensors("sparse_linear"), **changes})


Damage = Callable[[Path], object]
DAMAGES: dict[str, tuple[Damage, str]] = {
    "no sparse head": (lambda folder: (folder / "sparse_linear.pt").unlink(), "sparse_linear"),
    "no ColBERT head": (lambda folder: (folder / "colbert_linear.pt").unlink(), "colbert_linear"),
    "half a head": (
        lambda folder: (
            (folder / "sparse_linear.pt").write_bytes(
                weights.torch_bytes({"weight": tiny_models.head_tensors("sparse_linear")["weight"]})
            )
            and None
        ),
        "- bias",
    ),
    "a head of another width": (
        lambda folder: (folder / "sparse_linear.pt").write_bytes(head(weight=weights.ones((1, 64)))),
        "(1, 64)",
    ),
    "a head that calls": (
        lambda folder: (
            (folder / "sparse_linear.pt").write_bytes(
                weights.torch_bytes({}, extra={"weight": weights.call("os", "system", "true")})
            )
            and None
        ),
        "call os.system",
    ),
    "no encoder": (lambda folder: (folder / "pytorch_model.bin").unlink(), "weights"),
    "a layer too many": (lambda folder: folders.config(folder, num_hidden_layers=3), "layer.2"),
    "a layer too few": (lambda folder: folders.config(folder, num_hidden_layers=1), "layer.1"),
    "cut short": (
        lambda folder: (
            (folder / "pytorch_model.bin").write_bytes((folder / "pytorch_model.bin").read_bytes()[:9000])
            and None
        ),
        "pytorch_model.bin",
    ),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_folder_is_an_error_and_never_random_numbers(upstream: Path, name: str) -> None:
    damage, said = DAMAGES[name]
    damage(upstream)
    with pytest.raises(ModelProblem) as caught:
        folders.model(upstream, engine="torch", device="cpu").load()
    assert said in caught.value.render("en") + caught.value.render("ko")
    assert "weights_only" not in caught.value.render("en")


def test_a_device_that_is_not_there_is_an_error(upstream: Path) -> None:
    import torch

    missing = "mps" if torch.cuda.is_available() else "cuda"
    with pytest.raises(ModelProblem, match=missing):
        folders.model(upstream, engine="torch", device=missing).load()


def test_the_hand_written_graph_equals_the_formulas_that_the_builder_compares_with(tmp_path: Path) -> None:
    """`tests/support/tiny_graphs` stands for the builder's graphs in `make test`: here it is held to them."""
    import json

    import torch

    from builder.models.convert import encoder, reference
    from ragtrace.adapters.embedding.engine import padded

    files = tiny_graphs.bge_m3_folder()
    folder = folders.bge_m3(tmp_path)
    tensors = {f"encoder.{name}": each for name, each in tiny_models.encoder_tensors(pooler=False).items()}
    for each in ("sparse_linear", "colbert_linear"):
        tensors |= {f"{each}.{part}": value for part, value in tiny_models.head_tensors(each).items()}
    given = {
        name: torch.frombuffer(bytearray(data), dtype=torch.float32).reshape(shape)
        for name, (_, shape, data) in tensors.items()
    }
    shape = encoder.read_shape(folder / "config.json", "config.json")
    assert json.loads(files["config.json"])["vocab_size"] == shape.vocab_size
    model = folders.model(folder)
    model.load()
    for ids in ([0, 2], [0, 4, 6, 7, 2], [0, *range(5, 45), 2]):
        wanted = reference.bge_m3(given, shape, torch.tensor(ids))
        found = model._engine.run(*padded([ids, [0, *range(4, 60), 2]], 1), ALL)
        for name in OUTPUTS:
            value = getattr(found, name)[0][: len(wanted[name])]
            assert np.allclose(value, wanted[name].numpy(), atol=5e-6), name
