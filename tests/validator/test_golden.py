"""Golden vectors: what is near enough, and every way not to be; plain numbers, nothing is run."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from tests.validator import toy_models, toy_runtime
from validator import golden

KIND = "bge-m3-onnx"


def document(**changes: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(toy_models.golden(KIND, **changes))
    return found


def measured(**spoil: Any) -> list[dict[str, Any]]:
    """Return what the probe would say of the toy graph."""
    answers: list[dict[str, Any]] = []
    for text in toy_models.TEXTS:
        ids = toy_runtime.Tokenizer(0).encode(text).ids
        outputs: dict[str, Any] = {}
        for name, value in toy_runtime.compute(KIND, 0.37, ids).items():
            whole: list[float] = golden.flat(value)
            shown = golden.flat([row[:4] for row in value]) if name == "colbert" else whole
            outputs[name] = {"values": shown, "norm": math.hypot(*whole)}
        answers.append({"ids": ids, "outputs": outputs})
    for name, change in spoil.items():
        for answer in answers:
            told = answer["outputs"][name]
            told["values"] = [change(number) for number in told["values"]]
            told["norm"] = math.hypot(*told["values"]) if name != "colbert" else told["norm"]
    return answers


@pytest.mark.parametrize("output", golden.OUTPUTS[KIND])
def test_the_same_numbers_agree(output: str) -> None:
    found = golden.compare(golden.parse(document()), output, measured())
    assert found.problems == () and found.cosine > 0.999999 and found.norm == 0.0


@pytest.mark.parametrize(
    ("precision", "factor", "wrong"),
    [("int8", 1.2, False), ("int8", 1.3, True), ("fp32", 1.01, False), ("fp32", 1.2, True)],
)
def test_sparse_weights_may_be_as_much_longer_as_the_precision_allows(
    precision: str, factor: float, wrong: bool
) -> None:
    stated = golden.parse(document(precision=precision))
    found = golden.compare(stated, "sparse", measured(sparse=lambda number: number * factor))
    assert bool(found.problems) is wrong and found.cosine > 0.999999


def test_a_direction_beyond_the_minimum_is_told_with_its_cosine() -> None:
    shift = iter(range(1, 1000))
    found = golden.compare(
        golden.parse(document()), "dense", measured(dense=lambda number: number + (next(shift) % 3) / 10)
    )
    assert any("cosine" in line and "< 0.99" in line for line in found.problems)
    assert found.cosine < 0.99


def test_a_cosine_must_reach_what_the_golden_file_says() -> None:
    strict = golden.parse(document(minimum_cosine=0.9999999999))
    shift = iter(range(1, 1000))
    near = measured(dense=lambda number: number + (next(shift) % 3) / 1000)
    assert golden.compare(strict, "dense", near).problems
    assert not golden.compare(golden.parse(document(minimum_cosine=0.99)), "dense", near).problems


def test_an_output_that_is_not_there_is_no_zero() -> None:
    answers = measured()
    for answer in answers:
        del answer["outputs"]["sparse"]
    assert "0 numbers" in golden.compare(golden.parse(document()), "sparse", answers).problems[0]


def test_every_text_has_to_be_computed() -> None:
    found = golden.compare(golden.parse(document()), "dense", measured()[:2])
    assert found.problems == ("2 of 4 texts were computed",) and found.cosine == 0.0


def test_zero_where_zero_is_meant_agrees() -> None:
    stated = document()
    for case in stated["cases"]:
        case["sparse"] = [0.0] * len(case["sparse"])
        case["sparse_norm"] = 0.0
    quiet = measured(sparse=lambda number: 0.0)
    assert golden.compare(golden.parse(stated), "sparse", quiet).problems == ()
    assert golden.compare(golden.parse(stated), "sparse", measured()).problems


def test_a_row_that_was_cut_to_the_longest_text_agrees_with_its_tokens() -> None:
    stated = document()
    for case in stated["cases"]:
        case["input_ids"] = [*case["input_ids"][:2], 2]
    read = golden.parse(stated)
    assert golden.wrong_ids(read, measured()) == ()
    assert golden.wrong_ids(read, [{"ids": [0, 9, 2]}] * 4) != ()


def test_a_row_without_text_has_no_tokens_to_compare() -> None:
    stated = document()
    for case in stated["cases"]:
        case["text"] = ""
    assert golden.wrong_ids(golden.parse(stated), [{}] * 4) == ()


@pytest.mark.parametrize(
    "changes",
    [
        {"format": 2},
        {"kind": "word2vec"},
        {"cases": []},
        {"cases": [{"text": "a"}]},
        {"cases": "?"},
        {"precision": "fp8"},
        {"minimum_cosine": 0},
        {"minimum_cosine": "near"},
        {"colbert_values": None},
    ],
    ids=str,
)
def test_a_golden_file_of_another_form_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        golden.parse(document() | changes)


def test_golden_numbers_that_are_not_finite_are_refused() -> None:
    stated = document()
    stated["cases"][0]["dense"][0] = math.nan
    with pytest.raises(ValueError, match="not finite"):
        golden.parse(stated)
