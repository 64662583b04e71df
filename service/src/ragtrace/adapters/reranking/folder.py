"""A cross-encoder's folder: XLM-RoBERTa or RoBERTa for sequence classification with one label.

It is read as the folders of embedding models are, with what makes it a cross-encoder looked at first.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ragtrace.adapters.embedding.folder import ModelFolder, inspect, missing, problem
from ragtrace.errors import ModelProblem
from ragtrace.text import Text

_CLASSES = ("XLMRobertaForSequenceClassification", "RobertaForSequenceClassification")
_CONFIG_BYTES = 4 << 20
CONVERSION = "cross-encoder-onnx"


def inspect_reranker(path: Path) -> ModelFolder:
    """Return what the folder holds.

    Raises:
        ModelProblem: it is missing, no cross-encoder with one score, or one that this release cannot run truly.
    """
    if not path.is_dir():
        raise problem(
            Text("리랭커 모델 폴더가 없습니다.", "The reranker's folder does not exist."),
            path,
            Text(
                "reranker.model에 옮겨 온 모델 폴더를 적으십시오. 모델은 내려받지 않습니다.",
                "Set reranker.model to a carried model's folder; models are never downloaded.",
            ),
        )
    file = path / "config.json"
    config = _config(file)
    named = [str(each) for each in config.get("architectures") or ()]
    if named and not set(named) & set(_CLASSES):
        raise _other(file, ", ".join(named))
    labels = config.get("id2label")
    count = len(labels) if isinstance(labels, dict) else config.get("num_labels", 1)
    if count != 1:
        raise _other(file, f"labels: {count}")
    if config.get("model_type") not in ("xlm-roberta", "roberta"):
        raise _other(file, f"model_type: {config.get('model_type')}")
    return inspect(path)


def _config(file: Path) -> dict[str, Any]:
    try:
        if file.stat().st_size > _CONFIG_BYTES:
            raise ValueError("too large")
        found = json.loads(file.read_bytes())
        if not isinstance(found, dict):
            raise ValueError(type(found).__name__)
    except FileNotFoundError as error:
        raise missing(file) from error
    except (OSError, ValueError, RecursionError) as error:
        raise problem(
            Text("config.json을 읽을 수 없습니다.", "config.json cannot be read."), f"{file}: {error}"
        ) from error
    return found


def _other(file: Path, found: str) -> ModelProblem:
    return problem(
        Text(
            "점수 하나를 내는 교차 인코더가 아닙니다.", "This is no cross-encoder that gives one score."
        ),
        f"{file}: {found}",
        Text(
            "ko-reranker, bge-reranker-v2-m3-ko처럼 XLM-RoBERTa 분류 구조에 라벨이 하나인 모델을 쓰십시오.",
            "Use an XLM-RoBERTa for sequence classification with one label, such as ko-reranker or bge-reranker-v2-m3-ko.",
        ),
    )  # fmt: skip
