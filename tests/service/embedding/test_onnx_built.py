"""Graphs made of safetensors: the numbers of the carried graph, half precisions, BERT's positions, and damage."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest

from ragtrace.adapters.embedding.safetensors_file import places
from ragtrace.application.ports.embedding import OUTPUTS
from ragtrace.errors import ModelProblem
from tests.support import tiny_models, weights
from tests.support.weights import Tensor

from . import folders

ALL = frozenset(OUTPUTS)


def refusal(folder: Path) -> str:
    with pytest.raises(ModelProblem) as caught:
        folders.model(folder).load()
    assert caught.value.hint is not None
    return caught.value.render("en") + caught.value.render("ko")


def halved(kind: str) -> dict[str, Tensor]:
    """Return the encoder's tensors in a half precision."""

    def half(data: bytes) -> bytes:
        values = np.frombuffer(data, "<f4")
        if kind == "F16":
            return values.astype("<f2").tobytes()
        return (values.view("<u4") >> 16).astype("<u2").tobytes()

    return {
        name: (kind, shape, half(data)) for name, (_, shape, data) in tiny_models.encoder_tensors().items()
    }


def test_it_gives_what_the_carried_graph_gives(tmp_path: Path) -> None:
    carried = folders.model(folders.bge_m3(tmp_path / "1")).embed(folders.TEXTS, ALL)
    made = folders.model(folders.without_graph(tmp_path / "2")).embed(folders.TEXTS, ALL)
    for one, two in zip(carried, made, strict=True):
        for name in ("dense", "sparse_weights", "colbert"):
            assert np.allclose(getattr(one, name), getattr(two, name), atol=1e-6)


@pytest.mark.parametrize(("kind", "least"), [("F16", 0.99999), ("BF16", 0.999)])
def test_weights_in_half_precision_are_computed_with_as_float32(
    tmp_path: Path, kind: str, least: float
) -> None:
    whole = folders.model(folders.without_graph(tmp_path / "1")).embed(folders.TEXTS, ALL)
    half = folders.model(folders.without_graph(tmp_path / "2", halved(kind))).embed(folders.TEXTS, ALL)
    for one, two in zip(whole, half, strict=True):
        assert one.dense is not None and two.dense is not None
        assert float(one.dense @ two.dense) >= least
        assert not np.array_equal(one.dense, two.dense)


def test_tensors_may_stand_under_the_name_of_the_architecture(tmp_path: Path) -> None:
    plain = folders.model(folders.without_graph(tmp_path / "1"))
    named = folders.model(folders.without_graph(tmp_path / "2", tiny_models.encoder_tensors("roberta.")))
    one, two = (each.embed(["문서 검색"], ALL)[0].dense for each in (plain, named))
    assert one is not None and two is not None and np.array_equal(one, two)


def test_bert_counts_its_positions_from_the_first(tmp_path: Path) -> None:
    """The first position's vector changes every text's of a BERT, and none of an XLM-RoBERTa, which begins later."""
    tensors = tiny_models.encoder_tensors()
    name = "embeddings.position_embeddings.weight"
    kind, shape, data = tensors[name]
    changed = tensors | {name: (kind, shape, np.linspace(-1, 1, 32, dtype="<f4").tobytes() + data[128:])}
    vectors = {}
    for architecture in ("bert", "xlm-roberta"):
        for number, each in enumerate((tensors, changed)):
            folder = folders.without_graph(tmp_path / f"{architecture}{number}", each)
            model = folders.model(folders.config(folder, model_type=architecture))
            vectors[architecture, number] = model.embed(["문서 검색"], ALL)[0].dense
    assert not np.allclose(vectors["bert", 0], vectors["bert", 1], atol=1e-3)  # type: ignore[arg-type]
    assert np.array_equal(vectors["xlm-roberta", 0], vectors["xlm-roberta", 1])  # type: ignore[arg-type]


def test_a_missing_or_wrong_tensor_is_named(tmp_path: Path) -> None:
    tensors = tiny_models.encoder_tensors()
    lost = {name: each for name, each in tensors.items() if name != "encoder.layer.1.output.dense.bias"}
    assert "encoder.layer.1.output.dense.bias: -" in refusal(folders.without_graph(tmp_path / "1", lost))
    wide = tensors | {"embeddings.LayerNorm.weight": weights.ones((64,))}
    assert "(64,) ≠ (32,)" in refusal(folders.without_graph(tmp_path / "2", wide))
    whole = tensors | {"embeddings.LayerNorm.weight": ("I64", (32,), bytes(256))}
    assert "I64" in refusal(folders.without_graph(tmp_path / "3", whole))
    act = folders.config(folders.without_graph(tmp_path / "4"), hidden_act="relu")
    assert "hidden_act: relu" in refusal(act)
    lacking = folders.config(folders.without_graph(tmp_path / "5"), num_hidden_layers=None)
    assert "num_hidden_layers" in refusal(lacking)


def test_a_missing_head_is_an_error(tmp_path: Path) -> None:
    for name in ("sparse_linear", "colbert_linear"):
        folder = folders.without_graph(tmp_path / name)
        (folder / f"{name}.safetensors").unlink()
        assert name in refusal(folder)


def header(document: object, data: bytes = bytes(64)) -> bytes:
    text = document if isinstance(document, bytes) else json.dumps(document).encode()
    return struct.pack("<Q", len(text)) + text + data


ENTRY = {"dtype": "F32", "shape": [4, 4], "data_offsets": [0, 64]}
DAMAGES = {
    "empty": b"",
    "no header": b"\0" * 8,
    "longer than the file": struct.pack("<Q", 1 << 60) + b"{}",
    "no JSON": header(b"{nonsense"),
    "a list": header([1]),
    "deep": header(b"[" * 90_000),
    "another type": header({"w": {**ENTRY, "dtype": "F8"}}),
    "fewer bytes than numbers": header({"w": {**ENTRY, "data_offsets": [0, 60]}}),
    "behind the end": header({"w": ENTRY}, bytes(63)),
    "before the start": header({"w": {**ENTRY, "data_offsets": [-64, 0]}}),
    "negative": header({"w": {**ENTRY, "shape": [-4, -4]}}),
    "no shape": header({"w": {"dtype": "F32", "data_offsets": [0, 64]}}),
    "three offsets": header({"w": {**ENTRY, "data_offsets": [0, 64, 128]}}),
    "an entry that is none": header({"w": 5}),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_file_is_an_error_in_words(tmp_path: Path, name: str) -> None:
    file = tmp_path / "model.safetensors"
    file.write_bytes(header({"w": ENTRY, "__metadata__": {"format": "pt"}}))
    assert places(file)["w"].length == 64
    file.write_bytes(DAMAGES[name])
    with pytest.raises(ModelProblem) as caught:
        places(file)
    assert "model.safetensors" in caught.value.render("ko")
