"""The lines of a PDF page with their places, as PDFium finds them. Lengths are in points (1/72 inch)."""

from __future__ import annotations

import unicodedata
from ctypes import byref, c_double
from dataclasses import dataclass

import pypdfium2.raw as pdfium
from pypdfium2 import PdfPage, PdfTextPage

# A gap wider than this many line heights is the space between two cells, not between two words.
_CELL_GAP = 2.0
# Every so many characters one is asked whether its font says which character it is.
_SAMPLE = 5
_HYPHEN = "\ufffe"  # PDFium's mark for a hyphen that only divides a word between two lines


@dataclass(frozen=True)
class Line:
    """A line of text: its cells, and the box around it. A box without place (all 0) belongs to text that is not drawn."""

    cells: tuple[str, ...]
    left: float = 0.0
    right: float = 0.0
    top: float = 0.0
    height: float = 0.0
    spaced: bool = False

    @property
    def text(self) -> str:
        """Return the line with its cells divided by a bar."""
        return " | ".join(self.cells)


@dataclass(frozen=True)
class PageText:
    """A page's lines. `unknown` is the share of characters whose font does not say what they are."""

    lines: tuple[Line, ...]
    unknown: float


def page_text(page: PdfPage) -> PageText:
    """Return the text of a page in the order of its content."""
    text_page = page.get_textpage()
    try:
        text = text_page.get_text_range()
        count = text_page.count_chars()
        lines: list[Line] = []
        asked = unknown = 0
        index = 0
        # Where PDFium left characters out of the text, or one is beyond UCS-2, places cannot be told by counting.
        placed = len(text) == count
        for raw in text.split("\n"):
            if raw.strip():
                lines.append(_line(text_page, raw, index) if placed else Line((_clean(raw),)))
            if placed:
                for at in range(index, index + len(raw.rstrip()), _SAMPLE):
                    asked += 1
                    unknown += _is_unknown(text_page, at, text[at])
            index += len(raw) + 1
        return PageText(tuple(line for line in lines if any(line.cells)), unknown / asked if asked else 0.0)
    finally:
        text_page.close()


def has_picture(page: PdfPage) -> bool:
    """Say whether a page shows a picture, as that of a scanned document does."""
    count = pdfium.FPDFPage_CountObjects(page)
    kinds = (pdfium.FPDFPageObj_GetType(pdfium.FPDFPage_GetObject(page, at)) for at in range(min(count, 200)))
    return any(kind in (pdfium.FPDF_PAGEOBJ_IMAGE, pdfium.FPDF_PAGEOBJ_FORM) for kind in kinds)


def _is_unknown(text_page: PdfTextPage, index: int, sign: str) -> bool:
    if sign.isspace() or sign == _HYPHEN:
        return False
    if sign == "\ufffd" or unicodedata.category(sign) in ("Co", "Cn", "Cc", "Cs"):
        return True
    return bool(pdfium.FPDFText_HasUnicodeMapError(text_page, index) == 1)


def _line(text_page: PdfTextPage, raw: str, index: int) -> Line:
    """Measure a line and cut it where a wide gap divides cells."""
    left, right, bottom, top = c_double(), c_double(), c_double(), c_double()
    places = tuple(byref(one) for one in (left, right, bottom, top))
    boxes: list[tuple[int, float, float, float, float]] = []
    for at, sign in enumerate(raw):
        if not sign.isspace() and pdfium.FPDFText_GetCharBox(text_page, index + at, *places):
            boxes.append((at, left.value, right.value, bottom.value, top.value))
    if not boxes:
        return Line((_clean(raw),))
    # The middle one: a line may begin with a sign of another font.
    height = _height(text_page, index + boxes[len(boxes) // 2][0]) or max(box[4] - box[3] for box in boxes)
    cells: list[str] = []
    begin = 0
    for before, after in zip(boxes, boxes[1:], strict=False):
        if after[1] - before[2] > _CELL_GAP * height > 0:
            cells.append(_clean(raw[begin : before[0] + 1]))
            begin = after[0]
    cells.append(_clean(raw[begin:]))
    return Line(
        tuple(cells),
        left=boxes[0][1],
        right=boxes[-1][2],
        top=max(box[4] for box in boxes),
        height=height,
        spaced=raw.rstrip("\r\n").endswith((" ", "\u00a0")),
    )


def _height(text_page: PdfTextPage, index: int) -> float:
    """Return the height of a character's font where it stands: the size in the file may be scaled by a matrix."""
    box = pdfium.FS_RECTF()
    if not pdfium.FPDFText_GetLooseCharBox(text_page, index, byref(box)):
        return 0.0
    return float(abs(box.top - box.bottom))


def _clean(raw: str) -> str:
    return " ".join(raw.replace(_HYPHEN, "").split())
