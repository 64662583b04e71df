"""CSV and TSV: separators, quotation marks, encodings."""

from __future__ import annotations

import pytest

from ragtrace.adapters.csv_table import CsvParser
from ragtrace.errors import ParseProblem

ROWS = [["부서", "이름", "비고"], ["인사", "홍길동", "팀장, 겸직; 있음"], ["총무", "김철수", "a|b\tc"]]
WANTED = "부서 | 이름 | 비고\n인사 | 홍길동 | 팀장, 겸직; 있음\n총무 | 김철수 | a|b c"


def text_of(data: bytes, path: str = "자료/명단_20240131.csv") -> str:
    (section,) = CsvParser().parse(data, path).sections
    return section.text


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp949", "utf-16"])
@pytest.mark.parametrize("separator", [",", "\t", ";", "|"])
def test_separator_and_encoding_are_told(separator: str, encoding: str) -> None:
    lines = [separator.join(f'"{cell}"' for cell in row) for row in ROWS]
    assert text_of("\r\n".join(lines).encode(encoding)) == WANTED


def test_name_and_day_come_from_the_file_name() -> None:
    result = CsvParser().parse("가,나\n1,2\n".encode(), "자료/명단_20240131.csv")
    assert (result.title, result.date) == ("명단_20240131", "2024-01-31")


def test_a_cell_of_several_lines_is_one_cell() -> None:
    assert text_of('이름,말\n홍길동,"첫 줄\n둘째 줄"\n'.encode()) == "이름 | 말\n홍길동 | 첫 줄 둘째 줄"


@pytest.mark.parametrize("end", ["", "\n" + "\n".join(f"줄{number},2" for number in range(500))])
def test_a_quotation_mark_that_nothing_closes_does_not_swallow_the_rest(end: str) -> None:
    result = CsvParser().parse(f'이름,값\n"홍길동,1\n김철수,3{end}'.encode(), "a.csv")
    text = "\n".join(section.text for section in result.sections)
    assert "홍길동 | 1\n김철수 | 3" in text
    assert not end or "줄499 | 2" in text


def test_a_sloppy_quotation_mark_changes_its_cell_only() -> None:
    assert text_of(b'a,b\n"x"y,"1,5"\n') == "a | b\nxy | 1,5"


def test_a_line_of_absurd_length_is_refused() -> None:
    with pytest.raises(ParseProblem, match="CSV"):
        CsvParser().parse(b"a,b\n" + b"x" * 200_000, "a.csv")


@pytest.mark.parametrize("data", [b"", b"\n\n", b",,,\n,,"])
def test_a_file_without_text_has_no_sections(data: bytes) -> None:
    assert CsvParser().parse(data, "a.csv").sections == ()


def test_binary_is_refused() -> None:
    with pytest.raises(ParseProblem):
        CsvParser().parse(b"PK\x03\x04" + bytes(range(256)) * 4, "a.csv")


def test_one_column_is_kept_line_by_line() -> None:
    lines = [f"안건 {number}" for number in range(300)]
    result = CsvParser().parse("\n".join(lines).encode(), "a.csv")
    assert "\n".join(section.text for section in result.sections).splitlines() == lines
