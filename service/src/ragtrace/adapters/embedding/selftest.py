"""Prove a loaded model before it is used: golden vectors where they travelled with it, else what must hold of any."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ragtrace.adapters.embedding.assembling import assemble
from ragtrace.adapters.embedding.engine import Engine, Floats, Raw, padded
from ragtrace.adapters.embedding.folder import ModelFolder, golden_documents, problem
from ragtrace.adapters.embedding.tokenizing import Tokenizing, Tokens
from ragtrace.text import Text

# Of different length, so that one is padded, and of different things, so that their vectors must differ.
_TEXTS = ("폐쇄망에서 인터넷 없이 문서를 검색합니다.", "The signature covers every file.")
# Vectors of two texts nearer than this are one vector.
_SAME = 1e-6
_CASES = 8


def prove(folder: ModelFolder, engine: Engine, tokenizing: Tokenizing) -> None:
    """Run a few texts in one padded batch.

    Raises:
        ModelProblem: ids or vectors are not the golden ones, all texts get one vector, or a head says nothing.
    """
    golden = [each for each in golden_documents(folder.path) if each.get("kind") == "bge-m3-onnx"]
    cases = golden[0].get("cases", [])[:_CASES] if golden and folder.family == "bge-m3" else []
    try:
        batch = [Tokens([int(each) for each in case["input_ids"]], False) for case in cases]
        texts = [str(case["text"]) for case in cases]
    except (KeyError, TypeError, ValueError) as error:
        raise _wrong(folder, f"golden: {type(error).__name__}: {error}") from error
    for text, expected in zip(texts, batch, strict=True):
        found = tokenizing.tokenise([text])[0]
        if text and not found.cut and found.ids != expected.ids:
            raise _wrong(folder, f"tokenizer.json: {text!r}")
    if not batch:
        batch = tokenizing.tokenise(_TEXTS)
    ids, mask = padded([each.ids for each in batch], folder.pad)
    raw = engine.run(ids, mask, folder.outputs)
    embeddings = assemble(raw, batch, tokenizing.special, folder.outputs)
    dense = np.stack([each.dense for each in embeddings if each.dense is not None])
    if len(batch) > 1 and float(np.ptp(dense, axis=0).max()) < _SAME:
        raise _wrong(folder, "dense: one vector for every text")
    if raw.sparse is not None and not raw.sparse.any():
        raise _wrong(folder, "sparse: no weight for any text")
    for row, case in enumerate(cases):
        _compare(folder, engine.least_cosine, case, raw, row, len(batch[row].ids))


def _compare(
    folder: ModelFolder, least: float, case: Mapping[str, Any], raw: Raw, row: int, count: int
) -> None:
    """Compare one case; its ColBERT rows hold the first values of each vector only."""
    for name, rows in (("dense", None), ("sparse", count), ("colbert", count - 1)):
        value = getattr(raw, name)[row][:rows]
        try:
            expected = np.asarray(case[name], np.float32)
            measured = value[:, : expected.shape[1]] if name == "colbert" else value
            cosine = _cosine(expected, measured)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise _wrong(folder, f"golden: {name}: {type(error).__name__}: {error}") from error
        if not cosine >= least:
            raise _wrong(folder, f"{name}: cosine {cosine:.5f} < {least}: {case['text']!r}")


def _cosine(left: Floats, right: Floats) -> float:
    if left.shape != right.shape:
        raise ValueError(f"{left.shape} is not {right.shape}")
    lengths = float(np.linalg.norm(left) * np.linalg.norm(right))
    if lengths == 0.0:
        return 1.0 if not left.any() and not right.any() else 0.0
    return float((left * right).sum()) / lengths


def _wrong(folder: ModelFolder, why: str) -> Exception:
    return problem(
        Text(
            "임베딩 모델이 제 벡터를 내지 않습니다.", "The embedding model does not give the vectors it should."
        ),
        f"{folder.path}: {why}",
        Text(
            "모델 폴더를 다시 옮겨 오고 enterprise_validator.py로 점검하십시오.",
            "Carry the model's folder in again, and check it with enterprise_validator.py.",
        ),
    )  # fmt: skip
