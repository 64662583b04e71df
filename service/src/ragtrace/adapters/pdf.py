"""Parser for PDF through pypdfium2. PDFium is one library for the whole process and not thread-safe: one file at a time."""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime

import pypdfium2.raw as pdfium
from pypdfium2 import PdfDocument, PdfiumError

from ragtrace.adapters.facts import choose_date, choose_title, day_of
from ragtrace.adapters.outline import Outline
from ragtrace.adapters.pdf_layout import (
    Bookmark,
    Heading,
    body_height,
    bookmarked,
    breaks_words,
    largest,
    paragraphs,
    sized,
    without_contents,
    without_running_heads,
)
from ragtrace.adapters.pdf_lines import Line, has_picture, page_text
from ragtrace.adapters.zip_guard import damaged, encrypted
from ragtrace.domain.documents import ParsedDocument, find_date
from ragtrace.errors import ParseProblem
from ragtrace.limits import DOCUMENT_CHARS, PDF_BOOKMARKS, PDF_PAGES, PDF_UNKNOWN_SHARE, SECTION_DEPTH
from ragtrace.text import Text

_PDFIUM = threading.Lock()
# ISO 32000-1 §7.9.4: D:YYYYMMDDHHmmSS and the offset from Universal Time.
_DATE = re.compile(r"(?:D:)?(\d{4})(\d\d)(\d\d)(?:(\d\d)(\d\d)(\d\d)?)?\s*(Z|[+-]00'?00'?)?")
_HEAD = 1024  # the header may stand this far from the beginning


class PdfParser:
    """Text by pages; headings from bookmarks, else from the size of the letters; running heads left out."""

    suffixes = frozenset({".pdf"})

    def parse(self, data: bytes, path: str) -> ParsedDocument:
        """Return the document. Raises `ParseProblem` when it is encrypted, damaged, scanned, or without known letters."""
        if not data:
            raise ParseProblem(Text("빈 파일입니다(0바이트).", "The file is empty (0 bytes)."))
        if b"%PDF-" not in data[:_HEAD]:
            raise ParseProblem(
                Text("PDF 파일이 아닙니다.", "It is not a PDF file."),
                hint=Text(
                    "이름과 내용이 맞는지, DRM이 걸리지 않았는지 확인하십시오.",
                    "Check that name and content agree, and that no DRM wraps it.",
                ),
            )
        with _PDFIUM:
            return _read(data, path)


def _read(data: bytes, path: str) -> ParsedDocument:
    try:
        document = PdfDocument(data)
    except PdfiumError as error:
        raise _refused(error) from error
    try:
        pages, lacks = _pages(document)
        marks = _bookmarks(document)
        title, day = document.get_metadata_value("Title"), _day(document)
    except PdfiumError as error:
        raise damaged(str(error)) from error
    finally:
        document.close()
    first = next((lines for lines in pages if lines), ())
    shown = [without_contents(lines) for lines in without_running_heads(pages)]
    broken = breaks_words(shown)
    body = body_height(shown)
    headings = _headings(shown, marks, body)
    outline = Outline()
    for number, (lines, found) in enumerate(zip(shown, headings, strict=True), start=1):
        outline.turn_page(number)
        _page(lines, found, broken, outline)
    sections = outline.sections()
    return ParsedDocument(
        choose_title(path, title, largest(first, body)), sections, choose_date(path, day, sections), lacks
    )


def _pages(document: PdfDocument) -> tuple[list[Sequence[Line]], Text | None]:
    """Return every page's lines, and what could not be read. Raises `ParseProblem` when there are too many, or none that
    can be read.
    """
    count = len(document)
    if count > PDF_PAGES:
        raise _too_long(f"{count:,}쪽", f"{count:,} pages")
    pages: list[Sequence[Line]] = []
    unreadable = pictures = chars = 0
    for at in range(count):
        try:
            page = document[at]
        except PdfiumError as error:
            raise damaged(f"page {at + 1}") from error
        try:
            found = page_text(page)
            if not found.lines:
                pictures += has_picture(page)
        finally:
            page.close()
        chars += sum(len(line.text) for line in found.lines)
        if chars > DOCUMENT_CHARS:
            raise _too_long(f"{DOCUMENT_CHARS:,}자", f"{DOCUMENT_CHARS:,} characters")
        # Words in letters that nobody knows would be found by nothing, and answer nothing.
        known = found.unknown <= PDF_UNKNOWN_SHARE
        unreadable += not known
        pages.append(found.lines if known else ())
    if not any(pages) and unreadable:
        raise ParseProblem(
            Text(
                "글꼴에 글자 정보가 없어 글을 알 수 없습니다.",
                "Its fonts do not say which characters they show, so its text is unknown.",
            ),
            hint=Text(
                "글자로 된 PDF로 다시 내보내거나 OCR을 거치십시오.",
                "Export it again with text, or run OCR on it.",
            ),
        )
    if not any(pages) and pictures:
        raise ParseProblem(
            Text("글이 없이 그림뿐인 스캔 PDF입니다.", "It is a scanned PDF: pictures without text."),
            hint=Text("OCR을 거친 PDF를 넣어 주십시오.", "Run OCR on it first."),
        )
    return pages, _lacking(count, pictures, unreadable)


def _lacking(count: int, pictures: int, unreadable: int) -> Text | None:
    """Say of a document that was read which share of its `count` pages was not."""
    said: list[Text] = []
    if pictures:
        said.append(
            Text(
                f"{count}쪽 가운데 {pictures}쪽에 글이 없습니다(스캔?).",
                f"{pictures} of {count} pages have no text (scanned?).",
            )
        )
    if unreadable:
        said.append(
            Text(
                f"{count}쪽 가운데 {unreadable}쪽은 글꼴에 글자 정보가 없어 읽지 못했습니다.",
                f"{unreadable} of {count} pages were not read: their fonts do not say which characters they show.",
            )
        )
    return Text(" ".join(one.ko for one in said), " ".join(one.en for one in said)) if said else None


def _bookmarks(document: PdfDocument) -> list[Bookmark]:
    marks: list[Bookmark] = []
    for mark in document.get_toc(max_depth=SECTION_DEPTH):
        if len(marks) >= PDF_BOOKMARKS:
            break
        target = mark.get_dest()
        page = target.get_index() if target is not None else None
        title = " ".join(mark.get_title().split())
        if page is not None and 0 <= page < len(document) and title:
            kind, place = target.get_view()
            y = float(place[1]) if kind == pdfium.PDFDEST_VIEW_XYZ and len(place) > 1 and place[1] else None
            marks.append(Bookmark(mark.level + 1, title, page, y))
    return marks


def _headings(pages: Sequence[Sequence[Line]], marks: Sequence[Bookmark], body: float) -> list[list[Heading]]:
    if len(marks) < 2:
        return sized(pages, body)
    by_page: dict[int, list[Bookmark]] = {}
    for mark in marks:
        by_page.setdefault(mark.page, []).append(mark)
    return [bookmarked(lines, by_page.get(at, ())) for at, lines in enumerate(pages)]


def _page(lines: Sequence[Line], headings: Sequence[Heading], broken: bool, outline: Outline) -> None:
    begin = 0
    for heading in headings:
        for text in paragraphs(lines[begin : heading.at], broken):
            outline.text(text)
        outline.heading(heading.level, heading.title)
        begin = heading.at + heading.lines
    for text in paragraphs(lines[begin:], broken):
        outline.text(text)


def _day(document: PdfDocument) -> str:
    """Return the day of the last change, else of the creation, as it was where the file was written."""
    for key in ("ModDate", "CreationDate"):
        match = _DATE.match(document.get_metadata_value(key).strip())
        if match is None:
            continue
        day = find_date(f"{match[1]}-{match[2]}-{match[3]}")
        if day and match[7] and match[4]:
            with suppress(ValueError):
                moment = datetime.fromisoformat(f"{day}T{match[4]}:{match[5]}:00+00:00")
                day = day_of([moment]) or day
        if day:
            return day
    return ""


def _refused(error: PdfiumError) -> ParseProblem:
    if error.err_code == pdfium.FPDF_ERR_PASSWORD:
        return encrypted()
    if error.err_code == pdfium.FPDF_ERR_SECURITY:
        return ParseProblem(
            Text(
                "알 수 없는 방식으로 암호화된(DRM) PDF입니다.",
                "The PDF is encrypted in an unknown way (DRM).",
            ),
            state=Text("내용을 읽지 않았습니다.", "Nothing of it was read."),
            hint=Text("보호를 풀어 저장한 파일을 넣어 주십시오.", "Save it without protection."),
        )
    return damaged(str(error))


def _too_long(ko: str, en: str) -> ParseProblem:
    return ParseProblem(
        Text(f"너무 깁니다: {ko}.", f"It is too long: {en}."),
        hint=Text("파일을 나누어 주십시오.", "Split the file."),
    )
