"""PDF: pages, headings, wrapped lines, running heads, and files without readable text."""

from __future__ import annotations

import threading
import time

import pytest

from ragtrace.adapters import pdf
from ragtrace.adapters.pdf import PdfParser
from ragtrace.domain.documents import ParsedDocument, Section
from ragtrace.errors import ParseProblem
from ragtrace.text import Text
from tests.service.parsers.pdf_writer import At, Pdf


def parsed(document: Pdf, path: str = "규정/휴가 규정.pdf") -> ParsedDocument:
    return PdfParser().parse(document.write(), path)


def lines_of(*lines: At) -> list[str]:
    (section,) = parsed(Pdf([lines])).sections
    return section.text.splitlines()


def test_korean_text_is_read_by_pages() -> None:
    result = parsed(Pdf(["연차는 15일이다.\n신청은 3일 전에 한다.", "", "둘째 쪽 한자 漢字 English"]))
    assert result.sections == (
        Section((), "연차는 15일이다.\n신청은 3일 전에 한다.", 1),
        Section((), "둘째 쪽 한자 漢字 English", 3),
    )


@pytest.mark.parametrize(
    ("changed", "created", "day"),
    [
        ("D:20240506010000+09'00'", "D:20230101", "2024-05-06"),
        ("D:20240506230000Z", "", "2024-05-07"),
        ("D:20240506230000+00'00'", "", "2024-05-07"),
        ("", "D:20230102030405", "2023-01-02"),
        ("D:20241399", "20230102", "2023-01-02"),
        ("어제", "", "2024-01-31"),
    ],
)
def test_title_and_day_come_from_the_properties(changed: str, created: str, day: str) -> None:
    document = Pdf(["글"], title="여비 규정", changed=changed, created=created)
    result = parsed(document, "a_20240131.pdf")
    assert (result.title, result.date) == ("여비 규정", day)


def test_the_largest_words_of_the_first_page_are_the_title_where_the_properties_name_a_file() -> None:
    page = [
        At("보안 지침", y=760, size=20),
        *(At(f"본문의 글이 이어진다 {at}.", y=700 - 14 * at) for at in range(9)),
    ]
    result = parsed(Pdf([page], title="Microsoft Word - 문서1"), "a.pdf")
    assert result.title == "보안 지침"
    assert result.sections[0].path == ("보안 지침",)
    assert parsed(Pdf(["본문뿐이다."]), "a/이름.pdf").title == "이름"


def test_bookmarks_become_section_paths_where_their_words_stand() -> None:
    document = Pdf(
        [
            "머리말이다.\n제1장 휴가\n연차는 15일이다.\n1.1 신청\n3일 전에 낸다.",
            "이어지는 글.\n제2장 출장\n여비를 준다.",
        ],
        marks=[(1, "제1장 휴가", 0, 740), (2, "신청", 0, 700), (1, "제2장  출장", 1, 740)],
    )
    assert parsed(document).sections == (
        Section((), "머리말이다.", 1),
        Section(("제1장 휴가",), "연차는 15일이다.", 1),
        Section(("제1장 휴가", "신청"), "3일 전에 낸다.", 1),
        Section(("제1장 휴가", "신청"), "이어지는 글.", 2),
        Section(("제2장 출장",), "여비를 준다.", 2),
    )


def test_a_bookmark_whose_words_are_not_printed_opens_at_its_height() -> None:
    document = Pdf(["첫 줄이다.\n둘째 줄이다.\n셋째 줄이다."], marks=[(1, "앞", 0, 800), (1, "뒤", 0, 729)])
    assert parsed(document).sections == (
        Section(("앞",), "첫 줄이다.\n둘째 줄이다.", 1), Section(("뒤",), "셋째 줄이다.", 1),
    )  # fmt: skip


def test_without_bookmarks_larger_letters_are_headings() -> None:
    def body(y: float) -> list[At]:
        return [At(f"본문의 글이 이어진다 {at}.", y=y - 14 * at) for at in range(6)]

    pages = [
        [
            At("휴가 규정", y=800, size=22),
            At("총칙", y=760, size=15),
            *body(740),
            At("휴가", y=640, size=15),
            *body(620),
        ],
        [*body(800)],
    ]
    sections = parsed(Pdf(pages)).sections
    assert [(section.path, section.page) for section in sections] == [
        (("휴가 규정", "총칙"), 1), (("휴가 규정", "휴가"), 1), (("휴가 규정", "휴가"), 2),
    ]  # fmt: skip


def test_a_document_set_in_large_letters_throughout_has_no_headings_by_size() -> None:
    pages = [
        [At(f"큰 글씨 {at}", y=800 - 30 * at, size=20) for at in range(9)]
        + [At("작은 글씨가 훨씬 더 많이 나오는 줄 " * 3, y=300, size=5)]
    ]
    assert {section.path for section in parsed(Pdf(pages)).sections} == {()}


def test_running_heads_and_page_numbers_are_left_out() -> None:
    def page(number: int) -> list[At]:
        return [
            At("여비 규정", y=820, size=8),
            At(f"{number}번째 쪽의 본문이다."),
            At("그 뒤를 잇는 본문이다.", y=680),
            At(f"- {number} -", x=290, y=30),
        ]

    sections = parsed(Pdf([page(number) for number in range(1, 7)])).sections
    assert [section.text for section in sections] == [
        f"{number}번째 쪽의 본문이다.\n그 뒤를 잇는 본문이다." for number in range(1, 7)
    ]


def test_the_same_words_on_every_page_are_the_text_where_there_is_no_other() -> None:
    assert [section.text for section in parsed(Pdf(["대외비 문서"] * 5)).sections] == ["대외비 문서"] * 5


def test_a_running_head_that_carries_the_page_number_is_left_out_and_a_sum_is_not() -> None:
    pages = [
        [At(f"제{number}장", y=820), At(str(number + 4), x=500, y=820), At("본문이다."), At("합계", y=60), At(str(number * number + 90), x=500, y=60)]
        for number in range(1, 7)
    ]  # fmt: skip
    sections = parsed(Pdf(pages)).sections
    assert [section.text for section in sections] == [
        f"본문이다.\n합계 | {number * number + 90}" for number in range(1, 7)
    ]


def test_a_table_of_contents_is_left_out_and_dots_in_a_sentence_are_not() -> None:
    contents = [f"{number}. 장의 이름 {'.' * 20} {number * 7}" for number in range(1, 6)]
    result = parsed(Pdf(["\n".join(["차례", *contents]), "본문의 글이다......\n그리고 ..... 5"]))
    assert [section.text for section in result.sections] == ["차례", "본문의 글이다......\n그리고 ..... 5"]


LONG = "이 규정은 회사의 모든 임직원에게 적용하며 다른 규정에 특별한 정함이 없"  # 39 letters, as wide as the page's text


def test_a_word_broken_between_lines_is_joined_where_line_ends_keep_their_spaces() -> None:
    assert lines_of(At(LONG, y=700), At("는 한 이 규정에 따른다. 그리고 다음의 각 호에 해당하는 경우에는 ", y=686), At("그러하지 아니하다.", y=672)) == [
        LONG + "는 한 이 규정에 따른다. 그리고 다음의 각 호에 해당하는 경우에는 그러하지 아니하다."
    ]  # fmt: skip


def test_lines_are_joined_with_a_space_where_nobody_knows() -> None:
    assert lines_of(At(LONG, y=700), At("는 한 따른다.", y=686)) == [f"{LONG} 는 한 따른다."]


@pytest.mark.parametrize(
    "following", ["1. 다음 항목", "• 다음 항목", "가. 다음 항목", "제2조(목적) 다음", "제2장 다음", "① 다음"]
)
def test_items_are_not_joined(following: str) -> None:
    assert lines_of(At(LONG, y=700), At(following, y=686)) == [LONG, following]


@pytest.mark.parametrize(("step", "between"), [(1, ""), (4, " ")])
def test_words_are_joined_where_every_line_is_filled_to_the_letter(step: int, between: str) -> None:
    # Every line another: PDFium takes the same words close by for bold letters printed twice.
    texts = [first + LONG[1:] for first in "갑을병정무기경신"]
    lines = [At(text, x=72 + step * (at * 3 % 10), y=700 - 14 * at) for at, text in enumerate(texts)]
    assert lines_of(*lines) == [between.join(texts)]


def test_the_end_of_a_sentence_in_the_next_line_is_no_item() -> None:
    assert lines_of(At(LONG, y=700), At("제60조에 따른다.", y=686)) == [f"{LONG} 제60조에 따른다."]
    assert lines_of(At(LONG, y=700), At("다. 이어지는 문장이다.", y=686)) == [f"{LONG}다. 이어지는 문장이다."]


def test_short_lines_and_full_stops_end_a_paragraph() -> None:
    assert lines_of(At(LONG + "다.", y=700), At("다음 문단", y=686), At("또 다음", y=672)) == [
        LONG + "다.",
        "다음 문단",
        "또 다음",
    ]


def test_words_far_apart_in_a_line_are_cells() -> None:
    rows = [("부서", "이름", "금액"), ("인사팀", "홍길동", "1,000"), ("총무팀", "김철수", "2,500")]
    page = [
        At(cell, x=72 + 150 * at, y=700 - 14 * row)
        for row, cells in enumerate(rows)
        for at, cell in enumerate(cells)
    ]
    assert lines_of(*page) == ["부서 | 이름 | 금액", "인사팀 | 홍길동 | 1,000", "총무팀 | 김철수 | 2,500"]


def refused(data: bytes) -> str:
    with pytest.raises(ParseProblem) as caught:
        PdfParser().parse(data, "a.pdf")
    assert caught.value.summary.ko
    return caught.value.summary.en


def test_a_pdf_with_a_password_is_refused() -> None:
    assert "password" in refused(Pdf(["비밀"], protected=True).write())


def test_a_scanned_pdf_is_refused_and_says_so() -> None:
    assert "scanned" in refused(Pdf(["", ""], picture=True).write())


def test_an_empty_page_is_no_scan() -> None:
    assert parsed(Pdf([""])).sections == ()
    assert parsed(Pdf(["글이다.", ""])).lacks is None


def test_pages_that_are_scanned_are_counted_beside_those_with_text() -> None:
    result = parsed(Pdf(["여비 규정이다.", "", ""], picture=True))
    assert [section.text for section in result.sections] == ["여비 규정이다."]
    assert result.lacks == Text(
        "3쪽 가운데 2쪽에 글이 없습니다(스캔?).", "2 of 3 pages have no text (scanned?)."
    )


def test_text_in_letters_that_nobody_knows_is_refused() -> None:
    assert "fonts" in refused(Pdf(["연차는 15일이다. 신청은 3일 전에 한다."], mapped=False).write())


@pytest.mark.parametrize("data", [b"PK\x03\x04", b"\x00" * 2000, "글".encode(), b"\xd0\xcf\x11\xe0"])
def test_what_is_no_pdf_is_refused(data: bytes) -> None:
    assert "not a PDF" in refused(data)


def test_an_empty_file_is_refused() -> None:
    assert "empty" in refused(b"")


@pytest.mark.parametrize("data", [b"%PDF-1.7\n", b"%PDF-1.7\n" + b"\xff" * 3000])
def test_a_damaged_pdf_is_refused(data: bytes) -> None:
    assert "damaged" in refused(data)


def test_a_pdf_cut_off_anywhere_is_read_or_refused_in_words() -> None:
    data = Pdf(["연차는 15일이다."] * 3, title="가", marks=[(1, "연차", 0, 700)]).write()
    for end in range(0, len(data), 97):
        try:
            PdfParser().parse(data[:end], "a.pdf")
        except ParseProblem as problem:
            assert problem.summary.ko


def test_bookmarks_in_a_circle_end() -> None:
    marks = [(1, "총칙", 0, 700), (1, "휴가", 0, 690), (1, "출장", 0, 680)]
    data = Pdf(["총칙\n본문이다.\n휴가\n출장"], marks=marks).write()
    first = data[data.rindex(b"/First ") + 7 :].split(b" ")[0]
    start = data.rindex(b"/Next ") + 6
    end = data.index(b" ", start)
    assert len(first) == end - start
    circle = data[:start] + first + data[end:]
    assert [section.path for section in PdfParser().parse(circle, "a.pdf").sections] == [("총칙",), ("휴가",)]


def test_pdfium_is_asked_by_one_thread_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[bool] = []
    real = pdf._read

    def watched(data: bytes, path: str) -> ParsedDocument:
        held.append(pdf._PDFIUM.locked())
        return real(data, path)

    monkeypatch.setattr(pdf, "_read", watched)
    PdfParser().parse(Pdf(["글이다."]).write(), "a.pdf")
    assert held == [True]


def test_several_threads_may_parse_at_once() -> None:
    data = Pdf([f"{number}번째 쪽의 글이다." for number in range(20)]).write()
    wanted = PdfParser().parse(data, "a.pdf")
    results: list[ParsedDocument] = []
    threads = [
        threading.Thread(target=lambda: results.append(PdfParser().parse(data, "a.pdf"))) for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [wanted] * 6


def test_hostile_lines_take_no_long_time() -> None:
    pages = [
        "\n".join(["." * 30_000, "1 " * 10_000, "가)" * 10_000 + "나", ". " * 15_000 + "x"]) for _ in range(4)
    ]
    marks = [(1, "가" * 2000, number % 4, 700.0) for number in range(300)]
    began = time.process_time()
    PdfParser().parse(Pdf(pages, title="\\" * 100_000, marks=marks).write(), "a.pdf")
    assert time.process_time() - began < 20


def test_a_number_of_pages_that_is_only_claimed_is_no_work() -> None:
    data = Pdf(["글이다."]).write()
    assert "pages" in refused(data.replace(b"/Count 1 ", b"/Count 900000 "))
