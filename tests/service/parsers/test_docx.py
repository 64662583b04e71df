"""DOCX: headings, tables, numbering, tracked changes, text boxes, and files that lie."""

from __future__ import annotations

import io
from datetime import UTC, datetime

import docx
import pytest
from docx.document import Document
from docx.enum.style import WD_STYLE_TYPE
from docx.oxml import parse_xml
from docx.oxml.ns import nsdecls

from ragtrace.adapters.docx import DocxParser
from ragtrace.domain.documents import ParsedDocument, Section
from ragtrace.errors import ParseProblem
from tests.service.parsers.packages import attacked, changed, parts_of


def saved(document: Document) -> bytes:
    target = io.BytesIO()
    document.save(target)
    return target.getvalue()


def parsed(document: Document, path: str = "규정/휴가 규정.docx") -> ParsedDocument:
    return DocxParser().parse(saved(document), path)


def body(xml: str) -> ParsedDocument:
    """Parse a document whose body is this WordprocessingML."""
    document = docx.Document()
    declared = (
        f'<w:body {nsdecls("w", "wp", "a", "r")} xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006" '
        'xmlns:wps="http://schemas.microsoft.com/office/word/2010/wordprocessingShape" '
        f'xmlns:m="http://schemas.openxmlformats.org/officeDocument/2006/math">{xml}</w:body>'
    )
    root = document.element
    root.replace(root.body, parse_xml(declared))
    return parsed(document)


def only_text(result: ParsedDocument) -> str:
    (section,) = result.sections
    return section.text


def test_headings_become_section_paths() -> None:
    document = docx.Document()
    document.add_heading("제1장 휴가", 1)
    document.add_paragraph("연차는 15일이다.")
    document.add_heading("신청", 2)
    document.add_paragraph("3일 전에 낸다.")
    document.add_heading("제2장 출장", 1)
    document.add_paragraph("여비를 준다.")
    assert parsed(document).sections == (
        Section(("제1장 휴가",), "연차는 15일이다."),
        Section(("제1장 휴가", "신청"), "3일 전에 낸다."),
        Section(("제2장 출장",), "여비를 준다."),
    )


def test_a_style_of_ones_own_is_a_heading_by_its_outline_level_also_inherited() -> None:
    document = docx.Document()
    own = document.styles.add_style("장 이름", WD_STYLE_TYPE.PARAGRAPH)
    own.element.get_or_add_pPr().append(parse_xml(f'<w:outlineLvl {nsdecls("w")} w:val="0"/>'))
    heir = document.styles.add_style("굵은 장 이름", WD_STYLE_TYPE.PARAGRAPH)
    heir.base_style = own
    document.add_paragraph("총칙", style="굵은 장 이름")
    document.add_paragraph("본문")
    assert parsed(document).sections == (Section(("총칙",), "본문"),)


def test_a_style_based_on_itself_ends() -> None:
    document = docx.Document()
    own = document.styles.add_style("돌고", WD_STYLE_TYPE.PARAGRAPH)
    own.base_style = own
    document.add_paragraph("본문", style="돌고")
    assert only_text(parsed(document)) == "본문"


def test_title_and_day_come_from_the_properties() -> None:
    document = docx.Document()
    document.core_properties.title = "여비 규정"
    document.core_properties.modified = datetime(2024, 5, 6, 16, 30, tzinfo=UTC)
    document.add_paragraph("본문")
    result = parsed(document, "20200101 파일.docx")
    assert (result.title, result.date) == ("여비 규정", "2024-05-07")


@pytest.mark.parametrize(
    "junk", ["", "제목 없음", "문서1", "Microsoft Word - 문서1", "���", "...", "Untitled"]
)
def test_a_title_that_a_program_made_gives_way_to_the_title_in_the_text(junk: str) -> None:
    document = docx.Document()
    document.core_properties.title = junk
    document.add_heading("보안 지침", 0)
    document.add_paragraph("시행일: 2023. 7. 1.")
    result = parsed(document, "a/파일.docx")
    assert (result.title, result.date) == ("보안 지침", "2023-07-01")


def test_the_day_of_an_empty_template_is_not_the_documents() -> None:
    document = docx.Document()
    document.add_paragraph("본문")
    assert parsed(document, "회의록_20240131.docx").date == "2024-01-31"


def test_tables_become_rows_and_merged_cells_keep_their_name() -> None:
    document = docx.Document()
    document.add_paragraph("담당자는 아래와 같다.")
    table = document.add_table(3, 3)
    for row, values in zip(
        table.rows,
        [("부서", "이름", "전화"), ("인사팀", "홍길동", "100"), ("", "김철수", "101")],
        strict=True,
    ):
        for cell, value in zip(row.cells, values, strict=True):
            cell.text = value
    table.cell(1, 0).merge(table.cell(2, 0)).text = "인사팀"
    document.add_paragraph("끝.")
    assert only_text(parsed(document)).splitlines() == [
        "담당자는 아래와 같다.", "부서 | 이름 | 전화", "인사팀 | 홍길동 | 100", "인사팀 | 김철수 | 101", "끝.",
    ]  # fmt: skip


def test_a_long_table_repeats_its_header() -> None:
    document = docx.Document()
    document.add_heading("비품", 1)
    table = document.add_table(0, 2)
    for values in [("품목", "수량"), *((f"품목이름{number:03d}", str(number)) for number in range(200))]:
        for cell, value in zip(table.add_row().cells, values, strict=True):
            cell.text = value
    sections = parsed(document).sections
    assert len(sections) > 5
    assert all(
        section.path == ("비품",) and section.text.startswith("품목 | 수량\n품목이름") for section in sections
    )
    rows = [line for section in sections for line in section.text.splitlines() if line != "품목 | 수량"]
    assert rows == [f"품목이름{number:03d} | {number}" for number in range(200)]


def test_a_frame_of_one_cell_is_read_as_a_page() -> None:
    document = docx.Document()
    cell = document.add_table(1, 1).cell(0, 0)
    cell.paragraphs[0].text = "목적"
    cell.paragraphs[0].style = document.styles["Heading 1"]
    cell.add_paragraph("이 규정은 여비를 정한다.")
    assert parsed(document).sections == (Section(("목적",), "이 규정은 여비를 정한다."),)


def test_tracked_insertions_count_and_deletions_do_not() -> None:
    xml = """<w:p><w:r><w:t xml:space="preserve">연차는 </w:t></w:r><w:del><w:r><w:delText>10일</w:delText><w:t>열흘</w:t></w:r></w:del>
    <w:ins><w:r><w:t>15일</w:t></w:r></w:ins><w:moveFrom><w:r><w:t>옛자리</w:t></w:r></w:moveFrom><w:r><w:t>이다.</w:t></w:r></w:p>"""
    assert only_text(body(xml)) == "연차는 15일이다."


def test_links_fields_controls_and_signs_are_read_and_hidden_text_is_not() -> None:
    xml = """<w:p><w:hyperlink><w:r><w:t>규정집</w:t></w:r></w:hyperlink><w:fldSimple w:instr="PAGE"><w:r><w:t>삼</w:t></w:r></w:fldSimple>
    <w:r><w:instrText>DATE</w:instrText><w:tab/><w:t>탭</w:t><w:noBreakHyphen/></w:r><w:r><w:rPr><w:vanish/></w:rPr><w:t>숨김</w:t></w:r>
    <w:r><w:rPr><w:vanish w:val="0"/></w:rPr><w:t>보임</w:t></w:r></w:p>
    <w:sdt><w:sdtContent><w:p><w:r><w:t>상자 속</w:t></w:r></w:p></w:sdtContent></w:sdt>"""
    assert only_text(body(xml)) == "규정집삼 탭-보임\n상자 속"


def test_a_text_box_is_read_once() -> None:
    box = "<w:txbxContent><w:p><w:r><w:t>상자 글</w:t></w:r></w:p></w:txbxContent>"
    xml = f"""<w:p><w:r><w:t>앞</w:t></w:r><w:r><mc:AlternateContent><mc:Choice Requires="wps"><w:drawing><wps:txbx>{box}</wps:txbx>
    </w:drawing></mc:Choice><mc:Fallback><w:pict>{box}</w:pict></mc:Fallback></mc:AlternateContent></w:r></w:p>"""
    assert only_text(body(xml)) == "앞\n상자 글"
    table = f"<w:tbl><w:tr><w:tc>{xml}</w:tc><w:tc><w:p><w:r><w:t>옆</w:t></w:r></w:p></w:tc></w:tr></w:tbl>"
    assert only_text(body(table)) == "앞 상자 글 | 옆"


def test_a_table_of_contents_is_left_out() -> None:
    document = docx.Document()
    document.styles.add_style("toc 1", WD_STYLE_TYPE.PARAGRAPH)
    document.add_paragraph("1. 목적 ........ 3", style="toc 1")
    document.add_paragraph("본문")
    assert only_text(parsed(document)) == "본문"


NUMBERING = """<w:abstractNum {ns} w:abstractNumId="90"><w:lvl w:ilvl="0"><w:start w:val="1"/><w:numFmt w:val="decimal"/>
<w:lvlText w:val="제%1조"/></w:lvl><w:lvl w:ilvl="1"><w:start w:val="1"/><w:numFmt w:val="ganada"/><w:lvlText w:val="%2."/></w:lvl>
<w:lvl w:ilvl="2"><w:start w:val="1"/><w:numFmt w:val="bullet"/><w:lvlText w:val="•"/></w:lvl></w:abstractNum>"""


def test_numbers_that_word_makes_are_written_out() -> None:
    document = docx.Document()
    root = document.part.numbering_part.element
    root.insert(0, parse_xml(NUMBERING.format(ns=nsdecls("w"))))
    root.append(parse_xml(f'<w:num {nsdecls("w")} w:numId="90"><w:abstractNumId w:val="90"/></w:num>'))
    for text, level in [("목적", 0), ("가나", 1), ("다라", 1), ("점", 2), ("적용", 0), ("다시", 1)]:
        paragraph = document.add_paragraph(text)
        list_of = f'<w:numPr {nsdecls("w")}><w:ilvl w:val="{level}"/><w:numId w:val="90"/></w:numPr>'
        paragraph._p.get_or_add_pPr().append(parse_xml(list_of))
    assert only_text(parsed(document)).splitlines() == [
        "제1조 목적", "가. 가나", "나. 다라", "점", "제2조 적용", "가. 다시",
    ]  # fmt: skip


def test_footnotes_follow_the_paragraph_that_refers_to_them() -> None:
    document = docx.Document()
    paragraph = document.add_paragraph("연차는 15일이다.")
    paragraph._p.append(parse_xml(f'<w:r {nsdecls("w")}><w:footnoteReference w:id="2"/></w:r>'))
    notes = f"""<w:footnotes {nsdecls("w")}><w:footnote w:type="separator" w:id="0"><w:p><w:r><w:t>선</w:t></w:r></w:p></w:footnote>
    <w:footnote w:id="2"><w:p><w:r><w:t>근로기준법 제60조</w:t></w:r></w:p></w:footnote></w:footnotes>"""
    document.add_paragraph("다음 문단")
    data = changed(
        saved(document),
        {
            "word/footnotes.xml": notes.encode(),
            "word/_rels/document.xml.rels": lambda old: old.replace(
                b"</Relationships>",
                b'<Relationship Id="rIdN" Target="footnotes.xml" '
                b'Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/footnotes"/></Relationships>',
            ),
        },
    )
    assert (
        only_text(DocxParser().parse(data, "a.docx")) == "연차는 15일이다.\n[주] 근로기준법 제60조\n다음 문단"
    )


def test_a_strict_document_is_read_as_the_other_kind() -> None:
    document = docx.Document()
    document.core_properties.title = "엄격한 문서"
    document.add_heading("장", 1)
    document.add_paragraph("글")
    strict = {
        name: content.replace(
            b"http://schemas.openxmlformats.org/wordprocessingml/2006/", b"http://purl.oclc.org/ooxml/wordprocessingml/"
        ).replace(b"http://schemas.openxmlformats.org/officeDocument/2006/", b"http://purl.oclc.org/ooxml/officeDocument/")
        for name, content in parts_of(saved(document)).items()
        if name.endswith((".xml", ".rels"))
    }  # fmt: skip
    assert b"purl.oclc.org" in strict["word/document.xml"]
    result = DocxParser().parse(changed(saved(document), dict(strict)), "a.docx")
    assert (result.title, result.sections) == ("엄격한 문서", (Section(("장",), "글"),))


def test_a_document_without_text_has_no_sections() -> None:
    assert parsed(docx.Document()).sections == ()


@pytest.mark.parametrize(("data", "words"), attacked("DOCX"))
def test_a_file_that_is_no_sound_docx_is_refused_in_words(data: bytes, words: str) -> None:
    with pytest.raises(ParseProblem) as caught:
        DocxParser().parse(data, "a.docx")
    assert words in caught.value.summary.en
    assert caught.value.summary.ko
