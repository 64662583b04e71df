"""A writer of small HWP 5 documents, after "한글 문서 파일 형식 5.0"."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from tests.service.parsers.ole_writer import compound_file, property_set

COMPRESSED, PASSWORD, DISTRIBUTION, DRM, CERTIFICATE, CERTIFICATE_DRM = (
    1 << bit for bit in (0, 1, 2, 4, 8, 10)
)
PARA_HEADER, PARA_TEXT, CTRL_HEADER, LIST_HEADER, SHAPE, TABLE, EQUATION = 66, 67, 71, 72, 76, 77, 88


def record(tag: int, level: int, data: bytes = b"") -> bytes:
    """Return a record; from 4,095 bytes on its length follows in a word of its own."""
    size = min(len(data), 0xFFF)
    long = struct.pack("<I", len(data)) if size == 0xFFF else b""
    return struct.pack("<I", tag | level << 10 | size << 20) + long + data


@dataclass(frozen=True)
class Control:
    """An extended control: its character, its id and its records below the given level."""

    code: int
    id: str
    records: Callable[[int], bytes]
    data: bytes = b""

    def mark(self) -> bytes:
        """Return the eight units in the text."""
        unit = struct.pack("<H", self.code)
        return unit + self.id.encode()[::-1] + bytes(8) + unit

    def header(self, level: int) -> bytes:
        """Return the control record and what lies below it."""
        return record(CTRL_HEADER, level, self.id.encode()[::-1] + self.data) + self.records(level + 1)


Piece = str | bytes | Control


def paragraph(*pieces: Piece, level: int = 0, shape: int = 0) -> bytes:
    """Return a paragraph's records; bytes are raw units of its text."""
    text = b"".join(
        one.encode("utf-16-le") if isinstance(one, str) else one if isinstance(one, bytes) else one.mark()
        for one in pieces
    )
    text += b"\r\0"
    head = struct.pack("<IIHBBHHHI", len(text) // 2, 0, shape, 0, 0, 1, 0, 1, 0)
    controls = b"".join(one.header(level + 1) for one in pieces if isinstance(one, Control))
    return record(PARA_HEADER, level, head) + record(PARA_TEXT, level + 1, text) + controls


def inline(code: int) -> bytes:
    """Return an inline control: eight units."""
    unit = struct.pack("<H", code)
    return unit + b"\xaa\xbb" * 6 + unit


def listed(*paragraphs: Sequence[Piece], level: int, head: bytes = b"") -> bytes:
    """Return a list of paragraphs behind its header."""
    header = record(LIST_HEADER, level, struct.pack("<II", len(paragraphs), 0) + head)
    return header + b"".join(paragraph(*pieces, level=level) for pieces in paragraphs)


def table(
    rows: Sequence[Sequence[Piece | Sequence[Piece] | None]],
    *,
    spans: Mapping[tuple[int, int], int] | None = None,
    caption: str = "",
    titles: int = 0,
) -> Control:
    """Return a table; a cell is a text or the pieces of a paragraph, None a place that another cell covers."""

    def records(level: int) -> bytes:
        found = listed([caption], level=level) if caption else b""
        found += record(
            TABLE, level, struct.pack("<IHH", 4 if titles else 0, len(rows), len(rows[0])) + bytes(14)
        )
        for row, cells in enumerate(rows):
            for column, cell in enumerate(cells):
                if cell is None:
                    continue
                covered = (spans or {}).get((row, column), 1)
                pieces: Sequence[Piece] = [cell] if isinstance(cell, (str, bytes, Control)) else cell
                mark = 1 << 18 if row < titles else 0
                address = struct.pack("<HHHH18x", column, row, 1, covered)
                found += record(LIST_HEADER, level, struct.pack("<II", 1, mark) + address)
                found += paragraph(*pieces, level=level)
        return found

    return Control(11, "tbl ", records, bytes(42))


def box(*texts: str) -> Control:
    """Return a text box."""
    return Control(
        11,
        "gso ",
        lambda level: record(SHAPE, level, bytes(8)) + listed(*([one] for one in texts), level=level + 1),
    )


def group(*texts: str) -> Control:
    """Return text boxes grouped into one drawing."""

    def records(level: int) -> bytes:
        inner = (record(SHAPE, level + 1, bytes(8)) + listed([one], level=level + 2) for one in texts)
        return record(SHAPE, level, bytes(8)) + b"".join(inner)

    return Control(11, "gso ", records)


def note(text: str, *, kind: str = "fn  ", code: int = 17) -> Control:
    """Return a foot note, or another control that holds a list of paragraphs."""
    return Control(code, kind, lambda level: listed([text], level=level))


def document(
    *sections: bytes,
    flags: int = COMPRESSED,
    outline: Sequence[int] = (0,),
    lists: bytes = b"",
    summary: Mapping[int, str | datetime] | None = None,
    declared: int | None = None,
    extra: Mapping[str, bytes] | None = None,
    version: int = 0x05000300,
) -> bytes:
    """Return a document.

    `outline` gives the outline level of each paragraph shape, 0 for text, below 0 for a level of the first of `lists`.
    """

    def packed(data: bytes) -> bytes:
        return _deflated(data) if flags & COMPRESSED else data

    shapes = b"".join(record(25, 1, _shape(level)) for level in outline)
    count = len(sections) if declared is None else declared
    info = record(16, 0, struct.pack("<H", count) + bytes(24)) + record(17, 0, bytes(72)) + lists + shapes
    streams = {
        "FileHeader": b"HWP Document File".ljust(32, b"\0") + struct.pack("<II", version, flags) + bytes(216),
        "DocInfo": packed(info),
        **{f"BodyText/Section{number}": packed(data) for number, data in enumerate(sections)},
        "PrvText": "미리보기 글".encode("utf-16-le"),
    }
    if summary:
        streams["\x05HwpSummaryInformation"] = property_set(summary)
    return compound_file(streams | dict(extra or {}))


def numbering(*levels: tuple[str, int], start: int = 1) -> bytes:
    """Return a list of seven levels by their texts and forms; the first one counts from `start`."""
    padded = [*levels, *[("", 0)] * (7 - len(levels))]
    heads = (
        struct.pack("<IHHIH", 0xC | form << 5, 0, 50, 0xFFFFFFFF, len(text)) + text.encode("utf-16-le")
        for text, form in padded
    )
    return record(23, 1, b"".join(heads) + struct.pack("<H7I", start, start, *[1] * 6))


def section_control(outline_list: int) -> Control:
    """Return the control of a section, which names the list that its outline is counted by."""
    return Control(2, "secd", lambda level: b"", bytes(14) + struct.pack("<H", outline_list) + bytes(10))


def _shape(level: int) -> bytes:
    kind = 1 if level > 0 else 2
    attributes = kind << 23 | (abs(level) - 1) << 25 if level else 0
    return struct.pack("<I26xH", attributes, 1 if level < 0 else 0) + bytes(22)


def _deflated(data: bytes) -> bytes:
    engine = zlib.compressobj(wbits=-15)
    return engine.compress(data) + engine.flush()
