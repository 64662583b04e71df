"""HWP 5: what a document says is read, what is locked is reported, what is broken is a problem in words."""

from __future__ import annotations

import os
import struct
import time
import tracemalloc
from datetime import datetime, timezone

import pytest

from ragtrace.adapters import hwp, hwp_records
from ragtrace.adapters.hwp import HwpParser
from ragtrace.domain.documents import ParsedDocument, Section
from ragtrace.errors import ParseProblem
from ragtrace.limits import HANGUL_DEPTH
from tests.service.parsers.damage import damaged
from tests.service.parsers.hwp_writer import (
    CERTIFICATE,
    CERTIFICATE_DRM,
    COMPRESSED,
    DISTRIBUTION,
    DRM,
    EQUATION,
    PASSWORD,
    Control,
    Piece,
    box,
    document,
    group,
    inline,
    note,
    numbering,
    paragraph,
    record,
    section_control,
    table,
)

NOTICE = "이 문서는 상위 버전의 배포용 문서입니다."


def parse(data: bytes, path: str = "폴더/휴가 규정.hwp") -> ParsedDocument:
    return HwpParser().parse(data, path)


def text_of(*paragraphs: bytes, outline: tuple[int, ...] = (0,)) -> str:
    parsed = parse(document(b"".join(paragraphs), outline=outline))
    return "\n".join(section.text for section in parsed.sections)


def says(*pieces: Piece) -> str:
    return text_of(paragraph(*pieces))


def test_paragraphs_of_all_sections_come_in_the_order_of_their_numbers() -> None:
    sections = [paragraph(f"구역 {number}") for number in range(12)]
    (section,) = parse(document(*sections)).sections
    assert section.text.split("\n") == [f"구역 {number}" for number in range(12)]


def test_a_document_without_compression_is_read() -> None:
    assert parse(document(paragraph("압축하지 않음"), flags=0)).sections == (Section((), "압축하지 않음"),)


def test_a_paragraph_longer_than_a_short_record_is_read_whole() -> None:
    text = "가나다라마 " * 2000 + "끝"
    assert says(text) == text


@pytest.mark.parametrize(
    ("raw", "sign"),
    [
        (b"\x18\0", "-"),
        (b"\x1e\0", " "),
        (b"\x1f\0", " "),
        (b"\x0a\0", "\n"),
        (inline(9), " "),
        (inline(4), ""),
        (inline(8), ""),
        (b"\x19\0", ""),
    ],
)
def test_control_characters_become_the_sign_they_stand_for(raw: bytes, sign: str) -> None:
    assert says("앞", raw, "뒤") == f"앞{sign}뒤"


@pytest.mark.parametrize("code", [1, 2, 3, 11, 12, 14, 15, 16, 17, 18, 21, 22, 23])
def test_an_extended_control_takes_eight_units_whatever_they_look_like(code: int) -> None:
    # The pointer's units look like letters: none of them may get into the text.
    unit = struct.pack("<H", code)
    assert says("앞", unit + "abcdef".encode("utf-16-le") + unit, "뒤") == "앞뒤"


def test_characters_outside_the_basic_plane_are_kept_and_private_glyphs_are_not() -> None:
    assert says("𠀀 각\U000f02b1항목") == "𠀀 각 항목"


def test_a_table_becomes_rows_and_a_merged_cell_stands_in_each_of_its_rows() -> None:
    rows: list[list[str | None]] = [["구분", "이름", "일수"], ["연차", "정규", "15"], [None, "계약", "11"]]
    assert (
        says("표 앞", table(rows, spans={(1, 0): 2}), "표 뒤")
        == "표 앞\n구분 | 이름 | 일수\n연차 | 정규 | 15\n연차 | 계약 | 11\n표 뒤"
    )


def test_a_merged_cell_ends_where_it_says_also_where_nothing_stands_below() -> None:
    rows: list[list[str | None]] = [["구분", "이름"], ["연차", "정규"], [None, "계약"], [None, "시간제"]]
    found = says(table(rows, spans={(1, 0): 2})).split("\n")
    assert [line.strip(" |") for line in found[2:]] == ["연차 | 계약", "시간제"]


def test_the_title_rows_of_a_long_table_are_repeated_in_every_piece() -> None:
    rows = [
        ["번호", "내용"],
        ["하나", "둘"],
        *([str(number), "조금 긴 칸입니다 " * 3] for number in range(40)),
    ]
    parsed = parse(document(paragraph(table(rows, titles=2))))
    assert len(parsed.sections) > 3
    assert all(section.text.startswith("번호 | 내용\n하나 | 둘\n") for section in parsed.sections)


def test_a_caption_stands_before_its_table() -> None:
    assert says(table([["가", "나"]], caption="표 1 휴가 일수")) == "표 1 휴가 일수\n가 | 나"


def test_a_table_of_one_column_is_a_box_around_text() -> None:
    assert says(table([["제목"], [[table([["가", "나"], ["다", "라"]])]]])) == "제목\n가 | 나\n다 | 라"
    # As a table it would be cut into pieces with the first row at the head of each.
    parsed = parse(document(paragraph(table([["제목"], ["가" * 300], ["나" * 300]]))))
    assert parsed.sections == (Section((), f"제목\n{'가' * 300}\n{'나' * 300}"),)


def test_a_table_inside_a_cell_is_read_after_the_row_it_stands_in() -> None:
    inner = table([["안1", "안2"]])
    found = says(table([["이름", "값"], ["품목", ["설명", inner]], ["합계", "3"]]))
    assert found.split("\n") == ["이름 | 값", "품목", "설명", "안1 | 안2", "합계 | 3"]


def test_a_cell_without_an_address_keeps_its_text() -> None:
    broken = Control(
        11,
        "tbl ",
        lambda level: (
            record(77, level, bytes(22)) + record(72, level, bytes(6)) + paragraph("주소 없음", level=level)
        ),
    )
    assert says(broken) == "주소 없음"


def test_boxes_groups_and_notes_are_read_after_their_paragraph() -> None:
    assert (
        says("본", box("상자 1", "상자 2"), "문", group("묶음 1", "묶음 2"), note("각주"))
        == "본문\n상자 1\n상자 2\n묶음 1\n묶음 2\n각주"
    )


@pytest.mark.parametrize(("kind", "code"), [("head", 16), ("foot", 16), ("tcmt", 15), ("secd", 2)])
def test_headers_footers_hidden_comments_and_master_pages_are_not_text(kind: str, code: int) -> None:
    assert says("본문", note("대외비", kind=kind, code=code)) == "본문"


def test_equations_ruby_overlaid_letters_and_caption_numbers_are_read_in_place() -> None:
    def counted(text: str) -> bytes:
        return struct.pack("<H", len(text)) + text.encode("utf-16-le")

    equation = Control(11, "eqed", lambda level: record(EQUATION, level, bytes(4) + counted("a over b")))
    ruby = Control(23, "tdut", lambda level: b"", counted("본말") + counted("덧말"))
    overlaid = Control(23, "tcps", lambda level: b"", counted("갑"))
    number = Control(18, "atno", lambda level: b"", struct.pack("<IH", 4, 7) + bytes(6))
    page = Control(18, "atno", lambda level: b"", struct.pack("<IH", 0, 3) + bytes(6))
    assert says("표 ", number, " 식 ", equation, " ", ruby, overlaid, page) == "표 7 식 a over b 본말갑"


def test_a_control_record_whose_mark_is_missing_is_still_read() -> None:
    text = paragraph("본문")
    stray = box("떨어진 상자").header(1)
    assert text_of(text + stray) == "본문\n떨어진 상자"


def test_outline_paragraphs_become_section_paths() -> None:
    body = [
        paragraph("제1장 총칙", shape=1), paragraph("목적을 정한다."), paragraph("제1절 연차", shape=2), paragraph("15일로 한다."),
        paragraph("제2장 보칙", shape=1), paragraph("따로 정한다."),
    ]  # fmt: skip
    parsed = parse(document(b"".join(body), outline=(0, 1, 2)))
    assert parsed.title == "제1장 총칙"
    assert parsed.sections == (
        Section(("제1장 총칙",), "목적을 정한다."), Section(("제1장 총칙", "제1절 연차"), "15일로 한다."), Section(("제2장 보칙",), "따로 정한다."),
    )  # fmt: skip


def test_outline_levels_used_for_lists_lose_nothing() -> None:
    lines = ["신청", "가. 기한", "나. 방법", "다. 승인"]
    body = [paragraph(line, shape=1 if at == 0 else 2) for at, line in enumerate(lines)]
    parsed = parse(document(b"".join(body), outline=(0, 1, 2)))
    assert parsed.sections == (Section(("신청",), "가. 기한\n나. 방법\n다. 승인"),)


def test_numbers_before_paragraphs_are_counted_over_sections() -> None:
    lists = numbering(("제^1장", 0), ("제^2조", 0), ("^1.^2.^3", 0)) + numbering(("^1.", 8), start=3)
    body = [
        paragraph(section_control(1), "총칙", shape=1), paragraph("목적을 정한다.", shape=2), paragraph("정의를 정한다.", shape=2),
        paragraph("세부를 정한다.", shape=3), paragraph("보칙", shape=1),
    ]  # fmt: skip
    parsed = parse(
        document(b"".join(body), paragraph("시행한다.", shape=2), outline=(0, 1, 2, 3), lists=lists)
    )
    assert parsed.sections == (
        Section(("제1장 총칙",), "제1조 목적을 정한다.\n제2조 정의를 정한다.\n1.2.1 세부를 정한다."),
        Section(("제2장 보칙",), "제1조 시행한다."),
    )
    other = [paragraph(section_control(2), "다른 개요", shape=1), paragraph("글.")]
    assert parse(document(b"".join(other), outline=(0, 1), lists=lists)).sections[0].path == (
        "다. 다른 개요",
    )


def test_a_numbered_list_counts_apart_from_the_outline() -> None:
    lists = numbering(("^1.", 0), ("^n)", 10), ("^N", 0))
    levels = (0, 1, -1, -2, -3)
    body = [
        paragraph(section_control(1), "장", shape=1), paragraph("하나", shape=2), paragraph("속", shape=3), paragraph("더 속", shape=4),
        paragraph("둘", shape=2), paragraph("속", shape=3),
    ]  # fmt: skip
    (section,) = parse(document(b"".join(body), outline=levels, lists=lists)).sections
    assert section.path == ("1. 장",)
    assert section.text.split("\n") == ["1. 하나", "1.ㄱ) 속", "1.ㄱ.1. 더 속", "2. 둘", "2.ㄱ) 속"]


def test_a_list_cut_off_or_unknown_gives_no_number_and_loses_no_text() -> None:
    lists = record(23, 1, b"\xff" * 20)
    assert parse(document(paragraph("글", shape=1), outline=(0, -1), lists=lists)).sections == (
        Section((), "글"),
    )
    assert parse(document(paragraph("글", shape=1), outline=(0, -1))).sections == (Section((), "글"),)


def test_title_and_day_come_from_the_summary_in_korean_time() -> None:
    # Saved at half past midnight in Korea, which is the day before in Universal Time.
    saved = datetime(2024, 2, 28, 15, 30, tzinfo=timezone.utc)
    summary: dict[int, str | datetime] = {
        2: "휴가 규정 개정안",
        4: "홍길동",
        12: datetime(2019, 1, 1, tzinfo=timezone.utc),
        13: saved,
    }
    parsed = parse(document(paragraph("글"), summary=summary))
    assert (parsed.title, parsed.date) == ("휴가 규정 개정안", "2024-02-29")


def test_without_a_summary_title_and_day_come_from_the_name() -> None:
    parsed = parse(document(paragraph("글")), "규정/20230501 휴가.hwp")
    assert (parsed.title, parsed.date) == ("20230501 휴가", "2023-05-01")


def test_a_time_that_was_never_set_is_no_day() -> None:
    zero = datetime(1601, 1, 1, tzinfo=timezone.utc)
    assert parse(document(paragraph("글"), summary={12: zero, 13: zero})).date == ""


def test_a_document_without_text_has_no_sections_and_its_preview_is_not_taken() -> None:
    assert parse(document(paragraph(""))).sections == ()


@pytest.mark.parametrize(
    ("flag", "word"),
    [
        (PASSWORD, "암호"),
        (DISTRIBUTION, "배포용"),
        (DRM, "DRM"),
        (CERTIFICATE, "인증서"),
        (CERTIFICATE_DRM, "인증서"),
    ],
)
def test_a_locked_document_is_reported_and_its_notice_is_not_read(flag: int, word: str) -> None:
    with pytest.raises(ParseProblem) as caught:
        parse(
            document(
                paragraph(NOTICE),
                flags=COMPRESSED | flag,
                extra={"ViewText/Section0": b"locked"} if flag == DISTRIBUTION else {},
            )
        )
    assert word in caught.value.summary.ko
    assert caught.value.hint is not None


def test_a_distribution_document_is_known_by_its_stream_even_without_the_flag() -> None:
    with pytest.raises(ParseProblem, match="distribution"):
        parse(document(paragraph(NOTICE), extra={"ViewText/Section0": b"locked"}))


@pytest.mark.parametrize("version", [0x03000000, 0x06000000])
def test_another_version_is_refused_by_its_number(version: int) -> None:
    with pytest.raises(ParseProblem, match="version"):
        parse(document(paragraph("글"), version=version))


@pytest.mark.parametrize(
    "data",
    [
        document(paragraph("글"), declared=2),
        document(),
        document(paragraph("글"), extra={"BodyText/Section5": b"\3\0"}),
        document(paragraph("글"), extra={"BodyText/Section0": b"\xff\xff no deflate"}),
        document(paragraph("글"), extra={"BodyText/Section0": b""}),
        document(paragraph("글")[:-3]),
        document(paragraph("글") + b"\x42\0"),
        document(record(66, 0, b"x" * 30)[:20]),
        document(paragraph("글"), extra={"DocInfo": b"\xff" * 40}),
        document(paragraph("글"), extra={"FileHeader": b"other"}),
    ],
)
def test_a_document_that_misses_or_cuts_off_a_part_is_damaged_not_shorter(data: bytes) -> None:
    with pytest.raises(ParseProblem):
        parse(data)


def test_sections_that_unpack_without_end_are_refused_while_unpacking(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hwp, "HWP_TEXT_BYTES", 1 << 20)
    bomb = document(paragraph("글"), record(0x200, 0, bytes(64 << 20)))
    assert len(bomb) < 200_000
    tracemalloc.start()
    with pytest.raises(ParseProblem, match="MiB"):
        parse(bomb)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 << 20


def test_more_records_than_a_section_has_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hwp_records, "HWP_RECORDS", 100)
    with pytest.raises(ParseProblem, match="records"):
        parse(document(record(0x200, 0) * 101))


def test_tables_in_tables_without_end_are_refused_without_a_recursion_error() -> None:
    nested: Control = table([["안", "쪽"]])
    for _ in range(60):
        nested = table([["안", nested]])
    with pytest.raises(ParseProblem, match=str(HANGUL_DEPTH)):
        says(nested)


def test_a_table_with_hostile_addresses_costs_no_more_than_its_cells() -> None:
    def records(level: int) -> bytes:
        cells = b"".join(
            record(72, level, struct.pack("<II4H18x", 1, 0, at * 7 % 65536, at * 13 % 65536, 1, 65535))
            + paragraph(f"칸{at}", level=level)
            for at in range(3000)
        )
        return record(77, level, bytes(22)) + cells

    found = says(Control(11, "tbl ", records))
    assert all(f"칸{at}" in found for at in (0, 1500, 2999))
    assert len(found) < 100_000


def test_cells_that_claim_one_place_all_keep_their_text() -> None:
    def records(level: int) -> bytes:
        places = [(0, 0), (1, 0), (1, 0), (0, 1)]
        cells = (
            record(72, level, struct.pack("<II4H18x", 1, 0, column, row, 1, 1))
            + paragraph(f"칸{at}", level=level)
            for at, (column, row) in enumerate(places)
        )
        return record(77, level, bytes(22)) + b"".join(cells)

    assert says(Control(11, "tbl ", records)) == "칸0 | 칸1 | 칸2\n칸3"


def test_marks_and_controls_that_do_not_match_take_no_long_time() -> None:
    marks = b"".join(Control(11, "gso ", lambda level: b"").mark() for _ in range(20_000))
    strays = b"".join(Control(11, "tbl ", lambda level: b"").header(1) for _ in range(20_000))
    begun = time.process_time()
    assert text_of(paragraph("앞", marks, "뒤") + strays) == "앞뒤"
    assert time.process_time() - begun < 5


def test_a_ring_of_sectors_does_not_fill_the_memory() -> None:
    data = bytearray(document(paragraph("글자 " * 30_000), flags=0))
    directory = data.index("Section0".encode("utf-16-le"))
    (start,) = struct.unpack_from("<I", data, directory + 116)
    struct.pack_into("<I", data, directory + 120, 0x7FFFFFFF)
    struct.pack_into("<I", data, 512 + 4 * start, start)
    tracemalloc.start()
    with pytest.raises(ParseProblem):
        parse(bytes(data))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 << 20


def test_short_bytes_are_content_never_the_name_of_a_file(tmp_path: object) -> None:
    for data in (b"", b"/etc/passwd", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", os.fsencode(__file__)):
        with pytest.raises(ParseProblem):
            parse(data)


def test_damaged_bytes_are_a_problem_in_words_or_read_and_nothing_else() -> None:
    whole = document(
        paragraph("제목", shape=1) + paragraph("본문", table([["가", "나"], ["다", "라"]]), box("상자"), note("각주")),
        outline=(0, 1), summary={2: "제목", 13: datetime(2024, 1, 1, tzinfo=timezone.utc)}, flags=0,
    )  # fmt: skip
    refused = 0
    for data in damaged(whole, 600, seed=5):
        try:
            parse(data)
        except ParseProblem as problem:
            assert problem.summary.ko
            refused += 1
    assert 100 < refused < 600
