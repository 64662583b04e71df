"""How to search, as the configuration says; settings that contradict each other are its mistakes."""

from __future__ import annotations

from ragtrace.application.ports.embedding import Output
from ragtrace.domain.fusion import Leg
from ragtrace.domain.retrieval import SearchRules
from ragtrace.errors import ConfigProblem
from ragtrace.settings import Settings
from ragtrace.text import Text


def search_rules(settings: Settings) -> SearchRules:
    """Return how to search, as the configuration says. Raises `ConfigProblem` where no leg has a weight."""
    search = settings.search
    weights: dict[Leg, float] = {
        "lexical": search.lexical_weight,
        "dense": search.dense_weight,
        "sparse": search.sparse_weight,
        "colbert": search.colbert_weight,
    }
    # Without a model there are no vectors, whatever weight they would have.
    if not any(weights.values()) or (not settings.embedding.model and weights["lexical"] == 0):
        raise ConfigProblem(
            Text(
                "검색할 방법이 없습니다: 가중치가 모두 0입니다.",
                "There is nothing to search by: every weight is 0.",
            ),
            where="search.lexical_weight, search.dense_weight, search.sparse_weight, search.colbert_weight",
            hint=Text(
                "embedding.model이 없으면 search.lexical_weight가 0보다 커야 합니다.",
                "Without embedding.model, search.lexical_weight has to be above 0.",
            ),
        )
    if search.colbert_weight and settings.embedding.model and not settings.vectors.colbert:
        raise ConfigProblem(
            Text("ColBERT 벡터가 저장되지 않습니다.", "ColBERT vectors are not kept."),
            where="search.colbert_weight",
            hint=Text("vectors.colbert를 true로 두십시오.", "Set vectors.colbert to true."),
        )
    return SearchRules(
        top_n=search.top_n,
        pool=search.pool,
        method="rrf" if search.fusion == "rrf" else "weighted",
        weights=weights,
        least_in_range=search.least_in_range,
        rerank_pool=settings.reranker.pool,
    )


def require_legs(settings: Settings, outputs: frozenset[Output]) -> None:
    """Raise `ConfigProblem` where a leg has weight that the embedding model makes no vectors for."""
    search = settings.search
    weights: dict[Output, float] = {"sparse": search.sparse_weight, "colbert": search.colbert_weight}
    wanted = {name for name, weight in weights.items() if weight} | (
        {"colbert"} if settings.vectors.colbert else set()
    )
    lacking = sorted(wanted - outputs)
    if lacking:
        names = ", ".join(lacking)
        raise ConfigProblem(
            Text(f"임베딩 모델에 {names} 출력이 없습니다.", f"The embedding model gives no {names} vectors."),
            where=f"embedding.model: {settings.embedding.model}",
            hint=Text(
                "BGE-M3를 쓰거나 search의 그 가중치를 0, vectors.colbert를 false로 하십시오.",
                "Use BGE-M3, or set those weights of search to 0 and vectors.colbert to false.",
            ),
        )
