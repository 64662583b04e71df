"""Model folders: which family, which engine, and every way in which a folder is not one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ragtrace.adapters.embedding.choose import build
from ragtrace.adapters.embedding.folder import inspect
from ragtrace.errors import ModelProblem
from ragtrace.settings import EmbeddingSettings
from tests.support import tiny_graphs, tiny_models

from . import folders


def refusal(folder: Path, **settings: Any) -> str:
    with pytest.raises(ModelProblem) as caught:
        build(folder, EmbeddingSettings(**settings)).load()
    assert caught.value.hint is not None and caught.value.where
    return caught.value.render("en") + caught.value.render("ko")


def test_a_carried_bge_m3_gives_all_three_outputs(tmp_path: Path) -> None:
    found = inspect(folders.bge_m3(tmp_path))
    assert (found.family, found.pooling) == ("bge-m3", "cls")
    assert sorted(found.outputs) == ["colbert", "dense", "sparse"]
    assert (found.dimension, found.max_tokens, found.pad) == (tiny_models.HIDDEN, 128, 1)


def test_a_dense_model_says_how_it_pools_and_how_long_texts_may_be(tmp_path: Path) -> None:
    found = inspect(folders.dense(tmp_path, "mean_tokens"))
    assert (found.family, found.pooling, sorted(found.outputs)) == ("dense", "mean", ["dense"])
    assert found.max_tokens == 64


def test_a_head_makes_it_bge_m3_whatever_else_lies_there(tmp_path: Path) -> None:
    folder = folders.dense(tmp_path, sparse_linear_dot_pt=b"head")
    assert inspect(folder).family == "bge-m3"
    assert "colbert_linear" in refusal(folder, engine="torch") or "torch" in refusal(folder, engine="torch")


def test_golden_vectors_of_bge_m3_make_it_that_although_both_heads_are_lost(tmp_path: Path) -> None:
    golden = json.dumps({"kind": "bge-m3-onnx", "cases": []}).encode()
    assert inspect(folders.dense(tmp_path, onnx__golden_int8_dot_json=golden)).family == "bge-m3"


def test_a_name_of_a_hub_is_no_folder_and_nothing_is_downloaded(tmp_path: Path) -> None:
    assert "never downloaded" in refusal(tmp_path / "BAAI/bge-m3")


@pytest.mark.parametrize("lost", ["config_dot_json", "tokenizer_dot_json", "onnx__model_dot_onnx"])
def test_a_folder_that_lacks_a_file_is_named_with_it(tmp_path: Path, lost: str) -> None:
    said = refusal(folders.bge_m3(tmp_path, **{lost: None}), engine="onnx")
    assert {"onnx": "ONNX graph"}.get(lost[:4], lost.replace("_dot_", ".")) in said


@pytest.mark.parametrize(
    "damage", [b"", b"{", b"[1]", b"\xff\xfe", b'{"model_type": "xlm-roberta"}', b"[" * 100_000]
)
def test_a_damaged_configuration_is_an_error_in_words(tmp_path: Path, damage: bytes) -> None:
    assert "config.json" in refusal(folders.bge_m3(tmp_path, config_dot_json=damage))


@pytest.mark.parametrize(
    "changes",
    [{"model_type": "gpt2"}, {"model_type": None}, {"auto_map": {"AutoModel": "evil.Model"}}],
    ids=["decoder", "none", "own code"],
)
def test_another_architecture_and_code_of_a_model_are_refused(
    tmp_path: Path, changes: dict[str, object]
) -> None:
    assert "architecture" in refusal(folders.config(folders.bge_m3(tmp_path), **changes))


def test_a_tokenizer_of_another_model_is_refused(tmp_path: Path) -> None:
    folder = folders.config(folders.bge_m3(tmp_path / "1"), vocab_size=20)
    assert "tokenizer" in refusal(folder, engine="onnx")
    for damage in (b"", b"{}", tiny_models.tokenizer_json()[:200]):
        folder = folders.bge_m3(tmp_path / str(len(damage)), tokenizer_dot_json=damage)
        assert "tokenizer.json" in refusal(folder, engine="onnx")


@pytest.mark.parametrize("pooling", ["max_tokens", "none"])
def test_a_pooling_that_this_release_does_not_do_is_refused(tmp_path: Path, pooling: str) -> None:
    assert "pooling" in refusal(folders.dense(tmp_path, pooling))


def test_a_model_that_wants_prompts_or_further_layers_is_refused(tmp_path: Path) -> None:
    prompts = json.dumps({"prompts": {"query": "query: ", "document": ""}}).encode()
    said = refusal(folders.dense(tmp_path / "1", config_sentence_transformers_dot_json=prompts))
    assert "prompts" in said
    empty = json.dumps({"prompts": {"query": "", "document": ""}}).encode()
    inspect(folders.dense(tmp_path / "2", config_sentence_transformers_dot_json=empty))
    modules = [
        {"type": f"sentence_transformers.models.{kind}", "path": ""}
        for kind in ("Transformer", "Pooling", "Dense")
    ]
    said = refusal(folders.dense(tmp_path / "3", modules_dot_json=json.dumps(modules).encode()))
    assert "Dense" in said


@pytest.mark.parametrize(
    ("settings", "runtime"),
    [
        ({}, "onnx-fp32"),
        ({"precision": "int8"}, "onnx-int8"),
        ({"engine": "onnx", "device": "cpu"}, "onnx-fp32"),
        ({"engine": "torch"}, "torch"),
        ({"device": "cuda"}, "torch"),
        ({"precision": "bf16"}, "torch"),
    ],
)
def test_the_engine_follows_graphs_and_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], runtime: str
) -> None:
    monkeypatch.setattr("ragtrace.adapters.embedding.runtime._CUDA", tmp_path / "no-driver")
    folder = folders.bge_m3(tmp_path / "m", onnx__model_int8_dot_onnx=tiny_graphs.bge_m3())
    engine = build(folder, EmbeddingSettings(**settings))._engine
    assert type(engine).__name__ == ("OnnxBge" if runtime.startswith("onnx") else "TorchBge")
    if runtime.startswith("onnx"):
        assert engine.name == runtime


def test_without_a_graph_one_is_made_of_safetensors_and_torch_reads_pickles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ragtrace.adapters.embedding.runtime._CUDA", tmp_path / "no-driver")
    dense = folders.dense(tmp_path / "1", onnx__model_dot_onnx=None)
    assert type(build(dense, EmbeddingSettings())._engine).__name__ == "OnnxDense"
    (dense / "model.safetensors").rename(dense / "pytorch_model.bin")
    assert type(build(dense, EmbeddingSettings())._engine).__name__ == "TorchDense"
    pickled = folders.bge_m3(
        tmp_path / "2", onnx__model_dot_onnx=None, model_dot_safetensors=b"", sparse_linear_dot_safetensors=None,
        sparse_linear_dot_pt=b"",
    )  # fmt: skip
    assert type(build(pickled, EmbeddingSettings())._engine).__name__ == "TorchBge"


def test_an_accelerator_goes_before_a_graph_where_torch_has_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ragtrace.adapters.embedding.runtime._CUDA", tmp_path)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    both = folders.dense(tmp_path / "1")
    assert type(build(both, EmbeddingSettings())._engine).__name__ == "TorchDense"
    assert type(build(both, EmbeddingSettings(device="cpu"))._engine).__name__ == "OnnxDense"
    assert type(build(folders.bge_m3(tmp_path / "2"), EmbeddingSettings())._engine).__name__ == "OnnxBge"


@pytest.mark.parametrize(
    "settings",
    [
        {"engine": "onnx", "device": "cuda"},
        {"engine": "onnx", "precision": "bf16"},
        {"engine": "onnx", "precision": "int8"},
        {"engine": "torch", "precision": "int8"},
    ],
)
def test_settings_that_no_file_fits_are_refused_before_anything_is_loaded(
    tmp_path: Path, settings: dict[str, Any]
) -> None:
    with pytest.raises(ModelProblem) as caught:
        build(folders.bge_m3(tmp_path), EmbeddingSettings(**settings))
    assert "embedding." in caught.value.render("ko")
