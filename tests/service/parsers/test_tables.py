"""Tables as text, titles and days."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragtrace.adapters.facts import choose_date, choose_title
from ragtrace.adapters.outline import Outline
from ragtrace.adapters.tables import table_blocks
from ragtrace.domain.documents import Section, tidy
from ragtrace.errors import ParseProblem
from ragtrace.limits import DOCUMENT_CHARS, TABLE_BLOCK_CHARS


def blocks(*rows: str, header_rows: int = 0) -> list[str]:
    """Return the pieces of a table written as "a,b" rows."""
    return list(table_blocks([row.split(",") for row in rows], header_rows))


def test_titles_stand_above_their_table_and_empty_rows_and_columns_vanish() -> None:
    assert blocks("", "2024년 현황", ",부서,,인원", ",인사,,10", ",,,", ",총무,,7") == [
        "2024년 현황\n부서 | 인원\n인사 | 10\n총무 | 7"
    ]


def test_columns_that_nobody_uses_vanish() -> None:
    assert blocks(",부서,,인원", ",인사,,10") == ["부서 | 인원\n인사 | 10"]


def test_a_second_table_below_an_empty_row_has_its_own_header() -> None:
    long = [f"사람{number:04d},{number}" for number in range(60)]
    second = [f"물건{number:04d},{number}" for number in range(60)]
    pieces = blocks("이름,나이", *long, "", "비품 목록", "품명,수량", *second)
    assert all(piece.startswith("이름 | 나이\n사람") for piece in pieces if "사람" in piece)
    below = [piece for piece in pieces if "물건" in piece]
    assert below[0].startswith("비품 목록\n품명 | 수량\n물건0000")
    assert all(piece.startswith("품명 | 수량\n물건") for piece in below[1:])
    assert not any("사람" in piece and "물건" in piece for piece in pieces)


def test_an_empty_row_inside_a_table_does_not_end_it() -> None:
    pieces = blocks("이름,부서,나이", *["가나다라마바사,인사팀,33", ""] * 60)
    assert len(pieces) > 2
    assert all(piece.startswith("이름 | 부서 | 나이\n가나다") for piece in pieces)
    assert sum(piece.count("인사팀") for piece in pieces) == 60


@pytest.mark.parametrize("first", ["구분,2023,2024년", "구분,1월,2월", "이름,나이"])
def test_names_years_and_months_are_a_header(first: str) -> None:
    pieces = blocks(first, *(f"항목{number:05d},{number},1,234" for number in range(60)))
    assert len(pieces) > 1
    assert all(piece.startswith(first.replace(",", " | ")) for piece in pieces)


def test_names_below_a_name_that_spans_several_columns_belong_to_the_header() -> None:
    pieces = blocks(
        "부서,2023년,,2024년,", ",매출,이익,매출,이익", *(f"부서{number:04d},1,2,3,4" for number in range(60))
    )
    assert len(pieces) > 1
    assert all(
        piece.startswith("부서 | 2023년 | | 2024년\n| 매출 | 이익 | 매출 | 이익\n부서0")
        for piece in map(tidy, pieces)
    )
    assert "\n".join(pieces).count("부서0000") == 1


def test_a_row_of_words_below_a_full_header_is_none() -> None:
    pieces = blocks("부서,이름,비고", *(f"인사팀,홍길동{number:04d},팀장" for number in range(60)))
    assert "\n".join(pieces).count("홍길동0000") == 1


def test_a_table_of_values_alone_repeats_nothing() -> None:
    pieces = blocks(*(f"2024-01-{number % 28 + 1:02d},{number},가" for number in range(100)))
    assert "\n".join(pieces).count("2024-01-01") == 4


def test_a_header_that_would_fill_a_piece_is_written_beside_each_value() -> None:
    names = [f"아주 긴 칸 이름 {number:02d}" for number in range(30)]
    pieces = blocks(",".join(names), ",".join(str(number) for number in range(30)))
    assert len(pieces[-1]) > 0
    assert "아주 긴 칸 이름 07: 7" in "\n".join(pieces)


def test_declared_header_rows_are_all_repeated() -> None:
    pieces = blocks(
        "구분,1,2", "코드,가,나", *(f"행{number:05d},값,값" for number in range(80)), header_rows=2
    )
    assert len(pieces) > 1
    assert all(piece.startswith("구분 | 1 | 2\n코드 | 가 | 나\n행") for piece in pieces)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.lists(st.text(alphabet="가나 1\n|a.%", max_size=12), max_size=5), max_size=40),
    st.integers(0, 3),
)
def test_no_cell_is_lost_and_pieces_stay_small(rows: list[list[str]], header_rows: int) -> None:
    pieces = list(table_blocks(rows, header_rows))
    whole = "\n".join(pieces)
    for row in rows:
        for cell in row:
            assert " ".join(cell.split()).strip(" |") in whole
    assert all(piece for piece in pieces)
    # Titles, a header and one row may come on top.
    assert all(len(piece) < TABLE_BLOCK_CHARS * 2 + 600 for piece in pieces)


def test_a_short_table_stays_with_its_text_and_pages_are_kept() -> None:
    outline = Outline()
    outline.turn_page(3)
    outline.heading(1, "장")
    outline.text("앞")
    outline.table([["가", "나"], ["다", "라"]])
    outline.turn_page(4)
    outline.text("뒤")
    outline.turn_page(5, fresh=True)
    outline.text("새로")
    assert outline.sections() == (
        Section(("장",), "앞\n가 | 나\n다 | 라", 3), Section(("장",), "뒤", 4), Section((), "새로", 5),
    )  # fmt: skip


def test_an_absurd_amount_of_text_is_refused() -> None:
    outline = Outline()
    with pytest.raises(ParseProblem, match="characters"):
        for _ in range(3):
            outline.text("가" * (DOCUMENT_CHARS // 2))


@pytest.mark.parametrize(
    ("given_title", "title"),
    [
        ("휴가 규정", "휴가 규정"), ("  휴가\n규정 ", "휴가 규정"), ("Microsoft Word - 휴가 규정.doc", "휴가 규정"),
        (r"D:\문서\여비.hwp", "여비"), ("한글 - 여비.hwpx", "여비"), ("통합 문서1", "이름"), ("PowerPoint 프레젠테이션", "이름"), ("\ufffd\ufffd", "이름"),
        ("----", "이름"), ("문서 관리 규정", "문서 관리 규정"), ("Title", "이름"), ("제목", "이름"),
    ],
)  # fmt: skip
def test_a_title_is_what_a_person_wrote(given_title: str, title: str) -> None:
    assert choose_title("폴더/이름.docx", given_title) == title


@pytest.mark.parametrize(
    ("name", "stated", "text", "day"),
    [
        ("a_20240131.pdf", "2023-02-03", "시행일: 2020. 1. 1.", "2023-02-03"),
        ("a_20240131.pdf", "", "시행일: 2020. 1. 1.", "2024-01-31"),
        ("a.pdf", "", "제정 2001. 2. 3.\n개정 2019년 12월 31일", "2019-12-31"),
        ("a.pdf", "", "보고서\n2024. 3. 5. (화)\n내용", "2024-03-05"),
        ("a.pdf", "", "Date: 2024-03-05", "2024-03-05"),
        ("a.pdf", "", "시행일: 2024. 13. 5.", ""),
        ("a.pdf", "", "예산은 2024. 3. 5. 현재 10억이다.", ""),
    ],
)
def test_a_day_comes_from_properties_name_or_text(name: str, stated: str, text: str, day: str) -> None:
    assert choose_date(name, stated, (Section((), text),)) == day
