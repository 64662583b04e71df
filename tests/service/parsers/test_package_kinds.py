"""Every kind of OOXML package, damaged in every place, and wired into the list of parsers."""

from __future__ import annotations

import random

import pytest

from ragtrace.adapters.docx import DocxParser
from ragtrace.adapters.parsers import every_parser
from ragtrace.adapters.pptx import PptxParser
from ragtrace.adapters.xlsx import XlsxParser
from ragtrace.application.ports import DocumentParser
from ragtrace.domain.documents import ParsedDocument
from ragtrace.errors import ParseProblem
from tests.service.parsers.packages import changed, parts_of, saying
from tests.service.parsers.pdf_writer import Pdf

PARSERS: dict[str, DocumentParser] = {"docx": DocxParser(), "pptx": PptxParser(), "xlsx": XlsxParser()}
WORDS = "연차는 15일이다."


def sample(kind: str) -> bytes:
    """Return a document of this kind that says `WORDS`."""
    return saying(kind.upper(), WORDS)


def text_of(parsed: ParsedDocument) -> str:
    return "".join(section.text for section in parsed.sections)


@pytest.mark.parametrize(
    ("kind", "plain", "variant"),
    [
        ("docx", "wordprocessingml.document.main", "wordprocessingml.template.main"),
        (
            "docx",
            "openxmlformats-officedocument.wordprocessingml.document.main",
            "ms-word.document.macroEnabled.main",
        ),
        (
            "docx",
            "openxmlformats-officedocument.wordprocessingml.document.main",
            "ms-word.template.macroEnabledTemplate.main",
        ),
        ("pptx", "presentationml.presentation.main", "presentationml.slideshow.main"),
        ("pptx", "presentationml.presentation.main", "presentationml.template.main"),
        (
            "pptx",
            "openxmlformats-officedocument.presentationml.presentation.main",
            "ms-powerpoint.slideshow.macroEnabled.main",
        ),
        (
            "pptx",
            "openxmlformats-officedocument.presentationml.presentation.main",
            "ms-powerpoint.presentation.macroEnabled.main",
        ),
        ("xlsx", "spreadsheetml.sheet.main", "spreadsheetml.template.main"),
        (
            "xlsx",
            "openxmlformats-officedocument.spreadsheetml.sheet.main",
            "ms-excel.sheet.macroEnabled.main",
        ),
        (
            "xlsx",
            "openxmlformats-officedocument.spreadsheetml.sheet.main",
            "ms-excel.template.macroEnabled.main",
        ),
    ],
)
def test_templates_shows_and_documents_with_macros_are_read(kind: str, plain: str, variant: str) -> None:
    data = sample(kind)
    content_types = parts_of(data)["[Content_Types].xml"].replace(f"application/vnd.{plain}".encode(), b"\0")
    content_types = content_types.replace(plain.encode(), variant.encode()).replace(
        b"\0", f"application/vnd.{variant}".encode()
    )
    assert variant.encode() in content_types
    parsed = PARSERS[kind].parse(changed(data, {"[Content_Types].xml": content_types}), "a")
    assert text_of(parsed) == WORDS


@pytest.mark.parametrize("kind", PARSERS)
def test_bytes_changed_anywhere_are_read_or_refused_in_words(kind: str) -> None:
    generator = random.Random(kind)
    data = sample(kind)
    for _ in range(40):
        damaged = bytearray(data)
        for _ in range(generator.randrange(1, 4)):
            damaged[generator.randrange(len(damaged))] ^= 1 << generator.randrange(8)
        try:
            PARSERS[kind].parse(bytes(damaged), "a")
        except ParseProblem as problem:
            assert problem.summary.ko


@pytest.mark.parametrize("kind", PARSERS)
def test_xml_changed_anywhere_is_read_or_refused_in_words(kind: str) -> None:
    generator = random.Random(kind)
    data = sample(kind)
    parts = {name: content for name, content in parts_of(data).items() if name.endswith((".xml", ".rels"))}
    for _ in range(50):
        name = generator.choice(sorted(parts))
        content = bytearray(parts[name])
        start = generator.randrange(len(content))
        content[start : start + generator.randrange(12)] = generator.choice(
            [b"", b"-1", b"</a>", b'"', b"x" * 40]
        )
        try:
            PARSERS[kind].parse(changed(data, {name: bytes(content)}), "a")
        except ParseProblem as problem:
            assert problem.summary.ko


@pytest.mark.parametrize("kind", PARSERS)
def test_a_part_that_is_missing_is_no_crash(kind: str) -> None:
    data = sample(kind)
    for name in parts_of(data):
        try:
            PARSERS[kind].parse(changed(data, {name: None}), "a")
        except ParseProblem as problem:
            assert problem.summary.ko


def test_every_ending_of_these_parsers_is_wired() -> None:
    wired = {suffix: parser for parser in every_parser() for suffix in parser.suffixes}
    for kind, parser in PARSERS.items():
        for suffix in parser.suffixes:
            assert text_of(wired[suffix].parse(sample(kind), f"a{suffix}")) == WORDS
    assert text_of(wired[".pdf"].parse(Pdf([WORDS]).write(), "a.pdf")) == WORDS
    for suffix in (".csv", ".tsv"):
        assert text_of(wired[suffix].parse(WORDS.encode(), f"a{suffix}")) == WORDS
