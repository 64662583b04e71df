"""XLSX: sheets, shown values, merged cells, and files that lie."""

from __future__ import annotations

import io
from datetime import date, datetime, time, timedelta

import openpyxl
import pytest
from openpyxl.workbook import Workbook

from ragtrace.adapters.xlsx import XlsxParser
from ragtrace.domain.documents import ParsedDocument, Section
from ragtrace.errors import ParseProblem
from tests.service.parsers.packages import attacked, changed, parts_of

SHEET = "xl/worksheets/sheet1.xml"
NAMESPACE = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'


def saved(book: Workbook) -> bytes:
    target = io.BytesIO()
    book.save(target)
    return target.getvalue()


def parsed(book: Workbook, path: str = "자료/예산.xlsx") -> ParsedDocument:
    return XlsxParser().parse(saved(book), path)


def book_of(*rows: list[object]) -> Workbook:
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    return book


def lines_of(book: Workbook) -> list[str]:
    (section,) = parsed(book).sections
    return section.text.splitlines()


def rows_of(sheet: str) -> ParsedDocument:
    """Parse a workbook whose sheet has these rows."""
    data = f"<worksheet {NAMESPACE}>{sheet}</worksheet>".encode()
    return XlsxParser().parse(changed(saved(openpyxl.Workbook()), {SHEET: data}), "a.xlsx")


def test_every_visible_sheet_is_a_page_under_its_name() -> None:
    book = book_of(["이름", "나이"], ["홍길동", 33])
    book.active.title = "사람"
    hidden = book.create_sheet("코드")
    hidden.append(["숨은 값", 1])
    hidden.sheet_state = "hidden"
    book.create_sheet("비품").append(["품명", "수량"])
    assert parsed(book).sections == (
        Section(("사람",), "이름 | 나이\n홍길동 | 33", 1),
        Section(("비품",), "품명 | 수량", 3),
    )


def test_values_are_written_as_they_are_shown() -> None:
    book = book_of(
        [
            datetime(2024, 1, 31),
            datetime(2024, 1, 31, 9, 30),
            date(2024, 2, 1),
            time(9, 5),
            timedelta(hours=30),
        ],
        [True, 3.0, 0.1 + 0.2, 1e20, -5],
        [0.8547, 1234567, 1234.5, 1234567, "#,##0원"],
        [None, "여러\n줄", "_x000D_끝", "=1+1", "#REF!"],
    )
    sheet = book.active
    sheet["A3"].number_format = "0%"
    sheet["B3"].number_format = "#,##0"
    sheet["C3"].number_format = '#,##0.00"원"'
    sheet["D3"].number_format = '0"%"'
    assert lines_of(book) == [
        "2024-01-31 | 2024-01-31 09:30 | 2024-02-01 | 09:05 | 30:00",
        "TRUE | 3 | 0.3 | 1e+20 | -5",
        "85.47% | 1,234,567 | 1,234.5 | 1234567 | #,##0원",
        "| 여러 줄 | 끝",
    ]


def test_a_long_sheet_repeats_its_header_in_every_section() -> None:
    book = book_of(
        ["품목", "수량", "비고"], *([f"품목{number:05d}", number, "보관"] for number in range(500))
    )
    sections = parsed(book).sections
    assert len(sections) > 10
    assert all(
        section.text.startswith("품목 | 수량 | 비고\n품목") and section.page == 1 for section in sections
    )
    rows = [
        line for section in sections for line in section.text.splitlines() if not line.startswith("품목 |")
    ]
    assert rows == [f"품목{number:05d} | {number} | 보관" for number in range(500)]


def test_a_cell_merged_downwards_names_every_row() -> None:
    book = book_of(
        ["예산 현황"],
        ["부서", "이름"],
        ["인사팀", "홍길동"],
        [None, "김철수"],
        [None, "박영희"],
        ["총무팀", "이몽룡"],
    )
    book.active.merge_cells("A3:A5")
    book.active.merge_cells("A1:B1")
    assert lines_of(book) == [
        "예산 현황", "부서 | 이름", "인사팀 | 홍길동", "인사팀 | 김철수", "인사팀 | 박영희", "총무팀 | 이몽룡",
    ]  # fmt: skip


def test_title_and_day_come_from_the_properties() -> None:
    book = book_of(["글"])
    book.properties.title = "2024년 예산"
    data = saved(book)
    core = parts_of(data)["docProps/core.xml"]
    start = core.index(b"<dcterms:modified")
    value = core.index(b">", start) + 1
    core = core[:value] + b"2024-05-06T23:00:00Z" + core[core.index(b"<", value) :]
    result = XlsxParser().parse(changed(data, {"docProps/core.xml": core}), "a.xlsx")
    assert (result.title, result.date) == ("2024년 예산", "2024-05-07")


def test_the_formula_gives_its_stored_value() -> None:
    assert (
        rows_of('<sheetData><row r="1"><c r="A1"><f>SUM(B1:B9)</f><v>42</v></c></row></sheetData>')
        .sections[0]
        .text
        == "42"
    )


def test_an_absurd_size_that_a_sheet_states_is_not_believed() -> None:
    result = rows_of(
        '<dimension ref="A1:XFD1048576"/><sheetData><row r="1"><c r="A1"><v>1</v></c></row></sheetData>'
    )
    assert result.sections == (Section(("Sheet",), "1", 1),)


@pytest.mark.parametrize(
    "rows",
    [
        '<row r="999999999"><c r="A999999999"><v>1</v></c></row>',
        "".join(f'<row r="{number}"><c r="XFD{number}"><v>1</v></c></row>' for number in range(1, 100)),
    ],
    ids=["far down", "far right"],
)
def test_cells_far_away_do_not_take_for_ever(rows: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ragtrace.adapters.xlsx.TABLE_CELLS", 1_000_000)
    with pytest.raises(ParseProblem, match="too large"):
        rows_of(f"<sheetData>{rows}</sheetData>")


def test_styles_that_openpyxl_refuses_do_not_cost_the_workbook_nor_its_days() -> None:
    book = book_of(["날짜", "금액"], [datetime(2024, 1, 31), 1234567])
    book.active["B2"].number_format = "#,##0"
    data = saved(book)
    styles = parts_of(data)["xl/styles.xml"]
    broken = styles.replace(b"<font>", b'<font unknown="1">', 1)
    assert broken != styles
    broken_data = changed(data, {"xl/styles.xml": broken})
    with pytest.raises((ValueError, TypeError)):
        openpyxl.load_workbook(io.BytesIO(broken_data), read_only=True)
    result = XlsxParser().parse(broken_data, "a.xlsx")
    assert result.sections[0].text == "날짜 | 금액\n2024-01-31 | 1,234,567"


def test_entities_in_a_sheet_are_refused() -> None:
    sheet = f'<!DOCTYPE a [<!ENTITY b "c">]><worksheet {NAMESPACE}><sheetData/></worksheet>'.encode()
    with pytest.raises(ParseProblem, match="entities"):
        XlsxParser().parse(changed(saved(openpyxl.Workbook()), {SHEET: sheet}), "a.xlsx")


def test_a_workbook_without_values_has_no_sections() -> None:
    assert parsed(openpyxl.Workbook()).sections == ()


@pytest.mark.parametrize(("data", "words"), attacked("XLSX"))
def test_a_file_that_is_no_sound_xlsx_is_refused_in_words(data: bytes, words: str) -> None:
    with pytest.raises(ParseProblem) as caught:
        XlsxParser().parse(data, "a.xlsx")
    assert words in caught.value.summary.en
    assert caught.value.summary.ko


def test_gaps_in_a_sheet_cost_nothing_and_divide_tables() -> None:
    result = rows_of(
        '<sheetData><row r="1"><c r="A1" t="inlineStr"><is><t>이름</t></is></c><c r="B1" t="inlineStr"><is><t>나이</t></is></c></row>'
        '<row r="2"><c r="A2" t="inlineStr"><is><t>홍길동</t></is></c><c r="B2"><v>33</v></c><c r="XFD2" s="0"/></row>'
        '<row r="1048576"><c r="A1048576" t="inlineStr"><is><t>끝</t></is></c></row></sheetData>'
    )
    assert result.sections[0].text == "이름 | 나이\n홍길동 | 33\n끝"


@pytest.mark.parametrize(
    "part", ["docProps/app.xml", "docProps/custom.xml", "xl/theme/theme1.xml", "xl/styles.xml"]
)
def test_parts_that_no_text_comes_from_may_be_missing(part: str) -> None:
    data = saved(book_of(["가", "나"]))
    if part in parts_of(data):
        data = changed(data, {part: None})
    assert XlsxParser().parse(data, "a.xlsx").sections == (Section(("Sheet",), "가 | 나", 1),)


def test_a_wrong_day_in_the_properties_does_not_cost_the_workbook() -> None:
    data = saved(book_of(["가", "나"]))
    core = parts_of(data)["docProps/core.xml"]
    start = core.index(b">", core.index(b"<dcterms:modified")) + 1
    core = core[:start] + b"gestern" + core[core.index(b"<", start) :]
    broken = changed(data, {"docProps/core.xml": core})
    with pytest.raises((ValueError, TypeError)):
        openpyxl.load_workbook(io.BytesIO(broken))
    assert XlsxParser().parse(broken, "a.xlsx").sections[0].text == "가 | 나"


def test_merged_areas_that_never_end_take_no_long_time() -> None:
    with pytest.raises(ParseProblem):
        rows_of("<mergeCell " * 300_000)
