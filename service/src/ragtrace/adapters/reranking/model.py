"""The reranker: pairs tokenised, like lengths together, scored, checked, and given back in order."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from ragtrace.adapters.embedding.batches import plan
from ragtrace.adapters.embedding.engine import Floats, padded
from ragtrace.adapters.embedding.folder import ModelFolder, golden_documents, problem
from ragtrace.adapters.reranking.engine import Engine
from ragtrace.adapters.reranking.folder import CONVERSION
from ragtrace.adapters.reranking.pairs import Pairs
from ragtrace.errors import ModelProblem
from ragtrace.text import Text

# Cross-encoders for passages are trained on pairs up to about this long; a chunk has a third of it.
MAX_TOKENS = 1024
_BATCH = (16, 4096)
# How far logits may lie from golden ones together, as a share of their length: half precision and int8 round.
_TOLERANCE = {"fp32": 0.02, "fp16": 0.05, "bf16": 0.25, "int8": 0.25}
_CASES = 8
# Scores of an answer and of something else that are nearer than this are one score.
_SAME = 1e-6
_PAIRS = (
    "휴가는 며칠 전에 신청합니까?",
    ("휴가는 사용하기 사흘 전까지 신청합니다.", "The signature covers every file."),
)


class FolderReranker:
    """One cross-encoder's folder on one engine; loaded by `load` or by the first use, and proved before it is used."""

    def __init__(self, folder: ModelFolder, engine: Engine, max_tokens: int = MAX_TOKENS) -> None:
        self._folder = folder
        self._engine = engine
        self._max_tokens = min(max_tokens, folder.max_tokens)
        self._pairs = Pairs(folder.tokenizer, self._max_tokens, folder.vocabulary, lower=folder.lower)
        self._lock = threading.Lock()
        self._loaded = False
        self._digest_lock = threading.Lock()
        self._digest = ""

    @property
    def fingerprint(self) -> str:
        """Name engine, precision, length and the files by digest."""
        with self._digest_lock:
            if not self._digest:
                self._digest = self._engine.digest()
        return f"cross-{self._engine.name}-t{self._max_tokens}-{self._digest[:16]}"

    def load(self) -> None:
        """Load and prove the model. Raises `ModelProblem`."""
        with self._lock:
            if self._loaded:
                return
            try:
                self._pairs.load()
                with _own_hint():
                    self._engine.load()
                self._prove()
            except BaseException:
                self._engine.close()
                raise
            self._loaded = True

    def scores(self, question: str, texts: Sequence[str]) -> list[float]:
        """Return the logistic of each pair's logit, in order."""
        if not texts:
            return []
        self.load()
        rows = self._pairs.encode(question, texts)
        return [_logistic(logit) for logit in self._logits(rows).tolist()]

    def close(self) -> None:
        """Give memory and threads back; the next use loads again."""
        with self._lock:
            self._loaded = False
            self._engine.close()

    def _logits(self, rows: Sequence[Sequence[int]]) -> Floats:
        found = np.empty(len(rows), np.float32)
        for places in plan([len(row) for row in rows], *_BATCH):
            ids, mask = padded([rows[place] for place in places], self._folder.pad)
            with _own_hint():
                found[places] = self._engine.logits(ids, mask)
        if not np.isfinite(found).all():
            raise self._wrong("NaN")
        return found

    def _prove(self) -> None:
        """Repeat the golden logits where they travelled with the model; else two pairs have to score differently."""
        golden = [each for each in golden_documents(self._folder.path) if each.get("kind") == CONVERSION]
        cases = golden[0].get("cases", [])[:_CASES] if golden else []
        if cases:
            self._compare(cases)
            return
        found = self._logits(self._pairs.encode(*_PAIRS))
        if float(np.ptp(found)) < _SAME:
            raise self._wrong("one score for every pair")

    def _compare(self, cases: Sequence[Mapping[str, Any]]) -> None:
        try:
            rows = [[int(each) for each in case["input_ids"]] for case in cases]
            expected = np.array([float(np.ravel(case["logits"])[0]) for case in cases], np.float32)
            texts = [str(case.get("text", "")) for case in cases]
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise self._wrong(f"golden: {type(error).__name__}: {error}") from error
        for text, row in zip(texts, rows, strict=True):
            if text and self._pairs.tokenise([text])[0].ids != row:
                raise self._wrong(f"tokenizer.json: {text!r}")
        found = self._logits(rows)
        length = float(np.linalg.norm(expected))
        away = float(np.linalg.norm(found - expected)) / max(length, _SAME)
        most = _TOLERANCE[self._engine.name.rpartition("-")[2]]
        if away > most:
            raise self._wrong(f"golden scores: {away:.3f} > {most}")

    def _wrong(self, why: str) -> ModelProblem:
        return problem(
            Text("리랭커가 제 점수를 내지 않습니다.", "The reranker does not give the scores it should."),
            f"{self._folder.path}: {why}",
            Text(
                "모델 폴더를 다시 옮겨 오고 enterprise_validator.py로 점검하십시오. 반정밀도라면 reranker.precision을 fp32로 하십시오.",
                "Carry the model's folder in again and check it with enterprise_validator.py; with half precision, try reranker.precision fp32.",
            ),
        )


@contextmanager
def _own_hint() -> Iterator[None]:
    """Let an engine's error name the reranker's settings: the engines are those of embedding models, and so are their hints."""
    try:
        yield
    except ModelProblem as error:
        raise ModelProblem(
            error.summary,
            where=error.where,
            hint=Text(
                "reranker.engine, precision, device를 auto로 하거나 모델 폴더를 다시 옮겨 오십시오. 메모리가 모자라면 int8 그래프를 쓰십시오.",
                "Set reranker.engine, precision and device to auto, or carry the folder in again; short of memory, use the int8 graph.",
            ),
        ) from error


def _logistic(logit: float) -> float:
    # One branch would overflow for logits far below zero.
    if logit >= 0:
        return 1 / (1 + math.exp(-logit))
    power = math.exp(logit)
    return power / (1 + power)
