"""How near a graph comes to the reference, and the golden vectors that the isolated side repeats it with.

Child process only.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy
import onnxruntime
import tokenizers
import torch

from bundle.text import Text

from .encoder import Shape
from .job import Refusal

# Cosine to the float64 reference, over each output of each case.
THRESHOLDS = {"fp32": 0.9999, "int8": 0.99}
GOLDEN_FORMAT = 1
# Components of each ColBERT vector that are written down; enough to notice a wrong one.
_COLBERT_VALUES = 16
_DECIMALS = 6
_TEXTS = (
    "폐쇄망에서는 인터넷 없이 문서를 검색합니다.",
    "설치가 실패하면 이전 버전으로 자동 복구되는가?",
    "The signature covers every file of the bundle.",
    "2026년 3분기 매출은 전년 대비 12.5% 증가했다.",
    "가",
)
Outputs = Mapping[str, "numpy.ndarray[tuple[int, ...], numpy.dtype[numpy.float64]]"]


@dataclass(frozen=True)
class Case:
    """One sample: its text (empty without a tokenizer), its token ids, and what the reference says."""

    text: str
    ids: tuple[int, ...]
    expected: Outputs


def make_cases(
    tokenizer: Path | None, shape: Shape, reference: Callable[[torch.Tensor], Mapping[str, torch.Tensor]]
) -> list[Case]:
    """Return the samples with the reference's outputs.

    Raises:
        Refusal: the reference itself is not finite, or the tokenizer does not belong to the model.
    """
    cases = []
    for text, ids in _samples(tokenizer, shape):
        with torch.no_grad():
            expected = {name: item.numpy() for name, item in reference(torch.tensor(ids)).items()}
        if not all(numpy.isfinite(item).all() for item in expected.values()):
            raise Refusal(Text("모델의 결과가 유한하지 않습니다", "the model's results are not finite"))
        cases.append(Case(text, ids, expected))
    return cases


def _samples(tokenizer: Path | None, shape: Shape) -> list[tuple[str, tuple[int, ...]]]:
    limit = shape.longest
    if tokenizer is None:
        lengths = (3, 9, 17, 33)
        rows = [
            [5 + 7919 * (row + 1) * n % (shape.vocab_size - 5) for n in range(size)]
            for row, size in enumerate(lengths)
        ]
        return [("", (shape.bos_token_id, *row[: limit - 2], shape.eos_token_id)) for row in rows]
    reader = tokenizers.Tokenizer.from_file(str(tokenizer))
    reader.no_padding()
    reader.no_truncation()
    samples = []
    for text in _TEXTS:
        ids = reader.encode(text).ids
        if len(ids) < 2 or max(ids) >= shape.vocab_size:
            raise Refusal(
                Text("토크나이저가 모델과 맞지 않습니다", "the tokenizer does not fit the model"),
                "tokenizer.json",
            )
        samples.append((text, tuple(ids if len(ids) <= limit else [*ids[: limit - 1], shape.eos_token_id])))
    return samples


def measure(graph: Path, cases: Sequence[Case], shape: Shape, precision: str) -> dict[str, float]:
    """Return the lowest cosine of each output, each case alone and all of them in one padded batch.

    Raises:
        Refusal: one is below the precision's threshold.
    """
    session = onnxruntime.InferenceSession(str(graph), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    rows = [[case] for case in cases] + [list(cases)]
    lowest = dict.fromkeys(names, 1.0)
    for row in rows:
        length = max(len(case.ids) for case in row)
        ids = numpy.full((len(row), length), shape.pad_token_id, numpy.int64)
        mask = numpy.zeros_like(ids)
        for position, case in enumerate(row):
            ids[position, : len(case.ids)] = case.ids
            mask[position, : len(case.ids)] = 1
        results = session.run(None, {"input_ids": ids, "attention_mask": mask})
        for name, result in zip(names, results, strict=True):
            lowest[name] = min([lowest[name], *_cosines(name, row, result)])
    low = {name: value for name, value in lowest.items() if not value >= THRESHOLDS[precision]}
    if low:
        raise Refusal(
            Text(
                "변환한 그래프의 결과가 원본과 다릅니다",
                "the converted graph's results differ from the model's",
            ),
            graph.name,
            [
                Text(line, line)
                for line in (
                    f"{name}: cosine {value:.5f} < {THRESHOLDS[precision]}" for name, value in low.items()
                )
            ],
        )
    return lowest


def _cosines(
    name: str, row: Sequence[Case], result: "numpy.ndarray[tuple[int, ...], numpy.dtype[numpy.float32]]"
) -> list[float]:
    if name == "logits":
        # A single number has no direction; the scores of all cases together have one.
        return [cosine(numpy.concatenate([case.expected[name] for case in row]), result)]
    return [
        cosine(case.expected[name], result[position][: len(case.expected[name])])
        for position, case in enumerate(row)
    ]


def cosine(
    left: "numpy.ndarray[tuple[int, ...], numpy.dtype[numpy.float64]]",
    right: "numpy.ndarray[tuple[int, ...], numpy.dtype[numpy.float32]]",
) -> float:
    """Return the cosine of two arrays of one shape; 1 where both are zero, 0 where one is."""
    first, second = left.astype(numpy.float64).ravel(), right.astype(numpy.float64).ravel()
    norms = float(numpy.linalg.norm(first) * numpy.linalg.norm(second))
    if norms == 0.0:
        return 1.0 if not first.any() and not second.any() else 0.0
    return float(first @ second) / norms


def golden_bytes(kind: str, graph: str, precision: str, cases: Sequence[Case]) -> bytes:
    """Return the golden vectors as JSON; docs/how-to/convert-models.md says how to check against them."""
    head = {
        "format": GOLDEN_FORMAT,
        "kind": kind,
        "graph": graph,
        "precision": precision,
        "minimum_cosine": THRESHOLDS[precision],
        "colbert_values": _COLBERT_VALUES,
    }
    rows = ",\n  ".join(json.dumps(_golden_case(case), ensure_ascii=False) for case in cases)
    # One case to a line: short enough to read, long enough to compare.
    return f'{json.dumps(head)[:-1]},\n "cases": [\n  {rows}\n ]}}\n'.encode()


def _golden_case(case: Case) -> dict[str, object]:
    document: dict[str, object] = {"text": case.text, "input_ids": list(case.ids)}
    for name, value in case.expected.items():
        shown = value[:, :_COLBERT_VALUES] if name == "colbert" else value
        # Adding zero turns -0.0, which rounding leaves behind, into 0.0.
        document[name] = (numpy.round(shown, _DECIMALS) + 0.0).tolist()
        document[f"{name}_norm"] = round(float(numpy.linalg.norm(value)), _DECIMALS)
    return document
