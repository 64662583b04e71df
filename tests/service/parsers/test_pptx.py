"""PPTX: slides as pages, titles, groups, tables, charts, notes, and files that lie."""

from __future__ import annotations

import io
from datetime import datetime
from typing import Any

import pptx
import pytest
from pptx.chart.data import CategoryChartData
from pptx.enum.chart import XL_CHART_TYPE
from pptx.oxml import parse_xml
from pptx.presentation import Presentation
from pptx.slide import Slide
from pptx.util import Inches

from ragtrace.adapters.pptx import PptxParser
from ragtrace.domain.documents import ParsedDocument, Section
from ragtrace.errors import ParseProblem
from tests.service.parsers.packages import attacked, changed, parts_of

BOX = (Inches(1), Inches(1), Inches(3), Inches(1))


def saved(presentation: Presentation) -> bytes:
    target = io.BytesIO()
    presentation.save(target)
    return target.getvalue()


def parsed(presentation: Presentation, path: str = "발표/계획.pptx") -> ParsedDocument:
    return PptxParser().parse(saved(presentation), path)


def slide(presentation: Presentation, title: str, *lines: str) -> Slide:
    """Add a slide with a title and a body."""
    added: Slide = presentation.slides.add_slide(presentation.slide_layouts[1])
    heading = added.shapes.title
    if title and heading is not None:
        heading.text = title
    added.placeholders[1].text = "\n".join(lines)
    return added


def test_every_slide_is_a_page_under_its_title() -> None:
    presentation = pptx.Presentation()
    slide(presentation, "2026년 계획", "매출을 늘린다.", "비용을 줄인다.")
    slide(presentation, "", "제목이 없는 쪽")
    slide(presentation, "인력", "열 명을 뽑는다.")
    result = parsed(presentation)
    assert result.title == "2026년 계획"
    assert result.sections == (
        Section(("2026년 계획",), "매출을 늘린다.\n비용을 줄인다.", 1),
        Section((), "제목이 없는 쪽", 2),
        Section(("인력",), "열 명을 뽑는다.", 3),
    )


def test_a_slide_with_a_title_alone_is_kept() -> None:
    presentation = pptx.Presentation()
    added = presentation.slides.add_slide(presentation.slide_layouts[5])
    added.shapes.title.text = "감사합니다"
    assert parsed(presentation).sections == (Section(("감사합니다",), "감사합니다", 1),)


def test_speaker_notes_follow_their_slide() -> None:
    presentation = pptx.Presentation()
    added = slide(presentation, "매출", "10% 는다.")
    frame = added.notes_slide.notes_text_frame
    assert frame is not None
    frame.text = "근거는 3월 보고서다."
    assert parsed(presentation).sections == (
        Section(("매출",), "10% 는다.", 1),
        Section(("매출", "발표자 노트"), "근거는 3월 보고서다.", 1),
    )


def test_shapes_in_groups_are_read_and_hidden_ones_and_slide_numbers_are_not() -> None:
    presentation = pptx.Presentation()
    added = presentation.slides.add_slide(presentation.slide_layouts[6])
    group = added.shapes.add_group_shape().shapes.add_group_shape()
    group.shapes.add_textbox(*BOX).text_frame.text = "묶음 속 글"
    hidden = added.shapes.add_textbox(*BOX)
    hidden.text_frame.text = "안 보이는 글"
    hidden._element.nvSpPr.cNvPr.set("hidden", "1")
    number = added.shapes.add_textbox(*BOX)
    number.text_frame.text = "7"
    name = "http://schemas.openxmlformats.org/presentationml/2006/main"
    number._element.nvSpPr.nvPr.append(parse_xml(f'<p:ph xmlns:p="{name}" type="sldNum"/>'))
    assert parsed(presentation).sections == (Section((), "묶음 속 글", 1),)


def test_tables_become_rows_and_merged_cells_keep_their_name() -> None:
    presentation = pptx.Presentation()
    added = presentation.slides.add_slide(presentation.slide_layouts[6])
    table = added.shapes.add_table(3, 3, *BOX).table
    for row, values in enumerate(
        [("부서", "이름", "비고"), ("인사팀", "홍길동", "팀장"), ("", "김철수", "")]
    ):
        for column, value in enumerate(values):
            table.cell(row, column).text = value
    table.cell(1, 0).merge(table.cell(2, 0))
    assert parsed(presentation).sections == (
        Section((), "부서 | 이름 | 비고\n인사팀 | 홍길동 | 팀장\n인사팀 | 김철수", 1),
    )


def test_a_chart_is_read_as_a_table() -> None:
    presentation = pptx.Presentation()
    added = presentation.slides.add_slide(presentation.slide_layouts[6])
    data: Any = CategoryChartData()  # type: ignore[no-untyped-call]
    data.categories = ["1분기", "2분기"]
    data.add_series("매출", (12.5, 14))
    data.add_series("이익", (1, None))
    chart = added.shapes.add_chart(XL_CHART_TYPE.COLUMN_CLUSTERED, *BOX, data).chart
    chart.has_title = True
    chart.chart_title.text_frame.text = "분기별 실적"
    (section,) = parsed(presentation).sections
    assert section.text.splitlines() == ["분기별 실적", "| 매출 | 이익", "1분기 | 12.5 | 1", "2분기 | 14"]


def test_a_diagram_is_read_from_its_data() -> None:
    presentation = pptx.Presentation()
    presentation.slides.add_slide(presentation.slide_layouts[6])
    frame = b"""<p:graphicFrame xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main"><p:nvGraphicFramePr>
    <p:cNvPr id="9" name="d"/><p:cNvGraphicFramePr/><p:nvPr/></p:nvGraphicFramePr><a:graphic><a:graphicData uri="d">
    <d:relIds xmlns:d="http://schemas.openxmlformats.org/drawingml/2006/diagram"
    xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships" r:dm="rId9"/></a:graphicData></a:graphic></p:graphicFrame>"""
    model = """<d:dataModel xmlns:d="http://schemas.openxmlformats.org/drawingml/2006/diagram"
    xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main"><d:ptLst><d:pt><d:t><a:p><a:r><a:t>접수</a:t></a:r></a:p></d:t></d:pt>
    <d:pt><d:t><a:p><a:r><a:t>승인</a:t></a:r></a:p></d:t></d:pt></d:ptLst></d:dataModel>"""
    relation = (
        b'<Relationship Id="rId9" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/diagramData" '
        b'Target="../diagrams/data1.xml"/></Relationships>'
    )
    data = saved(presentation)
    members = parts_of(data)
    links = "ppt/slides/_rels/slide1.xml.rels"
    data = changed(
        data,
        {
            "ppt/slides/slide1.xml": members["ppt/slides/slide1.xml"].replace(
                b"</p:spTree>", frame + b"</p:spTree>"
            ),
            "ppt/diagrams/data1.xml": model.encode(),
            links: members[links].replace(b"</Relationships>", relation),
        },
    )
    assert PptxParser().parse(data, "a.pptx").sections == (Section((), "접수\n승인", 1),)


def test_title_and_day_come_from_the_properties_but_not_from_an_empty_template() -> None:
    presentation = pptx.Presentation()
    slide(presentation, "첫 쪽", "글")
    assert parsed(presentation, "보고_20240131.pptx").date == "2024-01-31"
    presentation.core_properties.title = "사업 계획"
    presentation.core_properties.modified = datetime(2024, 5, 6, 1)
    result = parsed(presentation, "보고_20240131.pptx")
    assert (result.title, result.date) == ("사업 계획", "2024-05-06")


def test_a_presentation_without_slides_has_no_sections() -> None:
    assert parsed(pptx.Presentation()).sections == ()


@pytest.mark.parametrize(("data", "words"), attacked("PPTX"))
def test_a_file_that_is_no_sound_pptx_is_refused_in_words(data: bytes, words: str) -> None:
    with pytest.raises(ParseProblem) as caught:
        PptxParser().parse(data, "a.pptx")
    assert words in caught.value.summary.en
    assert caught.value.summary.ko
