"""A cross-encoder on both engines gives what transformers' own class gives on the same weights."""

from __future__ import annotations

from pathlib import Path

import pytest

from ragtrace.adapters.reranking.choose import build
from ragtrace.errors import ModelProblem
from ragtrace.settings import RerankerSettings
from tests.service.reranking.folders import config, cross_encoder
from tests.support import tiny_models
from tests.support.engines import needs
from tests.support.weights import safetensors_bytes, torch_bytes

pytestmark = pytest.mark.usefixtures("flag_embedding")
pytestmark = needs("torch", "transformers")
QUESTION = "폐쇄망 문서 검색"
TEXTS = [
    "폐쇄망 문서 검색",
    "the closed network has no internet",
    "",
    "가 나 다",
    "모델 변환 서명 번들 설치 " * 40,
    "모르는 낱말 unknown 🙂",
]
LONGEST = tiny_models.POSITIONS - 2


def transformers_scores(folder: Path) -> list[float]:
    """Return the logistic of the logits, pair by pair, in float32 on the processor."""
    import torch
    from transformers import AutoModelForSequenceClassification, PreTrainedTokenizerFast

    marks = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"), **marks)
    model = AutoModelForSequenceClassification.from_pretrained(folder, local_files_only=True).eval()
    found = []
    for text in TEXTS:
        row = tokenizer([[QUESTION, text]], truncation="only_second", max_length=LONGEST, return_tensors="pt")
        with torch.inference_mode():
            logits = model(input_ids=row["input_ids"], attention_mask=row["attention_mask"]).logits
        found.append(float(torch.sigmoid(logits[0, 0])))
    return found


@pytest.mark.parametrize("engine", ["onnx", "made", "torch"])
def test_scores_are_those_of_transformers(tmp_path: Path, engine: str) -> None:
    folder = cross_encoder(tmp_path, {"model.onnx": None} if engine == "made" else None)
    model = build(folder, RerankerSettings(engine=engine.replace("made", "onnx"), device="cpu"))
    assert model.scores(QUESTION, TEXTS) == pytest.approx(transformers_scores(folder), abs=1e-6)


def test_half_precision_keeps_the_scores_near(tmp_path: Path) -> None:
    folder = cross_encoder(tmp_path)
    model = build(folder, RerankerSettings(engine="torch", device="cpu", precision="bf16"))
    assert model.scores(QUESTION, TEXTS) == pytest.approx(transformers_scores(folder), abs=5e-3)
    assert "torch-bf16" in model.fingerprint


def test_a_head_that_is_missing_or_of_another_shape_is_never_random(tmp_path: Path) -> None:
    encoder = tiny_models.encoder_tensors("roberta.", pooler=False)
    head = tiny_models.classifier_tensors()
    wrong = [
        {},
        {name: tensor for name, tensor in head.items() if "out_proj" not in name},
        head | {"classifier.dense.bias": head["classifier.out_proj.bias"]},
        head | {"classifier.more.weight": head["classifier.out_proj.bias"]},
    ]
    for number, tensors in enumerate(wrong):
        data = safetensors_bytes(encoder | tensors)
        folder = cross_encoder(tmp_path / str(number), {"model.safetensors": data})
        with pytest.raises(ModelProblem):
            build(folder, RerankerSettings(engine="torch", device="cpu")).load()


def test_pickled_weights_run_on_torch_by_themselves_and_score_the_same(tmp_path: Path) -> None:
    tensors = tiny_models.encoder_tensors("roberta.", pooler=False) | tiny_models.classifier_tensors()
    data = torch_bytes(tensors, folder="pytorch_model")
    folder = cross_encoder(
        tmp_path, {"model.onnx": None, "model.safetensors": None, "pytorch_model.bin": data}
    )
    model = build(config(folder, num_labels=None), RerankerSettings(device="cpu"))
    assert "torch" in model.fingerprint
    assert model.scores(QUESTION, TEXTS) == pytest.approx(transformers_scores(folder), abs=1e-6)
