"""Do a graph's numbers come near enough to the golden vectors that travelled with it? Plain data in and out.

The golden file's format is that of docs/how-to/convert-models.md. Every complaint names what is wrong: NaN, a zero
or constant vector, one vector for every text, another shape, a cosine or a norm outside its bound.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, List, Mapping, Sequence, Tuple

FORMAT = 1
# How far the length of an output may lie from the golden one, as a share of it. Dense and ColBERT vectors are made
# length 1 by the graph itself; sparse weights and scores are not, and int8 rounds otherwise on another processor.
NORM_BOUNDS = {
    "fp32": {"dense": 0.001, "colbert": 0.001, "sparse": 0.02, "logits": 0.02},
    "int8": {"dense": 0.001, "colbert": 0.001, "sparse": 0.25, "logits": 0.25},
}
# Below this a length is as good as zero: golden numbers have six decimals.
_SMALL = 1e-3
# The spread of the values of a vector, or of one value among texts, that is no spread at all.
_FLAT = 1e-6
# Golden values and length, measured values and length.
_Row = Tuple[Sequence[float], float, Sequence[float], float]
OUTPUTS = {"bge-m3-onnx": ("dense", "sparse", "colbert"), "cross-encoder-onnx": ("logits",)}


@dataclass(frozen=True)
class Case:
    """One sample: its text (may be empty), its token ids, and per output the listed values and the length."""

    text: str
    ids: Tuple[int, ...]
    values: Mapping[str, Tuple[float, ...]]
    norms: Mapping[str, float]


@dataclass(frozen=True)
class Golden:
    """A golden file: of which graph, how near one has to come, and the samples."""

    kind: str
    graph: str
    precision: str
    minimum_cosine: float
    colbert_values: int
    cases: Tuple[Case, ...]

    @property
    def outputs(self) -> Tuple[str, ...]:
        """Return what the graph gives."""
        return OUTPUTS[self.kind]


@dataclass(frozen=True)
class Comparison:
    """What came of comparing one output: what is wrong, the lowest cosine and the worst share of a length."""

    problems: Tuple[str, ...]
    cosine: float
    norm: float


def parse(document: Mapping[str, Any]) -> Golden:
    """Read a golden document.

    Raises:
        ValueError: it is none, of another format, or has no samples.
    """
    try:
        if document["format"] != FORMAT or document["kind"] not in OUTPUTS:
            raise ValueError(f"format {document['format']!r}, kind {document['kind']!r}")
        outputs = OUTPUTS[document["kind"]]
        found = Golden(
            str(document["kind"]),
            str(document["graph"]),
            str(document["precision"]),
            float(document["minimum_cosine"]),
            int(document["colbert_values"]),
            tuple(_case(item, outputs) for item in document["cases"]),
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error
    if not found.cases or found.precision not in NORM_BOUNDS or not 0 < found.minimum_cosine <= 1:
        raise ValueError("no cases, or a precision or a cosine that means nothing")
    return found


def _case(item: Mapping[str, Any], outputs: Sequence[str]) -> Case:
    values = {name: tuple(float(number) for number in flat(item[name])) for name in outputs}
    norms = {name: float(item[f"{name}_norm"]) for name in outputs}
    if not all(math.isfinite(number) for row in (*values.values(), norms.values()) for number in row):
        raise ValueError("golden numbers that are not finite")
    return Case(str(item["text"]), tuple(int(number) for number in item["input_ids"]), values, norms)


def flat(value: Any) -> List[Any]:  # noqa: ANN401  numbers, or lists of them
    """Return the numbers of nested lists in one list."""
    return [number for item in value for number in flat(item)] if isinstance(value, list) else [value]


def compare(golden: Golden, output: str, measured: Sequence[Mapping[str, Any]]) -> Comparison:
    """Compare one output of every case; *measured* is what the probe said of each, in the same order."""
    found = [_measured(item, output) for item in measured]
    if len(found) != len(golden.cases):
        return Comparison((f"{len(found)} of {len(golden.cases)} texts were computed",), 0.0, math.inf)
    if output == "logits":
        # A single score has no direction; the scores of all texts together have one.
        wanted = [number for case in golden.cases for number in case.values[output]]
        scores = [number for values, _ in found for number in values]
        rows: List[_Row] = [(wanted, _length(wanted), scores, _length(scores))]
    else:
        rows = [
            (case.values[output], case.norms[output], values, norm)
            for case, (values, norm) in zip(golden.cases, found)
        ]
    problems: List[str] = []
    lowest, worst = 1.0, 0.0
    bound = NORM_BOUNDS[golden.precision][output]
    for number, (expected, norm, got, got_norm) in enumerate(rows, start=1):
        defect = _defect(expected, got, got_norm)
        if defect:
            problems.append(f"text {number}: {defect}")
            lowest, worst = 0.0, math.inf
            continue
        near, share = cosine(expected, got), _share(norm, got_norm)
        lowest, worst = min(lowest, near), max(worst, share)
        if near < golden.minimum_cosine:
            problems.append(f"text {number}: cosine {near:.4f} < {golden.minimum_cosine:g}")
        if share > bound:
            problems.append(f"text {number}: length {got_norm:.4f}, golden {norm:.4f} (±{bound:.1%})")
    return Comparison(tuple(_same_everywhere(golden, output, rows) + problems), lowest, worst)


def _measured(item: Mapping[str, Any], output: str) -> Tuple[List[float], float]:
    told = item.get("outputs", {}).get(output)
    if not isinstance(told, dict):
        return [], 0.0
    return [float(number) for number in told.get("values", ())], float(told.get("norm", 0.0))


def _defect(expected: Sequence[float], got: Sequence[float], norm: float) -> str:
    """Return what is wrong with a vector by itself, or nothing."""
    if len(got) != len(expected):
        return f"{len(got)} numbers, golden {len(expected)}"
    if any(math.isnan(number) for number in got) or math.isnan(norm):
        return "NaN"
    if any(math.isinf(number) for number in got) or math.isinf(norm):
        return "infinite"
    if _length(expected) > _SMALL:
        if _length(got) <= _SMALL:
            return "zero vector"
        if len(got) > 1 and _spread(expected) > _FLAT >= _spread(got):
            return "constant vector"
    return ""


def _same_everywhere(golden: Golden, output: str, rows: Sequence[_Row]) -> List[str]:
    """Tell when different texts got one vector: what weights of zero give behind a bias."""
    if output != "dense" or len({case.ids for case in golden.cases}) < 2:
        return []
    widths = {len(got) for _, _, got, _ in rows}
    if len(widths) != 1 or widths == {0}:
        return []
    columns = zip(*(got for _, _, got, _ in rows))
    return ["the same vector for every text"] if all(_spread(column) <= _FLAT for column in columns) else []


def _spread(values: Sequence[float]) -> float:
    return max(values) - min(values)


def _length(values: Sequence[float]) -> float:
    return math.sqrt(sum(number * number for number in values))


def _share(wanted: float, got: float) -> float:
    return abs(got - wanted) / max(wanted, _SMALL) if abs(got - wanted) > _SMALL else 0.0


def cosine(left: Sequence[float], right: Sequence[float]) -> float:
    """Return the cosine of two vectors; 1 where both are as good as zero, 0 where one is."""
    lengths = _length(left) * _length(right)
    if lengths <= _SMALL * _SMALL:
        return 1.0 if max(_length(left), _length(right)) <= _SMALL else 0.0
    return sum(a * b for a, b in zip(left, right)) / lengths


def wrong_ids(golden: Golden, measured: Sequence[Mapping[str, Any]]) -> Tuple[str, ...]:
    """Return the texts that the tokenizer did not turn into the golden token ids.

    A golden row may have been cut to the model's longest text: then it ends with the end mark.
    """
    wrong: List[str] = []
    for number, (case, item) in enumerate(zip(golden.cases, measured), start=1):
        ids = tuple(item.get("ids", ()))
        cut = ids[: len(case.ids) - 1] + ids[-1:] if len(ids) > len(case.ids) else ids
        if case.text and cut != case.ids:
            wrong.append(f"text {number}: {_first_difference(case.ids, ids)}")
    return tuple(wrong)


def _first_difference(wanted: Sequence[int], got: Sequence[int]) -> str:
    for place, (left, right) in enumerate(zip(wanted, got), start=1):
        if left != right:
            return f"token {place} is {right}, golden {left}"
    return f"{len(got)} tokens, golden {len(wanted)}"
