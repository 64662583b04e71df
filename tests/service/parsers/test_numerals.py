"""Counting as it is written before paragraphs."""

from __future__ import annotations

import pytest

from ragtrace.adapters.hangul_numbers import FORMS, Counting, Head, ListLevel
from ragtrace.adapters.numerals import written


@pytest.mark.parametrize(
    ("form", "counts", "signs"),
    [
        ("ganada", (1, 2, 14, 15), "가나하|15"),
        ("decimalEnclosedCircle", (1, 20, 21), "①⑳|21"),
        ("circledGanada", (1, 14), "㉮㉻"),
        ("circledChosung", (1, 14), "㉠㉭"),
        ("circledIdeograph", (1, 10), "㊀㊉"),
        ("circledUpperLetter", (1, 26), "ⒶⓏ"),
        ("circledLowerLetter", (1, 26), "ⓐⓩ"),
        ("stems", (1, 10), "갑계"),
        ("hanjaStems", (1, 10), "甲癸"),
    ],
)
def test_signs_are_counted_and_digits_take_over(form: str, counts: tuple[int, ...], signs: str) -> None:
    single, _, digits = signs.partition("|")
    assert [written(count, form) for count in counts] == [*single, *([digits] if digits else [])]


def test_letters_double_and_romans_add_up() -> None:
    assert [written(count, "lowerLetter") for count in (1, 26, 27, 53)] == ["a", "z", "aa", "aaa"]
    assert [written(count, "upperRoman") for count in (4, 9, 1994, 4000)] == ["IV", "IX", "MCMXCIV", "4000"]
    assert (written(3, "decimalZero"), written(3, "decimal"), written(0, "ganada")) == ("03", "3", "0")


def test_every_form_of_hangul_is_written() -> None:
    assert all(written(1, form) for _, form in FORMS)
    assert sum(written(2, form) == "2" for _, form in FORMS) == 1


def test_a_level_before_its_parent_shows_the_parents_start_and_does_not_use_it_up() -> None:
    counting = Counting({"1": {1: ListLevel(4, "decimal", "제^1장"), 2: ListLevel(1, "ganada", "^1.^2.^5")}})
    counting.outline = "1"
    outline = [Head("outline", level) for level in (2, 2, 1, 2, 3)]
    assert [counting.label(head) for head in outline] == ["4.가.1", "4.나.1", "제4장", "4.가.1", ""]
    assert counting.label(Head("number", 1, "1")) == "제4장"
    assert counting.label(Head("number", 1, "없음")) == ""
