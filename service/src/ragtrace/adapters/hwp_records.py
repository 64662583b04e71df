"""The record streams of HWP 5 as trees, and the text of a paragraph with its control characters.

본 제품은 한글과컴퓨터의 한글 문서 파일(.hwp) 공개 문서를 참고하여 개발하였습니다. ("한글 문서 파일 형식 5.0", revision 1.3: §4.1 records,
table 6 control characters, table 57 tags.) The sentence is asked for by that document's terms.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from ragtrace.adapters.zip_guard import damaged
from ragtrace.errors import ParseProblem
from ragtrace.limits import HWP_RECORDS
from ragtrace.text import Text

_BEGIN: Final = 0x10
DOCUMENT_PROPERTIES: Final = _BEGIN
NUMBERING: Final = _BEGIN + 7
PARA_SHAPE: Final = _BEGIN + 9
PARA_HEADER: Final = _BEGIN + 50
PARA_TEXT: Final = _BEGIN + 51
CTRL_HEADER: Final = _BEGIN + 55
LIST_HEADER: Final = _BEGIN + 56
SHAPE_COMPONENT: Final = _BEGIN + 60
TABLE: Final = _BEGIN + 61
EQUATION: Final = _BEGIN + 72

# Table 6: what is one unit, what is eight with a note inside, what is eight and points to a control record.
_CHARACTERS: Final = {0: "", 10: "\n", 13: "", 24: "-", 30: " ", 31: " ", **dict.fromkeys(range(25, 30), "")}
_INLINE: Final = frozenset({4, 5, 6, 7, 8, 9, 19, 20})
_CONTROL_UNITS: Final = 8
_TAB: Final = 9
_LONG: Final = 0xFFF


@dataclass
class Record:
    """A record with the records below it."""

    tag: int
    level: int
    data: bytes
    children: list[Record] = field(default_factory=list)

    @property
    def control(self) -> str:
        """Return the four-letter id of a control header, such as `tbl `, or ""."""
        if self.tag != CTRL_HEADER or len(self.data) < 4:
            return ""
        return control_id(self.data[:4])


@dataclass(frozen=True)
class Control:
    """A place in a paragraph's text where a control record belongs."""

    id: str


def control_id(data: bytes) -> str:
    """Return the id of a control from its four bytes: the letters are stored as one little-endian number."""
    return data[::-1].decode("latin-1")


def read_records(data: bytes, part: str) -> list[Record]:
    """Return the outermost records of a stream, those below them inside.

    Raises `ParseProblem` when the last one is cut off, or when there are more than `HWP_RECORDS`.
    """
    roots: list[Record] = []
    branch: list[Record] = []
    at = 0
    count = 0
    while at < len(data):
        if at + 4 > len(data):
            raise damaged(part)
        head = int.from_bytes(data[at : at + 4], "little")
        at += 4
        size = head >> 20
        if size == _LONG:
            size = int.from_bytes(data[at : at + 4], "little")
            at += 4
        if at + size > len(data):
            raise damaged(part)
        record = Record(head & 0x3FF, (head >> 10) & 0x3FF, data[at : at + size])
        at += size
        count += 1
        if count > HWP_RECORDS:
            raise ParseProblem(
                Text(
                    f"한 구역에 레코드가 {HWP_RECORDS}개를 넘습니다.",
                    f"A section holds more than {HWP_RECORDS} records.",
                ),
                where=part,
            )
        while branch and branch[-1].level >= record.level:
            branch.pop()
        (branch[-1].children if branch else roots).append(record)
        branch.append(record)
    return roots


def paragraph_pieces(data: bytes) -> Iterator[str | Control]:
    """Yield the text of a PARA_TEXT record and, in its place, each control that points to a record of its own."""
    units = array("H", data[: len(data) // 2 * 2])
    if sys.byteorder == "big":
        units.byteswap()
    plain = 0
    at = 0
    while at < len(units):
        unit = units[at]
        if unit >= 32:
            at += 1
            continue
        if plain < at:
            yield _text(units[plain:at])
        if unit in _CHARACTERS:
            at += 1
            if _CHARACTERS[unit]:
                yield _CHARACTERS[unit]
        else:
            if unit == _TAB:
                yield "\t"
            elif unit not in _INLINE:
                yield Control(
                    control_id(b"".join(one.to_bytes(2, "little") for one in units[at + 1 : at + 3]))
                )
            at += _CONTROL_UNITS
        plain = at
    if plain < len(units):
        yield _text(units[plain:])


def _text(units: array[int]) -> str:
    if sys.byteorder == "big":
        units = units[:]
        units.byteswap()
    return units.tobytes().decode("utf-16-le", "replace")


def text_at(data: bytes, at: int) -> str:
    """Return the string whose length in UTF-16 units stands at `at`, "" when it does not fit."""
    length = int.from_bytes(data[at : at + 2], "little")
    piece = data[at + 2 : at + 2 + 2 * length]
    return piece.decode("utf-16-le", "replace") if len(piece) == 2 * length else ""
