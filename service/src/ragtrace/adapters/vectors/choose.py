"""Where the vectors of a model are kept."""

from __future__ import annotations

from pathlib import Path

from ragtrace.adapters.vectors.payload import VectorPlan
from ragtrace.application.following import vector_fingerprint
from ragtrace.application.ports import EmbeddingModel, Output, OwnedVectors
from ragtrace.errors import ConfigProblem
from ragtrace.settings import VectorSettings
from ragtrace.text import Text


def build(folder: Path, settings: VectorSettings, model: EmbeddingModel, records: str) -> OwnedVectors:
    """Return the index for a model; `folder` is below the data, `records` the id of the records it belongs to.

    Raises:
        ConfigProblem: a server is wanted and not named.
    """
    legs = legs_of(settings, model)
    plan = VectorPlan(vector_fingerprint(model, legs), model.dimension, legs)
    if settings.store == "embedded":
        from ragtrace.adapters.vectors.embedded import EmbeddedVectors

        return EmbeddedVectors(folder, plan, settings.exact_limit)
    if not settings.url:
        raise ConfigProblem(
            Text("벡터 서버의 주소가 없습니다.", "The vector server's address is missing."),
            where="vectors.url",
            hint=Text(
                "vectors.url을 적거나 vectors.store를 embedded로 두십시오.",
                "Set vectors.url, or vectors.store to embedded.",
            ),
        )
    from ragtrace.adapters.vectors.qdrant_server import ServerVectors

    return ServerVectors(settings.url, settings.api_key, plan, records, folder, settings.exact_limit)


def legs_of(settings: VectorSettings, model: EmbeddingModel) -> frozenset[Output]:
    """Return which vectors of a model are kept."""
    wanted: set[Output] = {"dense", "sparse"}
    if settings.colbert:
        wanted.add("colbert")
    return frozenset(wanted & model.outputs)


def fingerprint_of(settings: VectorSettings, model: EmbeddingModel) -> str | None:
    """Return what the embedded vectors of a model are named; None where a server keeps them."""
    return vector_fingerprint(model, legs_of(settings, model)) if settings.store == "embedded" else None
