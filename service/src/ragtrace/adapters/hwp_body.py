"""The sections of HWP 5: paragraphs, and what stands in them - tables, boxes, notes, equations.

본 제품은 한글과컴퓨터의 한글 문서 파일(.hwp) 공개 문서를 참고하여 개발하였습니다. ("한글 문서 파일 형식 5.0", revision 1.3: table 58 paragraphs,
tables 65 and 74-80 tables, table 127 controls.)
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Final

from ragtrace.adapters.hangul import Block, Cell, Grid, Line, clean, deeper, plain
from ragtrace.adapters.hangul_numbers import Counting
from ragtrace.adapters.hwp_info import Info
from ragtrace.adapters.hwp_records import (
    CTRL_HEADER,
    EQUATION,
    LIST_HEADER,
    PARA_HEADER,
    PARA_TEXT,
    SHAPE_COMPONENT,
    TABLE,
    Record,
    paragraph_pieces,
    text_at,
)

# Headers, footers, hidden comments (tcmt), master pages (inside secd) and memos are not the document's text.
_TABLE_ID: Final = "tbl "
_NOTES: Final = frozenset({"fn  ", "en  "})
_DRAWING: Final = "gso "
# A list header has eight bytes, then a cell's address: column, row, columns covered, rows covered (u16 each).
_CELL: Final = struct.Struct("<8x4H")
_SECTION: Final = "secd"
# Where a section's control names the list that its outline is counted by.
_OUTLINE_LIST: Final = slice(18, 20)
_FIRST_CAPTION: Final = 3
# The published table ends at bit 6; bits 16, 17 and 19 are inner margin, protection and forms, and 18 is the title cell.
_TITLE_CELL: Final = 1 << 18
_REPEATED_HEADER: Final = 1 << 2


class SectionReader:
    """Reads the sections of one document one after another: numbers go on counting from section to section."""

    def __init__(self, info: Info) -> None:
        self._info = info
        self._counting = Counting(info.lists)

    def read(self, records: Sequence[Record]) -> list[Block]:
        """Return a section's blocks. Raises `ParseProblem` where tables and boxes are nested absurdly."""
        return self.paragraphs(records, 0)

    def paragraphs(self, records: Sequence[Record], depth: int) -> list[Block]:
        """Return the blocks of the paragraphs among `records`."""
        return [block for one in records if one.tag == PARA_HEADER for block in self._paragraph(one, depth)]

    def _paragraph(self, record: Record, depth: int) -> Iterator[Block]:
        for child in record.children:
            if child.control == _SECTION:
                self._counting.outline = str(int.from_bytes(child.data[_OUTLINE_LIST], "little"))
        head = self._info.head(int.from_bytes(record.data[8:10], "little"))
        level = head.outline_level
        label = self._counting.label(head)
        line = [f"{label} "] if label else []
        after: list[Block] = []
        for piece in self._pieces(record):
            if isinstance(piece, str):
                line.append(piece)
                continue
            inline, blocks = self._control(piece, depth)
            line.append(inline)
            if piece.control == _TABLE_ID:
                yield from _line(line, level)
                yield from blocks
                line = []
            else:
                after += blocks
        yield from _line(line, level)
        yield from after

    def _pieces(self, record: Record) -> Iterator[str | Record]:
        """Yield the text, and in their places the control records; one whose place is not found comes last."""
        waiting: dict[str, deque[Record]] = {}
        for child in record.children:
            if child.tag == CTRL_HEADER:
                waiting.setdefault(child.control, deque()).append(child)
        for text in record.children:
            for piece in paragraph_pieces(text.data) if text.tag == PARA_TEXT else ():
                if isinstance(piece, str):
                    yield piece
                elif waiting.get(piece.id):
                    yield waiting[piece.id].popleft()
        left = {id(one) for ones in waiting.values() for one in ones}
        yield from (child for child in record.children if id(child) in left)

    def _control(self, record: Record, depth: int) -> tuple[str, list[Block]]:
        """Return what a control adds to the line, and the blocks it holds."""
        kind = record.control
        if kind == _TABLE_ID:
            return "", self._table(record, deeper(depth))
        if kind == _DRAWING:
            return "", self._drawing(record, deeper(depth))
        if kind in _NOTES:
            note = plain(self._listed(record.children, deeper(depth)))
            return "", [Line(note)] if note else []
        if kind == "atno":
            return _number(record.data), []
        if kind in ("tdut", "tcps"):
            return text_at(record.data, 4), []
        if kind == "eqed":
            return " ".join(text_at(one.data, 4) for one in record.children if one.tag == EQUATION), []
        return "", []

    def _listed(self, records: Sequence[Record], depth: int) -> list[Block]:
        """Return the paragraphs of a list; most writers put them beside its header, some below it."""
        blocks: list[Block] = []
        for one in records:
            blocks += self.paragraphs(one.children if one.tag == LIST_HEADER else [one], depth)
        return blocks

    def _drawing(self, record: Record, depth: int) -> list[Block]:
        """Return the text inside a shape and inside the shapes grouped in it."""
        blocks = self._listed(record.children, depth)
        for one in record.children:
            if one.tag == SHAPE_COMPONENT:
                blocks += self._drawing(one, deeper(depth))
        return blocks

    def _table(self, record: Record, depth: int) -> list[Block]:
        at = next((at for at, one in enumerate(record.children) if one.tag == TABLE), len(record.children))
        caption = self._listed(record.children[:at], depth)
        parts: list[list[Record]] = []
        for one in record.children[at + 1 :]:
            if one.tag == LIST_HEADER:
                parts.append([one])
            elif parts:
                parts[-1].append(one)
        cells = tuple(self._cell(part, number, depth) for number, part in enumerate(parts))
        repeated = at < len(record.children) and record.children[at].data[:1] and record.children[at].data[0]
        headers = _header_rows(parts) if repeated and repeated & _REPEATED_HEADER else 0
        return [*caption, Grid(cells, headers)]

    def _cell(self, part: Sequence[Record], number: int, depth: int) -> Cell:
        blocks = tuple(self._listed(part, depth))
        if len(part[0].data) < _CELL.size:
            # A cell without an address still has text: it gets a row of its own.
            return Cell((1 << 16) + number, 0, 1, blocks)
        column, row, _, rows = _CELL.unpack_from(part[0].data)
        return Cell(row, column, max(rows, 1), blocks)


def _number(data: bytes) -> str:
    """Return an automatic number of a caption (tables 142, 143); those of pages and notes say nothing where they stand."""
    kind = int.from_bytes(data[4:8], "little") & 0xF
    return str(int.from_bytes(data[8:10], "little")) if kind >= _FIRST_CAPTION and len(data) >= 10 else ""


def _header_rows(parts: Sequence[Sequence[Record]]) -> int:
    """Return how many leading rows consist of cells that the document marks as titles."""
    marked: dict[int, bool] = {}
    for part in parts:
        data = part[0].data
        if len(data) >= _CELL.size:
            row = _CELL.unpack_from(data)[1]
            title = bool(int.from_bytes(data[4:8], "little") & _TITLE_CELL)
            marked[row] = marked.get(row, True) and title
    count = 0
    while marked.get(count):
        count += 1
    return count if count < len(marked) else 0


def _line(pieces: Sequence[str], level: int) -> Iterator[Line]:
    text = clean("".join(pieces)).strip()
    if text:
        yield Line(text, level)
