"""What the builder makes of a cross-encoder is what the service's reranker takes, golden scores and all."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from builder.cache import Cache
from builder.models.spec import Conversion
from ragtrace.adapters.reranking.choose import build
from ragtrace.errors import ModelProblem
from ragtrace.settings import RerankerSettings
from tests.convert.conftest import SCORES, SCORES_INT8, Convert

QUESTION = "폐쇄망 문서 검색"
TEXTS = ["폐쇄망 문서 검색", "the closed network has no internet", "가 나 다", "모델 변환 서명 " * 30]
SMALL = ("config.json", "tokenizer.json")


def carried(folder: Path, conversion: Conversion, converted: Convert, cache: Cache, upstream: Path) -> Path:
    """Lay a converted cross-encoder out as a release carries it."""
    folder.mkdir()
    for name in SMALL:
        shutil.copy(upstream / name, folder / name)
    for file in converted(conversion, upstream, cache).files:
        shutil.copy(cache.path(file.sha256), folder / file.name)
    return folder


@pytest.mark.parametrize("conversion", [SCORES, SCORES_INT8], ids=["fp32", "int8"])
def test_a_converted_cross_encoder_repeats_its_golden_scores(
    conversion: Conversion, converted: Convert, shared_cache: Cache, reranker: Path, tmp_path: Path
) -> None:
    folder = carried(tmp_path / "model", conversion, converted, shared_cache, reranker)
    model = build(folder, RerankerSettings())
    model.load()
    assert model.fingerprint.startswith(f"cross-onnx-{conversion.precision}")
    assert len(set(model.scores(QUESTION, TEXTS))) == len(TEXTS)
    golden = folder / "golden.json"
    document = json.loads(golden.read_bytes())
    document["cases"][0]["logits"] = [value + 5 for value in document["cases"][0]["logits"]]
    golden.write_text(json.dumps(document), "utf-8")
    with pytest.raises(ModelProblem, match="scores it should"):
        build(folder, RerankerSettings()).load()


def test_int8_scores_stay_near(
    converted: Convert, shared_cache: Cache, reranker: Path, tmp_path: Path
) -> None:
    whole, small = (
        build(
            carried(tmp_path / name, conversion, converted, shared_cache, reranker), RerankerSettings()
        ).scores(QUESTION, TEXTS)
        for name, conversion in (("fp32", SCORES), ("int8", SCORES_INT8))
    )
    assert small == pytest.approx(whole, abs=0.05)
