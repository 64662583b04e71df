"""A cross-encoder's folder: XLM-RoBERTa or RoBERTa for sequence classification with one label.

It is read as the folders of embedding models are, with what makes it a cross-encoder looked at first.
"""

from __future__ import annotations

from pathlib import Path

from ragtrace.adapters.embedding.folder import ModelFolder, inspect, problem, read_object
from ragtrace.errors import ModelProblem
from ragtrace.text import Text

_CLASSES = ("XLMRobertaForSequenceClassification", "RobertaForSequenceClassification")
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
    config = read_object(file)
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
