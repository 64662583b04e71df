"""What every reranker does."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from ragtrace.adapters.reranking.choose import build
from ragtrace.application.ports import Reranker
from ragtrace.errors import ModelProblem
from ragtrace.settings import RerankerSettings
from ragtrace.testing.reranking import OverlapReranker
from tests.service.reranking.folders import cross_encoder, formula

QUESTION = "휴가 신청"
TEXTS = ["휴가 신청 은 3일 전", "서버 포트", "", "휴가", "The signature covers every file. " * 40]


@pytest.fixture(params=["overlap", "onnx"])
def reranker(request: pytest.FixtureRequest, tmp_path: Path) -> Reranker:
    if request.param == "overlap":
        return OverlapReranker()
    return build(cross_encoder(tmp_path), RerankerSettings(engine="onnx"))


def test_every_text_gets_a_score_between_nothing_and_one(reranker: Reranker) -> None:
    reranker.load()
    found = reranker.scores(QUESTION, TEXTS)
    assert len(found) == len(TEXTS) and all(0 <= score <= 1 for score in found)
    assert len(set(found)) > 1


def test_a_score_does_not_depend_on_what_else_is_scored(reranker: Reranker) -> None:
    together = reranker.scores(QUESTION, TEXTS)
    alone = [reranker.scores(QUESTION, [text])[0] for text in TEXTS]
    assert together == pytest.approx(alone, abs=1e-5)
    assert reranker.scores(QUESTION, TEXTS[::-1]) == pytest.approx(together[::-1], abs=1e-5)


def test_nothing_to_score_is_nothing(reranker: Reranker) -> None:
    assert reranker.scores(QUESTION, []) == []


def test_lone_surrogates_and_nulls_are_only_text(reranker: Reranker) -> None:
    assert len(reranker.scores("\ud800", ["\0", "\udfff 가"])) == 2


def test_it_is_named_by_what_it_is(reranker: Reranker) -> None:
    assert reranker.fingerprint and reranker.fingerprint == reranker.fingerprint


def test_several_threads_get_the_same_scores(reranker: Reranker) -> None:
    expected = reranker.scores(QUESTION, TEXTS)
    found: list[list[float]] = []
    threads = [
        threading.Thread(target=lambda: found.append(reranker.scores(QUESTION, TEXTS))) for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 6
    for each in found:
        assert each == pytest.approx(expected, abs=1e-5)


def test_numbers_that_mean_nothing_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelProblem):
        OverlapReranker("NaN").scores(QUESTION, ["NaN"])
    broken = build(cross_encoder(tmp_path, {"model.onnx": formula("nan")}), RerankerSettings(engine="onnx"))
    with pytest.raises(ModelProblem):
        broken.scores(QUESTION, TEXTS)
