"""All real parts together: tantivy, Qdrant Edge, a tiny BGE-M3 and a tiny cross-encoder on ONNX Runtime."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from ragtrace.bootstrap import Container
from ragtrace.domain.scope import Scope
from ragtrace.entrypoints.cli.console import Console
from ragtrace.entrypoints.cli.vectors import follow
from ragtrace.errors import ConfigProblem
from ragtrace.search_rules import search_rules
from ragtrace.settings import (
    AnalyzerSettings,
    EmbeddingSettings,
    RerankerSettings,
    SearchSettings,
    Settings,
    VectorSettings,
)
from tests.service.embedding.folders import bge_m3
from tests.service.reranking.folders import cross_encoder
from tests.service.support import write

FILES = {
    "폐쇄망_20240301.txt": "폐쇄망\n폐쇄망 문서 검색 설치",
    "network_20200101.txt": "network\nthe closed network has no internet",
    "모델.txt": "모델\n모델 변환 서명 번들",
}


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    home = tmp_path_factory.mktemp("home")
    bge_m3(home / "models" / "bge-m3")
    cross_encoder(home / "models" / "reranker")
    return Settings(
        home,
        analyzer=AnalyzerSettings(kind="whitespace"),
        embedding=EmbeddingSettings(model="models/bge-m3", engine="onnx"),
        vectors=VectorSettings(colbert=True),
        search=SearchSettings(
            dense_weight=0.3, sparse_weight=0.2, colbert_weight=0.2, lexical_weight=0.3, least_in_range=1
        ),
        reranker=RerankerSettings(model="models/reranker", engine="onnx"),
    )


@pytest.fixture(scope="module")
def container(settings: Settings) -> Iterator[Container]:
    made = Container(settings)
    folder = write(settings.home / "docs", FILES)
    with made.data.lock():
        assert not made.ingest.run(made.folder(folder, None)).failed
    follow(made, Console("en", as_json=False))
    yield made
    if made.vectors is not None:
        made.vectors.close()


def test_every_leg_and_the_reranker_have_their_part(container: Container) -> None:
    found = container.retrieve.find("폐쇄망 문서")
    assert set(found.explain.found) == {"lexical", "dense", "sparse", "colbert"} and found.notices == ()
    best = max(found.explain.candidates, key=lambda each: each.fused)
    assert {part.leg: part.rank for part in best.contributions} == dict.fromkeys(found.explain.found, 1)
    assert best.fused == pytest.approx(1.0)
    known = container.records.passages([best.chunk_id])
    assert known[best.chunk_id].path == "폐쇄망_20240301.txt"
    assert len(found.passages) == 3
    assert all(each.rerank is not None for each in found.explain.candidates)
    scores = [passage.score for passage in found.passages]
    assert scores == sorted(scores, reverse=True)


def test_days_are_filtered_in_every_engine(container: Container) -> None:
    found = container.retrieve.find("폐쇄망 network", Scope("2024-01-01"))
    assert [passage.path for passage in found.passages] == ["폐쇄망_20240301.txt"]
    assert len(found.explain.candidates) == 1
    early = container.retrieve.find("폐쇄망 network", Scope(until="2018-02-01"))
    assert [passage.path for passage in early.passages] == ["network_20200101.txt"]
    assert early.widened is not None and early.widened.months == 24


def test_reciprocal_ranks_give_the_same_first(container: Container) -> None:
    rules = replace(container.retrieve.rules, method="rrf")
    found = replace(container.retrieve, rules=rules, reranker=None).find("폐쇄망 문서")
    assert found.passages[0].path == "폐쇄망_20240301.txt"
    assert found.passages[0].score == pytest.approx(4 / 61)


@pytest.mark.parametrize(
    ("search", "embedding", "vectors"),
    [
        (SearchSettings(lexical_weight=0.0), EmbeddingSettings(), VectorSettings()),
        (SearchSettings(0, 0, "rrf", 0.0, 0.0, 0.0, 0.0), EmbeddingSettings(model="m"), VectorSettings()),
        (SearchSettings(colbert_weight=0.1), EmbeddingSettings(model="m"), VectorSettings(colbert=False)),
    ],
)
def test_weights_that_leave_nothing_to_search_by_are_refused(
    settings: Settings, search: SearchSettings, embedding: EmbeddingSettings, vectors: VectorSettings
) -> None:
    with pytest.raises(ConfigProblem):
        search_rules(replace(settings, search=search, embedding=embedding, vectors=vectors))
