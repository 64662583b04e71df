"""`POST /v1/embeddings`: dense vectors of texts, as clients of OpenAI's interface call it."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Request
from pydantic import BaseModel, ConfigDict, Field

from ragtrace.application.ports import Embedding, EmbeddingModel
from ragtrace.entrypoints.http.guard import Admission
from ragtrace.entrypoints.http.messages import Identifier, Sound
from ragtrace.entrypoints.http.readiness import Readiness
from ragtrace.entrypoints.http.streaming import in_thread
from ragtrace.errors import InvalidRequest, NotSupported
from ragtrace.limits import EMBEDDING_TEXTS
from ragtrace.text import Text


class EmbeddingBody(BaseModel):
    """A request for vectors. `model` is not looked at: there is one."""

    model_config = ConfigDict(extra="ignore")

    input: Sound | Annotated[list[Sound], Field(min_length=1, max_length=EMBEDDING_TEXTS)]
    model: Identifier = ""
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = None


def add_embeddings(
    app: FastAPI, embedding: Callable[[], EmbeddingModel | None], readiness: Readiness, admission: Admission
) -> None:
    """Add the address."""

    @app.post("/v1/embeddings")
    async def embeddings(body: EmbeddingBody, request: Request) -> dict[str, Any]:
        readiness.require()
        model = embedding()
        if model is None:
            raise NotSupported(
                Text("임베딩 모델이 설정되어 있지 않습니다.", "No embedding model is configured."),
                hint=Text("embedding.model을 정하십시오.", "Set embedding.model."),
            )
        texts = [body.input] if isinstance(body.input, str) else body.input
        if not all(text.strip() for text in texts):
            raise InvalidRequest(Text("input에 빈 글이 있습니다.", "A text of input is empty."))
        if body.dimensions not in (None, model.dimension):
            raise NotSupported(
                Text(
                    f"이 모델의 벡터는 {model.dimension}차원입니다.",
                    f"The vectors of this model have {model.dimension} dimensions.",
                )
            )
        with admission.admitted():
            made = await in_thread(request, lambda gone: model.embed(texts, frozenset({"dense"})))
        read = sum(each.tokens for each in made)
        return {
            "object": "list",
            "model": model.fingerprint,
            "data": [
                {"object": "embedding", "index": number, "embedding": _vector(each, body.encoding_format)}
                for number, each in enumerate(made)
            ],
            "usage": {"prompt_tokens": read, "total_tokens": read},
            "ragtrace": {"cut": [number for number, each in enumerate(made) if each.cut]},
        }


def _vector(embedding: Embedding, encoding: str) -> str | list[float]:
    """Return the vector as numbers, or as base64 of little-endian float32."""
    assert embedding.dense is not None
    if encoding == "base64":
        return base64.b64encode(embedding.dense.astype("<f4").tobytes()).decode()
    numbers: list[float] = embedding.dense.tolist()
    return numbers
