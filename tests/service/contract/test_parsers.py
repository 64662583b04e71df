"""What every parser does, whatever its format."""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Callable

import pytest

from ragtrace.adapters.parsers import every_parser
from ragtrace.application.ports import DocumentParser
from ragtrace.domain.documents import ParsedDocument
from ragtrace.errors import ParseProblem
from ragtrace.limits import TITLE_CHARS
from ragtrace.testing.memory import LineParser
from tests.service.parsers import hwp_writer, hwpx_writer
from tests.service.parsers.packages import saying
from tests.service.parsers.pdf_writer import Pdf

# Korean in decomposed form, as file systems of other makers write it.
WORDS = unicodedata.normalize("NFD", "연차는 열닷새이고 신청은 사흘 전에 한다.")
SAMPLES: dict[str, Callable[[], bytes]] = {
    "twin": lambda: b"title\n" + unicodedata.normalize("NFC", WORDS).encode(),
    ".csv": WORDS.encode,
    ".docx": lambda: saying("DOCX", WORDS),
    ".html": lambda: f"<p>{WORDS}</p>".encode(),
    ".hwp": lambda: hwp_writer.document(hwp_writer.paragraph(WORDS)),
    ".hwpx": lambda: hwpx_writer.archive(hwpx_writer.parts(hwpx_writer.section(hwpx_writer.p(WORDS)))),
    ".md": WORDS.encode,
    ".pdf": lambda: Pdf([WORDS]).write(),
    ".pptx": lambda: saying("PPTX", WORDS),
    ".txt": WORDS.encode,
    ".xlsx": lambda: saying("XLSX", WORDS),
}  # fmt: skip
LINES = "twin"


@pytest.fixture(params=SAMPLES)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def parser(kind: str) -> DocumentParser:
    return LineParser() if kind == LINES else next(one for one in every_parser() if kind in one.suffixes)


def sound(parsed: ParsedDocument) -> None:
    """Assert what every document keeps to, whatever was in its file."""
    assert 0 < len(parsed.title) <= TITLE_CHARS
    assert parsed.date == "" or len(parsed.date) == 10
    for section in parsed.sections:
        assert section.text.strip()
        assert section.page >= 0
        for name in (*section.path, section.text):
            name.encode()
            assert "\0" not in name
    assert [section.page for section in parsed.sections] == sorted(
        section.page for section in parsed.sections
    )


def test_every_format_has_a_sample() -> None:
    for each in every_parser():
        assert any(suffix in SAMPLES for suffix in each.suffixes), each.suffixes


def test_suffixes_are_lower_case_with_a_dot_and_belong_to_one_parser() -> None:
    suffixes = [suffix for each in every_parser() for suffix in each.suffixes]
    assert len(suffixes) == len(set(suffixes))
    assert all(suffix.startswith(".") and suffix == suffix.lower() for suffix in suffixes)


def test_text_comes_out_composed_and_the_same_every_time(kind: str, parser: DocumentParser) -> None:
    data = SAMPLES[kind]()
    parsed = parser.parse(data, f"폴더/이름{kind}")
    sound(parsed)
    assert "".join(section.text for section in parsed.sections) == unicodedata.normalize("NFC", WORDS)
    assert parser.parse(data, f"폴더/이름{kind}") == parsed


def test_the_name_is_the_title_of_last_resort(kind: str, parser: DocumentParser) -> None:
    title = parser.parse(SAMPLES[kind](), f"폴더/휴가 규정{kind}").title
    assert title == ("title" if kind == LINES else "휴가 규정")


@pytest.mark.parametrize(
    "data", [b"", b" \n", b"\0", b"\0" * 4096], ids=["nothing", "space", "zero", "zeros"]
)
def test_nothing_is_no_document_or_a_problem_in_words(kind: str, parser: DocumentParser, data: bytes) -> None:
    try:
        assert parser.parse(data, f"이름{kind}").sections == ()
    except ParseProblem as problem:
        assert problem.summary.ko and problem.summary.en


def test_damaged_files_are_read_or_refused_in_words(kind: str, parser: DocumentParser) -> None:
    generator = random.Random(kind)
    whole = SAMPLES[kind]()
    for _ in range(25):
        data = bytearray(whole[: generator.randrange(len(whole) + 1)])
        for _ in range(generator.randrange(4) if data else 0):
            data[generator.randrange(len(data))] = generator.randrange(256)
        try:
            sound(parser.parse(bytes(data), f"이름{kind}"))
        except ParseProblem as problem:
            assert problem.summary.ko and problem.summary.en
