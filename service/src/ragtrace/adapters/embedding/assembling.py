"""Raw outputs to embeddings, each looked at: a vector that means nothing is an error, never an answer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ragtrace.adapters.embedding.engine import Floats, Raw
from ragtrace.adapters.embedding.tokenizing import Tokens
from ragtrace.application.ports.embedding import Embedding, Output
from ragtrace.errors import ModelProblem
from ragtrace.text import Text

# Half precision normalises to about a thousandth.
_LENGTH_TOLERANCE = 5e-3
# The spread of a vector's values that is no spread.
_FLAT = 1e-7


def assemble(
    raw: Raw, batch: Sequence[Tokens], special: frozenset[int], outputs: frozenset[Output]
) -> list[Embedding]:
    """Return one embedding per text of a batch.

    Raises:
        ModelProblem: a vector is missing, NaN, zero, constant or not of length 1, or a weight is negative.
    """
    for name in outputs:
        _require(getattr(raw, name) is not None, name, "missing")
    found = []
    for row, tokens in enumerate(batch):
        count = len(tokens.ids)
        dense = _dense(raw.dense[row]) if raw.dense is not None and "dense" in outputs else None
        ids, weights = None, None
        if raw.sparse is not None and "sparse" in outputs:
            ids, weights = _sparse(tokens.ids, raw.sparse[row, :count], special)
        rows = None
        if raw.colbert is not None and "colbert" in outputs:
            rows = _colbert(raw.colbert[row, : count - 1])
        found.append(Embedding(dense, ids, weights, rows, count, tokens.cut))
    return found


def _dense(vector: Floats) -> Floats:
    _require(bool(np.isfinite(vector).all()), "dense", "NaN")
    length = float(np.linalg.norm(vector))
    _require(length > 0.5, "dense", "zero")
    _require(abs(length - 1) < _LENGTH_TOLERANCE, "dense", f"length {length:.4f}")
    _require(float(np.ptp(vector)) > _FLAT, "dense", "constant")
    # A copy: a view would keep the whole batch in memory.
    return np.array(vector / length, np.float32)


def _sparse(
    tokens: Sequence[int], weights: Floats, special: frozenset[int]
) -> tuple[NDArray[np.int32], Floats]:
    """Return the largest weight of each token id, zeros and special tokens left out (Chen et al. 2024, section 3.1)."""
    _require(bool(np.isfinite(weights).all()), "sparse", "NaN")
    _require(bool((weights >= 0).all()), "sparse", "negative")
    kept = [
        (token, weight)
        for token, weight in zip(tokens, weights.tolist(), strict=True)
        if weight > 0 and token not in special
    ]
    largest: dict[int, float] = {}
    for token, weight in kept:
        largest[token] = max(weight, largest.get(token, 0.0))
    ids = sorted(largest)
    return np.array(ids, np.int32), np.array([largest[each] for each in ids], np.float32)


def _colbert(rows: Floats) -> Floats:
    _require(bool(np.isfinite(rows).all()), "colbert", "NaN")
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    _require(bool((abs(lengths - 1) < _LENGTH_TOLERANCE).all()), "colbert", "not of length 1")
    _require(bool((np.ptp(rows, axis=1) > _FLAT).all()), "colbert", "constant")
    return np.array(rows / lengths, np.float32)


def _require(holds: bool, output: str, what: str) -> None:
    if not holds:
        raise ModelProblem(
            Text(
                f"임베딩 모델의 결과를 쓸 수 없습니다: {output} ({what})",
                f"The embedding model's {output} output means nothing: {what}",
            ),
            state=Text("이 벡터는 저장되지 않았습니다.", "The vector was not kept."),
            hint=Text(
                "모델 파일을 점검하십시오: enterprise_validator.py. 반정밀도라면 embedding.precision을 fp32로 하십시오.",
                "Check the model's files with enterprise_validator.py; with half precision, try embedding.precision fp32.",
            ),
        )
