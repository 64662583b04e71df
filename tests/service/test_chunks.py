"""Cutting documents: pages, regulations, long sentences, list items; and that the same file gives the same pieces."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as some

from ragtrace.domain.chunks import Chunk, ChunkRules, chunk_document
from ragtrace.domain.documents import ParsedDocument, Section
from ragtrace.domain.provisions import split_provisions
from ragtrace.domain.sentences import break_long, split_sentences

RULES = ChunkRules(size=200, least=40, overlap=30)


def cut(*sections: Section, rules: ChunkRules = RULES) -> tuple[Chunk, ...]:
    return chunk_document("d", ParsedDocument("제목", sections), rules)


def sentences(text: str) -> list[str]:
    return [text[start:end] for start, end in split_sentences(text)]


def test_a_chunk_has_the_page_it_begins_on_and_text_flows_over_the_end_of_a_page() -> None:
    pages = [Section((), f"{page}쪽의 문장이 하나 있고 이어집니다. " * 3, page) for page in range(1, 9)]
    chunks = cut(*pages)
    for chunk in chunks:
        assert chunk.text.lstrip().startswith(f"{chunk.page}쪽")
    assert any("2쪽" in chunk.text for chunk in chunks if chunk.page == 1)
    assert [chunk.page for chunk in chunks] == [1, 3, 6]


def test_pages_of_other_headings_and_formats_without_pages_stay_apart() -> None:
    long = "이 문장은 절을 합치지 않을 만큼 깁니다. " * 3
    chunks = cut(
        Section(("가",), long, 1), Section(("나",), long, 2), Section(("다",), long), Section(("다",), long)
    )
    assert [(chunk.section, chunk.page) for chunk in chunks] == [
        (("가",), 1),
        (("나",), 2),
        (("다",), 0),
        (("다",), 0),
    ]


def test_short_slides_that_are_joined_keep_the_first_ones_page() -> None:
    (chunk,) = cut(Section(("목표",), "매출 두 배", 4), Section(("일정",), "3월 착수", 5))
    assert (chunk.page, chunk.section) == (4, ())
    assert chunk.text == "목표\n매출 두 배\n일정\n3월 착수"


def test_after_joining_a_later_chunk_still_has_its_own_page() -> None:
    first = Section(("표지",), "짧은 표지", 1)
    chunks = cut(first, Section(("본문",), "여기부터 두 번째 쪽입니다. " * 12, 2))
    assert [(chunk.text[:2], chunk.page) for chunk in chunks] == [("표지", 1), ("여기", 2)]


REGULATION = """취업 규칙
제1장 총칙
제1조(목적) 이 규칙은 직원의 근로 조건을 정함을 목적으로 한다. 모든 직원에게 적용하고 예외는 두지 아니한다.
제2조(정의) ① 직원이란 회사와 근로 계약을 맺은 사람을 말한다.
② 제1조에 따라 적용받는 사람을 포함한다.
제2장 휴가
제15조(연차휴가) ① 1년간 80퍼센트 이상 출근한 직원에게 15일의 유급휴가를 준다.
제15조의2 (경조휴가)
결혼 휴가는 5일로 한다.
부칙 <2024. 3. 1.>
제1조(시행일) 이 규칙은 공포한 날부터 시행한다.
"""


def test_a_regulation_is_cut_along_its_chapters_and_articles() -> None:
    found = {path: REGULATION[start:end].strip() for path, start, end in split_provisions(REGULATION)}
    assert list(found) == [
        (),
        ("제1장 총칙", "제1조(목적)"),
        ("제1장 총칙", "제2조(정의)"),
        ("제2장 휴가", "제15조(연차휴가)"),
        ("제2장 휴가", "제15조의2(경조휴가)"),
        ("부칙", "제1조(시행일)"),
    ]
    assert "② 제1조에 따라" in found["제1장 총칙", "제2조(정의)"]
    assert found["제2장 휴가", "제15조의2(경조휴가)"].endswith("5일로 한다.")


def test_the_articles_heading_is_not_said_twice_when_short_articles_are_joined() -> None:
    chunks = cut(Section((), REGULATION, 3), rules=ChunkRules(600, 150, 80))
    text = "\n".join(chunk.text for chunk in chunks)
    assert text.count("제1조(목적)") == 1 and text.count("제15조(연차휴가)") == 1
    assert {chunk.page for chunk in chunks} == {3}


def test_references_tables_of_contents_and_quotations_are_no_headings() -> None:
    for text in (
        "제3조(목적)에 따라 신청한다.\n제4조(기간)의 기간을 따른다.",
        "제1장 총칙 ········ 3\n제2장 휴가 ........ 7\n제3장 보수 12",
        "제2장의 규정을\n제3장 내지 제4장의 규정에 따라",
        "제15조(연차휴가) 한 번 인용한 문서입니다.\n나머지는 보통 글입니다.",
    ):
        assert list(split_provisions(text)) == [((), 0, len(text))]


def test_the_mark_of_a_list_item_stays_with_the_item() -> None:
    assert sentences("가. 목적과 범위\n나) 적용 대상\n1. 파일을 엽니다. 다음을 누릅니다.") == [
        "가. 목적과 범위",
        "나) 적용 대상",
        "1. 파일을 엽니다.",
        "다음을 누릅니다.",
    ]


def test_a_long_sentence_is_broken_after_a_clause_and_never_inside_a_word() -> None:
    clause = "담당 부서는 신청서를 받은 날부터 사흘 안에 검토하고 "
    text = clause * 20
    pieces = [text[start:end] for start, end in break_long(text, (0, len(text)), 200)]
    assert all(len(piece) <= 200 for piece in pieces)
    assert all(piece.rstrip().endswith("하고") for piece in pieces)
    words = "낱말 " * 200
    for start, end in break_long(words, (0, len(words)), 101):
        assert words[start:end].split() == ["낱말"] * len(words[start:end].split())


def test_a_wall_of_letters_is_cut_all_the_same() -> None:
    text = "가" * 1001
    assert [end - start for start, end in break_long(text, (0, 1001), 200)] == [200] * 5 + [1]


TEXTS = some.text(alphabet="가나다. \n①제조장1()하고며|,A", max_size=900)


@given(some.lists(some.tuples(TEXTS, some.integers(0, 4)), max_size=5), some.integers(60, 300))
def test_no_letter_is_lost_no_chunk_is_too_long_and_the_same_file_gives_the_same_chunks(
    parts: list[tuple[str, int]], size: int
) -> None:
    rules = ChunkRules(size, size // 4, size // 8)
    sections = [Section((), text, page) for text, page in parts]
    chunks = cut(*sections, rules=rules)
    assert chunks == cut(*sections, rules=rules)
    assert all(0 < len(chunk.text) <= size for chunk in chunks)
    assert len({chunk.id for chunk in chunks}) == len(chunks)
    kept = "".join(chunk.text + "".join(chunk.section) for chunk in chunks)
    for letter in set("".join(text for text, _ in parts)) - set(" \n"):
        assert letter in kept
    pages = {page for _, page in parts}
    assert {chunk.page for chunk in chunks} <= pages
