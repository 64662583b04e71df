"""A cross-encoder's folder: what is read, what is refused, and that pairs are what the model was trained on."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ragtrace.adapters.embedding.engine import Floats, Ids
from ragtrace.adapters.reranking.choose import build
from ragtrace.adapters.reranking.folder import inspect_reranker
from ragtrace.adapters.reranking.model import FolderReranker
from ragtrace.errors import ModelProblem
from ragtrace.settings import RerankerSettings
from tests.service.reranking.folders import config, cross_encoder, formula, reranker
from tests.support import tiny_models
from tests.support.weights import safetensors_bytes

QUESTION = "문서 검색"
TEXTS = ["폐쇄망 문서 검색", "the closed network has no internet", "", "가", "모델 변환 서명 번들 설치 " * 3]


class Recording:
    """An engine that keeps what it was given and scores by the sum of real tokens."""

    name = "onnx-fp32"

    def __init__(self) -> None:
        self.seen: list[tuple[Ids, Ids]] = []

    def digest(self) -> str:
        return "0" * 64

    def load(self) -> None:
        pass

    def logits(self, ids: Ids, mask: Ids) -> Floats:
        self.seen.append((ids, mask))
        found: Floats = ((ids * mask).sum(axis=1) / 1000).astype(np.float32)
        return found

    def close(self) -> None:
        pass


def recording(tmp_path: Path, max_tokens: int = 1024) -> tuple[FolderReranker, Recording]:
    engine = Recording()
    return FolderReranker(inspect_reranker(cross_encoder(tmp_path)), engine, max_tokens), engine


def rows(engine: Recording) -> list[list[int]]:
    return [ids[mask == 1].tolist() for batch in engine.seen for ids, mask in zip(*batch, strict=True)]


def test_a_pair_is_question_and_text_between_the_special_tokens_of_its_kind(tmp_path: Path) -> None:
    model, engine = recording(tmp_path)
    model.load()
    engine.seen.clear()
    model.scores("문서 검색", ["폐쇄망"])
    words = tiny_models.vocabulary()
    wanted = ["<s>", "▁문서", "▁검색", "</s>", "</s>", "▁폐쇄망", "</s>"]
    assert rows(engine) == [[words.index(word) for word in wanted]]


def test_the_end_of_a_long_passage_is_cut_and_the_question_stays(tmp_path: Path) -> None:
    model, engine = recording(tmp_path, max_tokens=16)
    model.load()
    engine.seen.clear()
    model.scores("문서 검색", ["모델 " * 500])
    found = rows(engine)[0]
    words = tiny_models.vocabulary()
    assert len(found) == 16 and found[-1] == words.index("</s>")
    assert found[1:3] == [words.index("▁문서"), words.index("▁검색")]


def test_texts_of_like_length_go_together_and_come_back_in_order(tmp_path: Path) -> None:
    model, engine = recording(tmp_path)
    model.load()
    engine.seen.clear()
    texts = ["문서 " * (number * 7 % 40) for number in range(50)]
    found = model.scores("검색", texts)
    alone = [model.scores("검색", [text])[0] for text in texts]
    assert found == alone
    widths = [ids.shape[1] for ids, _ in engine.seen[:4]]
    assert widths == sorted(widths, reverse=True) and len(engine.seen[0][0]) == 16


def test_a_score_is_the_logistic_of_the_logit_however_far_it_lies(tmp_path: Path) -> None:
    model, engine = recording(tmp_path)
    model.load()
    for logit in (-2000.0, -1.5, 0.0, 1.5, 2000.0):
        engine.logits = lambda ids, mask, logit=logit: np.full(len(ids), logit, np.float32)  # type: ignore[method-assign,misc]
        expected = 1 / (1 + math.exp(-logit)) if abs(logit) < 700 else float(logit > 0)
        assert model.scores("가", ["나"]) == [pytest.approx(expected)]


@pytest.mark.parametrize("kind", ["nan", "same", "two", "flat"])
def test_a_graph_whose_scores_mean_nothing_is_refused_at_loading(tmp_path: Path, kind: str) -> None:
    folder = cross_encoder(tmp_path, {"model.onnx": formula(kind)})
    with pytest.raises(ModelProblem):
        reranker(folder).load()
    assert reranker(cross_encoder(tmp_path, {"model.onnx": formula("mean")})).load() is None  # type: ignore[func-returns-value]


def golden(folder: Path, **changes: Any) -> bytes:
    plain = reranker(folder)
    plain.load()
    text = "폐쇄망 문서 검색"
    case: dict[str, Any] = {"text": text, "input_ids": plain._pairs.tokenise([text])[0].ids}
    case["logits"] = plain._logits([case["input_ids"]]).tolist()
    document = {"format": 1, "kind": "cross-encoder-onnx", "precision": "fp32", "cases": [case | changes]}
    return json.dumps(document).encode()


def test_golden_scores_are_repeated_before_the_first_use(tmp_path: Path) -> None:
    folder = cross_encoder(tmp_path)
    for changes, sound in (
        ({}, True), ({"logits": [9.0]}, False), ({"text": "가 나 다"}, False), ({"logits": []}, False),
        ({"input_ids": "가"}, False),
    ):  # fmt: skip
        data = golden(folder, **changes)
        (tmp_path / "golden.json").write_bytes(data)
        if sound:
            reranker(folder).load()
        else:
            with pytest.raises(ModelProblem):
                reranker(folder).scores("가", ["나"])
        (tmp_path / "golden.json").unlink()


@pytest.mark.parametrize(
    "changes",
    [
        {"architectures": ["XLMRobertaModel"]},
        {"architectures": ["BertForSequenceClassification"], "model_type": "bert"},
        {"id2label": {"0": "no", "1": "yes"}},
        {"model_type": "bert", "architectures": None},
        {"auto_map": {"AutoModel": "evil.Model"}},
        {"hidden_size": None},
    ],
)
def test_what_is_no_cross_encoder_with_one_score_is_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(ModelProblem):
        reranker(config(cross_encoder(tmp_path), **changes))


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.onnx"])
@pytest.mark.parametrize("data", [None, b"", b"{", b"[]", b"\0" * 64])
def test_a_missing_or_damaged_file_is_an_error_in_words(
    tmp_path: Path, name: str, data: bytes | None
) -> None:
    alone: dict[str, bytes | None] = {"model.safetensors": None}
    with pytest.raises(ModelProblem) as caught:
        reranker(cross_encoder(tmp_path, alone | {name: data})).load()
    assert str(tmp_path) in caught.value.where
    assert caught.value.hint is not None and "embedding." not in caught.value.hint.en


def test_a_folder_that_is_not_there_is_never_looked_for_elsewhere() -> None:
    with pytest.raises(ModelProblem, match="does not exist"):
        build(Path("BAAI/bge-reranker-v2-m3"), RerankerSettings())


def test_the_graph_that_the_settings_ask_for_is_taken(tmp_path: Path) -> None:
    folder = cross_encoder(tmp_path, {"model_int8.onnx": formula("mean")})
    names = [reranker(folder, precision=each).fingerprint.split("-t")[0] for each in ("auto", "fp32", "int8")]
    assert names == ["cross-onnx-fp32", "cross-onnx-fp32", "cross-onnx-int8"]
    for wrong in ({"precision": "bf16"}, {"device": "cuda"}):
        with pytest.raises(ModelProblem):
            reranker(folder, **wrong)
    with pytest.raises(ModelProblem):
        reranker(folder, engine="torch", precision="int8")


def test_the_fingerprint_changes_with_the_weights(tmp_path: Path) -> None:
    one = reranker(cross_encoder(tmp_path / "a")).fingerprint
    other = reranker(cross_encoder(tmp_path / "b", {"model.onnx": formula("mean")})).fingerprint
    assert one != other and one == reranker(cross_encoder(tmp_path / "c")).fingerprint


def test_after_closing_the_next_use_loads_again(tmp_path: Path) -> None:
    model = reranker(cross_encoder(tmp_path))
    before = model.scores(QUESTION, TEXTS)
    model.close()
    assert model.scores(QUESTION, TEXTS) == before


UPSTREAM: dict[str, bytes | None] = {"model.onnx": None}


def test_without_a_graph_one_is_made_of_the_weights_with_the_same_scores(tmp_path: Path) -> None:
    carried = reranker(cross_encoder(tmp_path / "carried")).scores(QUESTION, TEXTS)
    folder = cross_encoder(tmp_path / "upstream", UPSTREAM)
    model = build(folder, RerankerSettings(device="cpu"))
    assert model.fingerprint.startswith("cross-onnx-fp32")
    assert model.scores(QUESTION, TEXTS) == pytest.approx(carried, abs=1e-6)
    with pytest.raises(ModelProblem):
        reranker(folder, precision="int8")


@pytest.mark.parametrize(
    "lacking", ["classifier.dense.weight", "classifier.out_proj.bias", "roberta.embeddings.LayerNorm.bias"]
)
def test_a_weight_that_is_missing_or_of_another_shape_is_never_made_up(tmp_path: Path, lacking: str) -> None:
    tensors = tiny_models.encoder_tensors("roberta.", pooler=False) | tiny_models.classifier_tensors()
    for number, replaced in enumerate(
        ({}, {lacking: tensors["classifier.dense.weight" if "bias" in lacking else "classifier.dense.bias"]})
    ):
        kept = {name: tensor for name, tensor in tensors.items() if name != lacking} | replaced
        folder = cross_encoder(
            tmp_path / str(number), UPSTREAM | {"model.safetensors": safetensors_bytes(kept)}
        )
        with pytest.raises(ModelProblem):
            reranker(folder).load()


def test_weights_cut_short_are_an_error(tmp_path: Path) -> None:
    folder = cross_encoder(tmp_path, UPSTREAM)
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-64])
    with pytest.raises(ModelProblem):
        reranker(folder).load()
