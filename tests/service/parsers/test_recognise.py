"""A file's name against its content: the right parser where that is clear, else a problem that says what it is."""

from __future__ import annotations

import pytest

from ragtrace.adapters.recognise import parser_for
from ragtrace.errors import ParseProblem
from tests.service.parsers.hwp_writer import document, paragraph
from tests.service.parsers.hwpx_writer import archive, p, parts, section
from tests.service.parsers.ole_writer import compound_file
from tests.service.parsers.packages import smallest

CONTENT = {
    ".pdf": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj",
    ".docx": smallest("DOCX"),
    ".pptx": smallest("PPTX"),
    ".xlsx": smallest("XLSX"),
    ".hwpx": archive(parts(section(p("글")))),
    ".hwp": document(paragraph("글")),
}
KOREAN = "휴가 신청은 3일 전에 합니다.\n"


@pytest.mark.parametrize("suffix", CONTENT)
def test_the_right_name_is_left_alone_whatever_its_case(suffix: str) -> None:
    assert parser_for(CONTENT[suffix], f"폴더.x/규정{suffix.upper()}") == suffix


@pytest.mark.parametrize(("suffix", "content"), [(".docm", ".docx"), (".xlsm", ".xlsx"), (".ppsx", ".pptx")])
def test_names_of_the_same_format_keep_their_ending(suffix: str, content: str) -> None:
    assert parser_for(CONTENT[content], f"a{suffix}") == suffix


@pytest.mark.parametrize(
    ("suffix", "content"), [(".hwp", ".hwpx"), (".hwpx", ".hwp"), (".docx", ".xlsx"), (".xlsx", ".pptx")]
)
def test_within_a_family_the_content_decides(suffix: str, content: str) -> None:
    assert parser_for(CONTENT[content], f"a{suffix}") == content


@pytest.mark.parametrize(
    ("suffix", "content"),
    [(".pdf", ".docx"), (".hwp", ".docx"), (".docx", ".hwp"), (".xlsx", ".pdf"), (".hwpx", ".pdf")],
)
def test_content_of_another_family_is_named(suffix: str, content: str) -> None:
    with pytest.raises(ParseProblem) as caught:
        parser_for(CONTENT[content], f"a{suffix}")
    assert suffix in caught.value.summary.ko
    assert content[1:].upper() in caught.value.summary.ko


HWPML = '<?xml version="1.0" encoding="UTF-8" standalone="no" ?>\n<HWPML Style="embed" Version="2.8"><HEAD/></HWPML>'


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (archive({"a.txt": "글"}), "ZIP"),
        (archive({"mimetype": "application/vnd.oasis.opendocument.text", "content.xml": "<a/>"}), "ODF"),
        (b"\n <!DOCTYPE html><html>login</html>", "HTML"),
        (b"\xef\xbb\xbf<html><body>", "HTML"),
        (b"\x89PNG\r\n\x1a\n" + bytes(50), "그림"),
        (b"{\\rtf1\\ansi", "RTF"),
        (b"7z\xbc\xaf\x27\x1c" + bytes(50), "압축"),
        (b"HWP Document File V3.00 \x1a\1\2", "한글 3.0"),
        (HWPML.encode(), "HWPML"),
        (HWPML.encode("utf-16"), "HWPML"),
        (HWPML.partition("?>")[2].encode("utf-8-sig"), "HWPML"),
        (compound_file({"WordDocument": b"x" * 5000, "1Table": b"y"}), "Word"),
        (compound_file({"Workbook": b"x"}), "Excel"),
        (compound_file({"PowerPoint Document": b"x"}), "PowerPoint"),
        (compound_file({"EncryptedPackage": b"x", "EncryptionInfo": b"y"}), "암호"),
        (compound_file({"Other": b"x"}), "OLE"),
        (b"\x9b DRMONE This Document is encrypted and protected by Fasoo DRM" + bytes(80), "DRM"),
        (b"SCDSA002" + bytes(90), "DRM"),
        (b"", "빈 파일"),
        (b"\0" * 4096, "빈 파일"),
        (KOREAN.encode(), "형식이 아니거나"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(20), "손상"),
        (CONTENT[".docx"][:2000], "손상"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("suffix", CONTENT)
def test_what_is_none_of_our_formats_is_named(suffix: str, data: bytes, words: str) -> None:
    with pytest.raises(ParseProblem) as caught:
        parser_for(data, f"a{suffix}")
    assert words in caught.value.summary.ko


@pytest.mark.parametrize("suffix", [".txt", ".md", ".html", ".csv"])
@pytest.mark.parametrize(
    "data", [*CONTENT.values(), b"\x89PNG\r\n\x1a\n" + bytes(50), b"SCDSA002" + bytes(90), b"{\\rtf1 x}"]
)
def test_text_names_over_other_content_are_named(suffix: str, data: bytes) -> None:
    with pytest.raises(ParseProblem):
        parser_for(data, f"a{suffix}")


@pytest.mark.parametrize(
    "text",
    [
        KOREAN,
        "",
        "MZ세대 보고서",
        "PK 방어율",
        "EGGA 값",
        "DRMONE 사용 안내: Fasoo",
        "본문에 %PDF-1.7 이라고 쓴다",
        "BM 전략",
        "ID3 태그",
        "<html>",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp949", "utf-16"])
def test_texts_that_begin_like_something_else_stay_texts(text: str, encoding: str) -> None:
    assert parser_for(text.encode(encoding), "a.txt") == ".txt"


def test_other_endings_are_not_judged() -> None:
    assert parser_for(b"anything", "폴더/이름.xyz") == ".xyz"
