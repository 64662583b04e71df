"""Parsers, encodings, chunks and sentences, with hostile input."""

from __future__ import annotations

import os
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragtrace.adapters.decode import decode_text
from ragtrace.adapters.html import HtmlParser
from ragtrace.adapters.markdown import MarkdownParser
from ragtrace.adapters.plain_text import PlainTextParser
from ragtrace.domain.chunks import ChunkRules, chunk_document
from ragtrace.domain.documents import ParsedDocument, Section, find_date
from ragtrace.domain.sentences import split_sentences
from ragtrace.errors import ParseProblem

KOREAN = "휴가 신청은 3일 전에 합니다.\n팀장이 승인합니다."


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "cp949", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]
)
def test_korean_text_is_read_in_every_usual_encoding(encoding: str) -> None:
    text = "Leave policy 2026:\n" * 3 + KOREAN
    assert decode_text(text.encode(encoding)) == text


@pytest.mark.parametrize("encoding", ["utf-8", "cp949", "utf-16", "utf-16-le", "utf-16-be"])
def test_korean_without_any_ascii_is_read_too(encoding: str) -> None:
    assert decode_text("가각간갇갈".encode(encoding)) == "가각간갇갈"


@pytest.mark.parametrize(
    "data", [os.urandom(4096), b"\x7fELF\x02\x01\0\0" * 90, b"text\0text", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"]
)
def test_binary_named_txt_is_refused(data: bytes) -> None:
    with pytest.raises(ParseProblem):
        PlainTextParser().parse(data, "a.txt")


def test_html_headings_become_section_paths_and_scripts_vanish() -> None:
    page = """<html><head><title> 휴가  규정 </title><meta name="date" content="2025-03-04"><script>x()</script></head>
    <body><nav>메뉴</nav><h1>휴가</h1><p>연차는 15일.</p><h2>신청</h2><ul><li>3일 전</li></ul><table><tr><td>가</td>
    <td>나</td></tr></table><h1>출장</h1>본문</body></html>"""
    parsed = HtmlParser().parse(page.encode(), "a.html")
    assert (parsed.title, parsed.date) == ("휴가 규정", "2025-03-04")
    assert parsed.sections == (
        Section(("휴가",), "연차는 15일."), Section(("휴가", "신청"), "3일 전\n가 | 나"), Section(("출장",), "본문"),
    )  # fmt: skip


def test_html_in_euc_kr_is_read_as_declared() -> None:
    page = '<meta charset="euc-kr"><title>똠방각하</title><p>한글'.encode("cp949")
    assert HtmlParser().parse(page, "a.htm").title == "똠방각하"


@pytest.mark.parametrize(
    "page",
    [
        "<p>열린 <b>태그", "<<<>>><p/></p></p>글", "<div>" * 20000 + "깊이", "<!DOCTYPE html [<!ENTITY a 'b'>]>&a;글", "&#0;&#xD800;글",
        "<table><tr><td>" * 300, "<h1>제목", "<?xml version='1.0' encoding='utf-16'?><html><p>글</p></html>", "", "   ", "<!-- -->",
    ],
)  # fmt: skip
def test_broken_html_is_read_as_far_as_it_goes(page: str) -> None:
    parsed = HtmlParser().parse(page.encode(), "이름.html")
    assert parsed.title
    parsed_text = "".join(section.text for section in parsed.sections)
    parsed_text.encode()


def test_markdown_headings_fences_and_front_matter_are_understood() -> None:
    text = "---\ntitle: 규정집\ndate: 2024-01-02\n---\n# 휴가 #\n**연차**는 [15일](x.md)이다.\n\n```sh\n# 아님\n```\n신청\n---\n`3일` 전\n"
    parsed = MarkdownParser().parse(text.encode(), "a.md")
    assert (parsed.title, parsed.date) == ("규정집", "2024-01-02")
    assert parsed.sections == (
        Section(("휴가",), "연차는 15일이다.\n# 아님"), Section(("휴가", "신청"), "3일 전"),
    )  # fmt: skip


def test_hostile_markdown_takes_no_long_time() -> None:
    MarkdownParser().parse(
        ("[" * 20000 + "\n" + "*" * 20000 + "\n" + "`" * 20001 + "<a " * 5000).encode(), "a.md"
    )


@pytest.mark.parametrize(
    ("name", "day"),
    [
        ("보고서_20240131.txt", "2024-01-31"),
        ("2024-02-30.md", ""),
        ("2024.05.06 회의.html", "2024-05-06"),
        ("12024010199", ""),
    ],
)
def test_a_date_in_a_name_is_a_real_day_or_none(name: str, day: str) -> None:
    assert find_date(name) == day


def test_numbers_and_list_marks_do_not_end_sentences() -> None:
    text = "버전 3.5를 씁니다. 1. 파일을 엽니다! 끝"
    assert [text[a:b] for a, b in split_sentences(text)] == ["버전 3.5를 씁니다.", "1. 파일을 엽니다!", "끝"]


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet="가나다. \n요!a1", max_size=3000), st.integers(20, 200))
def test_chunks_lose_nothing_and_keep_their_size(text: str, size: int) -> None:
    parsed = ParsedDocument("제목", (Section((), text),))
    chunks = chunk_document("d", parsed, ChunkRules(size, 0, size // 4))
    assert all(0 < len(chunk.text) <= size for chunk in chunks)
    assert all(chunk.text in text for chunk in chunks)
    for start, end in split_sentences(text):
        pieces = [text[at : min(at + size, end)] for at in range(start, end, size)]
        assert all(any(piece in chunk.text for chunk in chunks) for piece in pieces)
    assert len({chunk.id for chunk in chunks}) == len(chunks)


def test_chunk_ids_are_stable_and_depend_on_the_text() -> None:
    rules = ChunkRules()
    first = chunk_document("d", ParsedDocument("t", (Section((), "글"),)), rules)
    assert first == chunk_document("d", ParsedDocument("t", (Section((), "글"),)), rules)
    assert first[0].id != chunk_document("d", ParsedDocument("t", (Section((), "말"),)), rules)[0].id


def test_short_sections_are_joined_under_their_common_heading() -> None:
    parsed = ParsedDocument("t", (Section(("가", "나"), "하나"), Section(("가", "다"), "둘")))
    (chunk,) = chunk_document("d", parsed, ChunkRules())
    assert (chunk.section, chunk.text) == (("가",), "나\n하나\n다\n둘")


def test_random_bytes_never_break_a_parser_in_another_way() -> None:
    generator = random.Random(7)
    for _ in range(200):
        data = generator.randbytes(generator.randrange(1, 400))
        for parser in (HtmlParser(), MarkdownParser(), PlainTextParser()):
            try:
                parser.parse(data, "a.txt")
            except ParseProblem as problem:
                assert problem.summary.ko
