"""Source numbers in answers: read as they come, unknown ones removed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragtrace.domain.citations import CitationReader, without_marks
from ragtrace.domain.grounding import best_source, coverage, denies, korean, refuses, unseen_numbers


def read(text: str, sources: int, *cuts: int) -> tuple[str, list[int]]:
    reader = CitationReader(sources)
    parts = [text[a:b] for a, b in zip((0, *cuts), (*cuts, len(text)), strict=True)]
    pieces = [piece for part in parts for piece in reader.feed(part)] + list(reader.finish())
    return "".join(each.text for each in pieces), sorted({n for each in pieces for n in each.sources})


@pytest.mark.parametrize(
    ("said", "shown", "cited"),
    [
        ("3일 전입니다 [1].", "3일 전입니다 [1].", [1]), ("3일 전입니다 [1, 3].", "3일 전입니다 [1][3].", [1, 3]),
        ("3일 전입니다 [9].", "3일 전입니다.", []), ("3일 전입니다[2][9].", "3일 전입니다[2].", [2]), ("[1-3]에 따르면", "[1][2][3]에 따르면", [1, 2, 3]),
        ("3일 전 【출처 2】", "3일 전 [2]", [2]), ("3일 전 (자료 1)", "3일 전 [1]", [1]), ("3일 전 [^3]", "3일 전 [3]", [3]),
        ("3일 전 [0]", "3일 전", []), ("절차: (1) 신청 (2) 승인", "절차: (1) 신청 (2) 승인", []), ("값은 items[7]이다", "값은 items[7]이다", []),
        ("[참고] 이렇습니다", "[참고] 이렇습니다", []), ("끝이 열린 [1", "끝이 열린 [1", []), ("[999999]", "[999999]", []), ("", "", []),
    ],
)  # fmt: skip
def test_marks_are_checked_against_the_sources_there_are(said: str, shown: str, cited: list[int]) -> None:
    assert read(said, 3) == (shown, cited)


@given(
    st.lists(st.sampled_from(["휴가", " ", "[", "]", "1", "2", "9", ",", "(", "자료 ", ")", "a", ".", "\n", "출처:", "^", "-"]), max_size=30).map("".join),
    st.data(),
)  # fmt: skip
def test_where_the_stream_is_cut_makes_no_difference(text: str, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    assert read(text, 2, *cuts) == read(text, 2)


def test_text_without_brackets_is_not_held_back() -> None:
    reader = CitationReader(1)
    assert [piece.text for piece in reader.feed("휴가는 3일")] == ["휴가는 3일"]


def test_marks_of_an_earlier_answer_are_left_out() -> None:
    assert without_marks("3일 전입니다 [1]. 팀장이 승인합니다 [2][3].") == "3일 전입니다. 팀장이 승인합니다."


@pytest.mark.parametrize(
    ("said", "none"),
    [
        ("문서에서 근거를 찾지 못했습니다.", True), ("제공된 자료에서는 해당 정보를 찾을 수 없습니다.", True), ("자료에 그 내용이 없습니다.", True),
        ("휴가는 3일 전에 신청합니다.", False), ("신청은 3일 전까지입니다. " * 20 + "그 밖의 내용은 자료에서 찾을 수 없습니다.", False),
    ],
)  # fmt: skip
def test_an_answer_that_there_is_nothing_is_known(said: str, none: bool) -> None:
    assert refuses(said) is none


def test_only_the_bare_sentence_denies() -> None:
    assert denies("문서에서 근거를 찾지 못했습니다. [1]")
    assert not denies("문서에서 근거를 찾지 못했습니다. 다만 출장 규정은 있습니다 [1].")


def test_coverage_counts_terms_once_and_names_the_best_source() -> None:
    sources = [{"휴가"}, {"휴가", "신청", "3"}]
    assert coverage(["휴가", "휴가", "승인"], sources) == 0.5
    assert coverage([], sources) == 0.0
    assert (
        best_source(["신청", "휴가"], sources),
        best_source(["김치"], sources),
        best_source(["휴가"], sources),
    ) == (2, 0, 1)


@pytest.mark.parametrize(
    ("said", "unseen"),
    [
        ("1,500원과 2024년 3월 [12]", ()), ("1500원", ()), ("15일", ("15",)), ("1. 하나\n12. 열둘", ()), ("3.50배", ()), ("3.55배", ("3.55",)),
        ("2025-03-02 와 2,500 그리고 2500", ("2025", "2,500", "2500")), ("", ()),
    ],
)  # fmt: skip
def test_numbers_that_stand_in_no_source_are_found(said: str, unseen: tuple[str, ...]) -> None:
    assert unseen_numbers(said, ["비용은 1,500원", "2024-03-02 3.5배 3.50배"]) == unseen


def test_sources_in_korean_are_told_from_others() -> None:
    assert (
        korean(["휴가 신청은 3일 전 (annual leave)"])
        and not korean(["annual leave 휴가"])
        and not korean(["123"])
    )
