"""HWPX: what a document says is read, what is locked is reported, what is broken is a problem in words."""

from __future__ import annotations

import random

import pytest

from ragtrace.adapters import hwpx
from ragtrace.adapters.hwpx import HwpxParser
from ragtrace.domain.documents import ParsedDocument, Section
from ragtrace.errors import ParseProblem
from ragtrace.limits import HANGUL_DEPTH
from tests.service.parsers.damage import damaged
from tests.service.parsers.hwpx_writer import archive, ctrl, listed, numbering, p, parts, run, section, t, tbl

ENCRYPTED = (
    '<odf:manifest xmlns:odf="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"><odf:file-entry full-path="Contents/section0.xml">'
    '<odf:encryption-data checksum="x"/></odf:file-entry></odf:manifest>'
)


def parse(members: dict[str, bytes | str], path: str = "폴더/휴가 규정.hwpx") -> ParsedDocument:
    return HwpxParser().parse(archive(members), path)


def says(*paragraphs: str, outline: tuple[int, ...] = (0,)) -> str:
    return "\n".join(one.text for one in parse(parts(section(*paragraphs), outline=outline)).sections)


def test_sections_come_in_the_order_of_the_spine() -> None:
    sections = [section(p(f"구역 {number}")) for number in range(12)]
    (found,) = parse(parts(*sections)).sections
    assert found.text.split("\n") == [f"구역 {number}" for number in range(12)]
    (found,) = parse(parts(*sections[:3], spine=(2, 0, 1))).sections
    assert found.text == "구역 2\n구역 0\n구역 1"


def test_without_a_package_document_sections_are_taken_by_number() -> None:
    members = parts(*(section(p(f"구역 {number}")) for number in range(11)))
    del members["Contents/content.hpf"]
    (found,) = parse(members).sections
    assert found.text.split("\n")[-2:] == ["구역 9", "구역 10"]


def test_a_section_that_the_spine_leaves_out_is_read_all_the_same() -> None:
    (found,) = parse(parts(section(p("가")), section(p("나")), spine=(0,))).sections
    assert found.text == "가\n나"


@pytest.mark.parametrize("year", ["2011", "2016", "2024"])
def test_the_namespaces_of_every_year_are_understood(year: str) -> None:
    (found,) = parse(parts(section(p("글"), year=year))).sections
    assert found.text == "글"


def test_elements_inside_a_text_keep_what_stands_behind_them() -> None:
    inside = '앞<hp:markpenBegin color="#FFF"/>형광<hp:markpenEnd/>뒤<hp:tab width="1"/>탭<hp:lineBreak/>새 줄<hp:nbSpace/>칸<hp:hyphen/>끝'
    assert says(p(inside)) == "앞형광뒤 탭\n새 줄 칸-끝"


def test_text_of_several_runs_is_one_line() -> None:
    assert says(p(run(t("연차"), t("는 ")) + run(t("15일")))) == "연차는 15일"


def test_deleted_text_of_tracked_changes_is_not_read_and_inserted_text_is() -> None:
    changed = '제15조 <hp:deleteBegin Id="1"/>10일<hp:deleteEnd Id="1"/><hp:insertBegin Id="2"/>15일<hp:insertEnd Id="2"/>로 한다.'
    assert says(p(changed)) == "제15조 15일로 한다."
    over_runs = run(t('남음<hp:deleteBegin Id="1"/>지움'), t("또 지움")) + run(
        t('지움<hp:deleteEnd Id="1"/> 다시')
    )
    assert says(p(over_runs)) == "남음 다시"


def test_a_table_becomes_rows_and_a_merged_cell_stands_in_each_of_its_rows() -> None:
    rows: list[list[str | None]] = [["구분", "이름", "일수"], ["연차", "정규", "15"], [None, "계약", "11"]]
    table = tbl(rows, spans={(1, 0): 2}, caption="표 1 휴가")
    assert (
        says(p(run(t("표 앞"), table, t("표 뒤"))))
        == "표 앞\n표 1 휴가\n구분 | 이름 | 일수\n연차 | 정규 | 15\n연차 | 계약 | 11\n표 뒤"
    )


def test_the_title_rows_of_a_long_table_are_repeated_in_every_piece() -> None:
    rows = [
        ["번호", "내용"],
        ["하나", "둘"],
        *([str(number), "조금 긴 칸입니다 " * 3] for number in range(40)),
    ]
    parsed = parse(parts(section(p(tbl(rows, titles=2)))))
    assert len(parsed.sections) > 3
    assert all(one.text.startswith("번호 | 내용\n하나 | 둘\n") for one in parsed.sections)


def test_a_chart_is_read_as_a_table_whatever_older_programs_show_instead() -> None:
    def points(*values: str) -> str:
        return "".join(f'<c:pt idx="{at}"><c:v>{value}</c:v></c:pt>' for at, value in enumerate(values))

    chart = (
        '<c:chartSpace xmlns:c="http://schemas.openxmlformats.org/drawingml/2006/chart"><c:ser>'
        f"<c:tx><c:strRef><c:strCache>{points('매출')}</c:strCache></c:strRef></c:tx>"
        f"<c:cat><c:strRef><c:strCache>{points('1월', '2월')}</c:strCache></c:strRef></c:cat>"
        f"<c:val><c:numRef><c:numCache>{points('10', '20')}</c:numCache></c:numRef></c:val></c:ser></c:chartSpace>"
    )
    instead = f"<hp:rect><hp:drawText>{listed(p('옛 그림'))}</hp:drawText></hp:rect>"
    place = (
        '<hp:switch><hp:case><hp:chart chartIDRef="Chart/chart1.xml"/></hp:case>'
        f"<hp:default>{instead}</hp:default></hp:switch>"
    )
    (found,) = parse(parts(section(p(run(t("글"), place)))) | {"Chart/chart1.xml": chart}).sections
    assert [line.strip(" |") for line in found.text.split("\n")] == ["글", "매출", "1월 | 10", "2월 | 20"]


def test_a_table_inside_a_cell_is_read_after_the_row_it_stands_in() -> None:
    inner = p(run(t("설명"), tbl([["안1", "안2"]])))
    assert says(p(tbl([["이름", "값"], ["품목", inner], ["합계", "3"]]))).split("\n") == [
        "이름 | 값",
        "품목",
        "설명",
        "안1 | 안2",
        "합계 | 3",
    ]


def test_boxes_groups_notes_and_captions_are_read_after_their_paragraph() -> None:
    box = f"<hp:rect id='1'><hp:drawText>{listed(p('상자'))}</hp:drawText></hp:rect>"
    group = f"<hp:container>{box.replace('상자', '묶음')}</hp:container>"
    picture = f"<hp:pic><hp:caption>{listed(p('그림 설명'))}</hp:caption></hp:pic>"
    note = ctrl("footNote", p(run("<hp:ctrl><hp:autoNum num='1' numType='FOOTNOTE'/></hp:ctrl>", t("각주"))))
    assert says(p(run(t("본"), box, group, picture, note, t("문")))) == "본문\n상자\n묶음\n그림 설명\n각주"


@pytest.mark.parametrize("kind", ["header", "footer", "hiddenComment"])
def test_headers_footers_and_hidden_comments_are_not_text(kind: str) -> None:
    assert says(p(run(ctrl(kind, p("대외비")), t("본문")))) == "본문"


def test_equations_ruby_overlaid_letters_and_caption_numbers_are_read_in_place() -> None:
    number = "<hp:ctrl><hp:autoNum num='7' numType='TABLE'/></hp:ctrl>"
    equation = "<hp:equation><hp:script>a over b</hp:script></hp:equation>"
    ruby = "<hp:dutmal><hp:mainText>본말</hp:mainText><hp:subText>덧말</hp:subText></hp:dutmal>"
    assert (
        says(p(run(t("표 "), number, t(" "), equation, ruby, '<hp:compose composeText="갑"/>')))
        == "표 7 a over b본말갑"
    )


def test_outline_paragraphs_become_section_paths() -> None:
    body = [
        p("제1장 총칙", shape=1),
        p("목적을 정한다.", shape=1),
        p("제1절 연차", shape=2),
        p("15일로 한다."),
    ]
    parsed = parse(parts(section(*body), outline=(0, 1, 2)))
    assert parsed.title == "제1장 총칙"
    assert parsed.sections == (
        Section(("제1장 총칙",), "목적을 정한다."),
        Section(("제1장 총칙", "제1절 연차"), "15일로 한다."),
    )


def test_numbers_before_paragraphs_are_counted_over_sections() -> None:
    lists = numbering(2, ("제^1장", "DIGIT"), ("제^2조", "DIGIT")) + numbering(
        1, ("^1)", "HANGUL_SYLLABLE"), start=3
    )
    head = '<hp:secPr outlineShapeIDRef="2"/>'
    first = section(
        p(run(head, t("총칙")), shape=1),
        p("목적을 정한다.", shape=2),
        p("목록이다.", shape=3),
        p("정의를 정한다.", shape=2),
    )
    second = section(p(run(head, t("보칙")), shape=1), p("목록이다.", shape=3), p("시행한다.", shape=2))
    assert parse(parts(first, second, outline=(0, 1, 2, -1), lists=lists)).sections == (
        Section(("제1장 총칙",), "제1조 목적을 정한다.\n다) 목록이다.\n제2조 정의를 정한다."),
        Section(("제2장 보칙",), "라) 목록이다.\n제1조 시행한다."),
    )


def test_title_and_day_come_from_the_metadata_in_korean_time() -> None:
    meta = {"CreatedDate": "2019-01-01T00:00:00Z", "ModifiedDate": "2024-02-28T15:30:00Z"}
    parsed = parse(parts(section(p("글")), title="휴가 규정", meta=meta))
    assert (parsed.title, parsed.date) == ("휴가 규정", "2024-02-29")


def test_without_metadata_title_and_day_come_from_the_name() -> None:
    parsed = parse(parts(section(p("글")), meta={"ModifiedDate": "언젠가"}), "20230501 휴가.hwpx")
    assert (parsed.title, parsed.date) == ("20230501 휴가", "2023-05-01")


def test_a_document_without_text_has_no_sections_and_its_preview_is_not_taken() -> None:
    assert parse(parts(section(p("")))).sections == ()


def test_an_encrypted_document_is_reported_before_its_sections_are_touched() -> None:
    members = parts(section(p("글"))) | {
        "META-INF/manifest.xml": ENCRYPTED,
        "Contents/section0.xml": random.Random(1).randbytes(200),
    }
    with pytest.raises(ParseProblem, match="password"):
        parse(members)


@pytest.mark.parametrize(
    "change",
    [
        {"Contents/section0.xml": "<hs:sec"},
        {"Contents/section0.xml": b"\0\1\2"},
        {"Contents/section0.xml": ""},
        {"Contents/section0.xml": '<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>'},
        {"Contents/header.xml": '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>'},
        {"META-INF/container.xml": "no markup"},
        {"Contents/content.hpf": "<a>"},
    ],
)
def test_broken_or_hostile_parts_are_a_problem(change: dict[str, bytes | str]) -> None:
    with pytest.raises(ParseProblem):
        parse(parts(section(p("글"))) | change)


def test_a_section_that_the_package_names_but_misses_is_damage() -> None:
    members = parts(section(p("가")), section(p("나")))
    del members["Contents/section1.xml"]
    with pytest.raises(ParseProblem):
        parse(members)
    del members["Contents/section0.xml"], members["Contents/content.hpf"]
    with pytest.raises(ParseProblem):
        parse(members)


def test_sections_together_larger_than_the_cap_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hwpx, "HWP_TEXT_BYTES", 5000)
    with pytest.raises(ParseProblem):
        parse(parts(*(section(p("가" * 600)) for _ in range(3))))


def test_tables_in_tables_without_end_are_refused_without_a_recursion_error() -> None:
    nested = tbl([["안", "쪽"]])
    for _ in range(HANGUL_DEPTH + 5):
        nested = tbl([["안", p(nested)]])
    with pytest.raises(ParseProblem, match=str(HANGUL_DEPTH)):
        says(p(nested))


def test_absurd_numbers_in_a_table_are_not_believed() -> None:
    table = (
        tbl([["가", "나"]])
        .replace('rowSpan="1"', 'rowSpan="' + "9" * 5000 + '"')
        .replace('colAddr="1"', 'colAddr="-5"')
    )
    assert says(p(table)) == "가 | 나"


def test_damaged_bytes_are_a_problem_in_words_or_read_and_nothing_else() -> None:
    whole = archive(
        parts(
            section(p("제목", shape=1), p(run(t("본문"), tbl([["가", "나"]])))), outline=(0, 1), title="제목"
        )
    )
    refused = 0
    for data in damaged(whole, 300, seed=3):
        try:
            HwpxParser().parse(data, "a.hwpx")
        except ParseProblem as problem:
            assert problem.summary.ko
            refused += 1
    assert refused > 100
