"""BGE-M3 and dense encoders on ONNX Runtime: numbers, damage, and proof before use."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ragtrace.adapters.embedding import onnx_session
from ragtrace.adapters.embedding.assembling import assemble
from ragtrace.adapters.embedding.engine import Ids, Raw
from ragtrace.adapters.embedding.tokenizing import Tokens
from ragtrace.application.ports.embedding import OUTPUTS, Output
from ragtrace.errors import ModelProblem
from tests.support import tiny_graphs, tiny_models, weights
from tests.support.weights import Tensor

from . import folders

ALL = frozenset(OUTPUTS)


def refusal(folder: Path, **settings: Any) -> str:
    """Load the model and return what is said against it, in both languages."""
    with pytest.raises(ModelProblem) as caught:
        folders.model(folder, **settings).load()
    assert caught.value.hint is not None
    return caught.value.render("en") + caught.value.render("ko")


def with_encoder(**changes: Tensor) -> bytes:
    tensors = tiny_models.encoder_tensors()
    assert changes.keys() <= {name.replace(".", "_") for name in tensors}
    return tiny_graphs.bge_m3(
        {name: changes.get(name.replace(".", "_"), each) for name, each in tensors.items()}
    )


def golden(folder: Path, **changes: Any) -> bytes:
    """Return golden vectors as the builder writes them, of the whole graph itself."""
    from ragtrace.adapters.embedding.engine import padded

    model = folders.model(folder)
    model.load()
    cases = []
    for text in ("폐쇄망 문서 검색", "the closed network"):
        tokens = model._tokenizing.tokenise([text])[0]
        raw = model._engine.run(*padded([tokens.ids], 1), ALL)
        assert raw.dense is not None and raw.sparse is not None and raw.colbert is not None
        cases.append(
            {
                "text": text,
                "input_ids": tokens.ids,
                "dense": raw.dense[0].tolist(),
                "sparse": raw.sparse[0].tolist(),
                "colbert": raw.colbert[0][:, :16].tolist(),
            }
        )
    head = {"format": 1, "kind": "bge-m3-onnx", "graph": "model.onnx", "precision": "fp32"}
    return json.dumps(
        head | {"minimum_cosine": 0.9999, "colbert_values": 16, "cases": cases} | changes
    ).encode()


def test_special_tokens_have_no_weight_and_a_repeated_token_has_its_largest(tmp_path: Path) -> None:
    model = folders.model(folders.bge_m3(tmp_path))
    found = model.embed(["문서 검색 문서 문서 🙂"], ALL)[0]
    pieces = tiny_models.vocabulary()
    assert found.sparse_ids is not None and found.sparse_weights is not None
    assert {pieces[each] for each in found.sparse_ids} <= {"▁문서", "▁검색", "▁"}
    assert (found.sparse_ids >= 4).all(), "a special token has a weight"
    raw = Raw(sparse=np.array([[9.0, 0.5, 0.7, 0.0, 0.6, 9.0]], np.float32))
    batch = [Tokens([0, 7, 8, 9, 7, 2], False)]
    made = assemble(raw, batch, frozenset({0, 1, 2, 3}), frozenset({"sparse"}))[0]
    assert made.sparse_ids is not None and made.sparse_weights is not None
    assert made.sparse_ids.tolist() == [7, 8]
    assert made.sparse_weights.tolist() == pytest.approx([0.6, 0.7])


def test_a_batch_stops_where_the_processor_gains_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = folders.model(folders.bge_m3(tmp_path), threads=1)
    model.load()
    engine, shapes = model._engine, []
    run = engine.run

    def watched(ids: Ids, mask: Ids, outputs: frozenset[Output]) -> Raw:
        shapes.append(ids.shape)
        return run(ids, mask, outputs)

    monkeypatch.setattr(engine, "run", watched)
    texts = ["문서 " * 38, "검색 " * 28, *["서명 " * 10] * 9]
    alone = [model.embed([text], ALL)[0] for text in texts]
    shapes.clear()
    together = model.embed(texts, ALL)
    assert engine.enough_tokens == 128
    assert [count for count, _ in shapes] == [3, 8], shapes
    assert all(count * length <= engine.enough_tokens for count, length in shapes)
    for left, right in zip(alone, together, strict=True):
        assert left.dense is not None and right.dense is not None
        assert float(left.dense @ right.dense) >= 0.9999


@pytest.mark.parametrize("lost", OUTPUTS)
def test_a_graph_without_one_of_the_heads_is_refused(tmp_path: Path, lost: str) -> None:
    graph = tiny_graphs.bge_m3(outputs=tuple(each for each in OUTPUTS if each != lost))
    said = refusal(folders.bge_m3(tmp_path, onnx__model_dot_onnx=graph))
    assert lost in said and "RT-140" in said


def test_the_runtime_keeps_no_telemetry(tmp_path: Path) -> None:
    """Its telemetry begins when it is imported: a device's number, a file of events, a look-up of the maker's server."""
    script = (
        "import os, pathlib, sys\nfrom ragtrace.adapters.embedding.onnx_session import OnnxSession\n"
        "OnnxSession(pathlib.Path(sys.argv[1]), 1).load()\n"
        "for number in os.listdir('/proc/self/fd'):\n"
        "    link = '/proc/self/fd/' + number\n"
        "    assert not os.path.islink(link) or '.onnxruntime' not in os.readlink(link)\n"
    )
    graph = folders.bge_m3(tmp_path / "m") / "onnx/model.onnx"
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in ("ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME")
    }
    home = tmp_path / "home"
    home.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", script, str(graph)], env={**kept, "HOME": str(home)}, text=True, capture_output=True, check=False
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert not list(home.rglob("*"))


def test_a_graph_of_another_kind_is_refused(tmp_path: Path) -> None:
    said = refusal(folders.bge_m3(tmp_path, onnx__model_dot_onnx=tiny_graphs.cross_encoder()))
    assert "dense" in said and "models convert" in said
    said = refusal(folders.dense(tmp_path / "2", onnx__model_dot_onnx=tiny_graphs.cross_encoder()))
    assert "logits" in said


@pytest.mark.parametrize(
    "damage",
    [b"", b"not a graph", tiny_graphs.bge_m3()[:-2000], bytes(5000)],
    ids=["empty", "text", "cut short", "zeros"],
)
def test_a_damaged_graph_is_an_error_in_words(tmp_path: Path, damage: bytes) -> None:
    assert "model.onnx" in refusal(folders.bge_m3(tmp_path, onnx__model_dot_onnx=damage))


def test_a_model_that_computes_nan_is_refused(tmp_path: Path) -> None:
    word = tiny_models.encoder_tensors()["embeddings.LayerNorm.weight"]
    broken = (word[0], word[1], np.full(word[1], np.nan, "<f4").tobytes())
    graph = with_encoder(embeddings_LayerNorm_weight=broken)
    assert "NaN" in refusal(folders.bge_m3(tmp_path, onnx__model_dot_onnx=graph))


def test_a_model_whose_vectors_are_zero_is_refused(tmp_path: Path) -> None:
    last = f"encoder_layer_{tiny_models.LAYERS - 1}_output_LayerNorm_weight"
    graph = with_encoder(**{last: weights.zeros((tiny_models.HIDDEN,))})
    assert "zero" in refusal(folders.bge_m3(tmp_path, onnx__model_dot_onnx=graph))


def test_a_model_whose_vectors_are_constant_is_refused(tmp_path: Path) -> None:
    top = f"encoder_layer_{tiny_models.LAYERS - 1}_output_LayerNorm"
    flat = {
        f"{top}_weight": weights.zeros((tiny_models.HIDDEN,)),
        f"{top}_bias": weights.ones((tiny_models.HIDDEN,)),
    }
    assert "constant" in refusal(folders.bge_m3(tmp_path, onnx__model_dot_onnx=with_encoder(**flat)))


def test_a_model_that_gives_every_text_one_vector_is_refused(tmp_path: Path) -> None:
    top = f"encoder_layer_{tiny_models.LAYERS - 1}_output_LayerNorm"
    same = {
        f"{top}_weight": weights.zeros((tiny_models.HIDDEN,)),
        f"{top}_bias": weights.floats("any", (tiny_models.HIDDEN,)),
    }
    said = refusal(folders.bge_m3(tmp_path, onnx__model_dot_onnx=with_encoder(**same)))
    assert "one vector" in said


def test_a_sparse_head_that_says_nothing_is_refused(tmp_path: Path) -> None:
    head = {
        "weight": weights.zeros((1, tiny_models.HIDDEN)),
        "bias": ("F32", (1,), np.array([-1.0], "<f4").tobytes()),
    }
    graph = tiny_graphs.bge_m3(heads={"sparse_linear": head})
    assert "no weight" in refusal(folders.bge_m3(tmp_path, onnx__model_dot_onnx=graph))


@pytest.mark.parametrize(
    ("raw", "what"),
    [
        ({"dense": [[np.nan, 1.0]]}, "NaN"),
        ({"dense": [[0.0, 0.0]]}, "zero"),
        ({"dense": [[0.7071, 0.7071]]}, "constant"),
        ({"dense": [[3.0, 4.0]]}, "length 5"),
        ({"sparse": [[0.1, np.inf, 0.1]]}, "NaN"),
        ({"sparse": [[0.1, -0.1, 0.1]]}, "negative"),
        ({"colbert": [[[0.6, 0.8], [np.nan, 0.0]]]}, "NaN"),
        ({"colbert": [[[0.6, 0.8], [0.0, 0.0]]]}, "length"),
        ({}, "missing"),
    ],
)
def test_numbers_that_mean_nothing_are_never_given_out(raw: dict[str, Any], what: str) -> None:
    given = Raw(**{name: np.array(value, np.float32) for name, value in raw.items()})
    wanted = frozenset(name for name in OUTPUTS if name in raw) or frozenset({"dense"})
    with pytest.raises(ModelProblem) as caught:
        assemble(given, [Tokens([0, 5, 2], False)], frozenset({0, 2}), wanted)
    assert what in caught.value.render("en")


def test_golden_vectors_prove_the_model_before_it_is_used(tmp_path: Path) -> None:
    folder = folders.bge_m3(tmp_path)
    sound = golden(folder)
    (folder / "onnx/golden.json").write_bytes(sound)
    folders.model(folder).load()
    document = json.loads(sound)
    for name in OUTPUTS:
        changed = json.loads(sound)
        value = np.array(changed["cases"][1][name])
        changed["cases"][1][name] = np.roll(value, 1, axis=-1).tolist()
        (folder / "onnx/golden.json").write_text(json.dumps(changed), "utf-8")
        assert f"{name}: cosine" in refusal(folder)
    document["cases"][0]["input_ids"][1] = 9
    (folder / "onnx/golden.json").write_text(json.dumps(document), "utf-8")
    assert "tokenizer.json" in refusal(folder)


@pytest.mark.parametrize("damage", [b"{", b"[]", b'{"kind": "bge-m3-onnx", "cases": [{"text": "a"}]}'])
def test_a_damaged_golden_file_is_an_error_in_words(tmp_path: Path, damage: bytes) -> None:
    folder = folders.bge_m3(tmp_path, onnx__golden_dot_json=damage)
    if damage == b"[]":
        folders.model(folder).load()
    else:
        assert "golden" in refusal(folder)


def test_weights_of_another_model_have_another_fingerprint(tmp_path: Path) -> None:
    head = {"sparse_linear": {**tiny_models.head_tensors("sparse_linear"), "bias": weights.ones((1,))}}
    one = folders.model(folders.bge_m3(tmp_path / "1"))
    two = folders.model(folders.bge_m3(tmp_path / "2", onnx__model_dot_onnx=tiny_graphs.bge_m3(heads=head)))
    assert one.fingerprint != two.fingerprint
    (tmp_path / "1/onnx/model.onnx.data").write_bytes(b"weights beside the graph")
    assert folders.model(tmp_path / "1").fingerprint != one.fingerprint


def test_a_failed_load_can_be_tried_again(tmp_path: Path) -> None:
    folder = folders.bge_m3(tmp_path)
    whole = (folder / "onnx/model.onnx").read_bytes()
    (folder / "onnx/model.onnx").write_bytes(b"")
    model = folders.model(folder)
    for _ in range(2):
        with pytest.raises(ModelProblem):
            model.embed(["문서"], ALL)
    (folder / "onnx/model.onnx").write_bytes(whole)
    assert len(model.embed(["문서"], ALL)) == 1


def test_the_mean_leaves_padding_out_and_differs_from_the_first_token(tmp_path: Path) -> None:
    dense: frozenset[Output] = frozenset({"dense"})
    mean = folders.model(folders.dense(tmp_path / "mean", "mean_tokens"))
    first = folders.model(folders.dense(tmp_path / "cls"))
    short, long = "문서", "폐쇄망 문서 검색 모델 변환 서명 번들"
    together, alone = mean.embed([short, long], dense)[0].dense, mean.embed([short], dense)[0].dense
    other = first.embed([short], dense)[0].dense
    assert together is not None and alone is not None and other is not None
    assert np.allclose(together, alone, atol=2e-6)
    assert float(alone @ other) < 0.999


@pytest.mark.parametrize("output", ["last_hidden_state", "token_embeddings"])
def test_either_name_of_the_states_is_known(tmp_path: Path, output: str) -> None:
    folder = folders.dense(tmp_path, onnx__model_dot_onnx=tiny_graphs.states(output))
    assert len(folders.model(folder).embed(["문서"], frozenset({"dense"}))) == 1


def test_a_text_that_memory_does_not_suffice_for_is_an_error_with_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = folders.model(folders.bge_m3(tmp_path))
    model.load()
    monkeypatch.setattr(onnx_session, "_LONG_ROW", 100)
    need = tiny_models.HEADS * 128 * 128 * 8
    long = "문서 " * 300
    monkeypatch.setattr(onnx_session, "free_memory", lambda: need - 1)
    with pytest.raises(ModelProblem, match="128 tokens") as caught:
        model.embed([long], ALL)
    assert "embedding.max_tokens" in caught.value.render("ko")
    assert len(model.embed(["문서"], ALL)) == 1
    for enough in (need, None):
        monkeypatch.setattr(onnx_session, "free_memory", lambda enough=enough: enough)
        assert model.embed([long], ALL)[0].tokens == 128
