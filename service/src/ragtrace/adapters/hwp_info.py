"""What DocInfo of HWP 5 says about the sections: how many, and what stands before their paragraphs.

본 제품은 한글과컴퓨터의 한글 문서 파일(.hwp) 공개 문서를 참고하여 개발하였습니다. ("한글 문서 파일 형식 5.0", revision 1.3: table 14 properties,
tables 38-41 numbering, tables 43 and 44 paragraph shapes.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from ragtrace.adapters.hangul_numbers import FORMS, PLAIN, Head, ListLevel
from ragtrace.adapters.hwp_records import DOCUMENT_PROPERTIES, NUMBERING, PARA_SHAPE, Record, text_at

_LEVELS: Final = 7
# Of a level: its attributes, two measures and a character shape; then the text of the number, counted.
_LEVEL_BYTES: Final = 12


@dataclass
class Info:
    """The number of sections, the paragraph heads by paragraph shape, and the levels of the lists by their id."""

    sections: int = 0
    heads: list[Head] = field(default_factory=list)
    lists: dict[str, dict[int, ListLevel]] = field(default_factory=dict)

    def head(self, shape: int) -> Head:
        """Return the head of a paragraph shape."""
        return self.heads[shape] if shape < len(self.heads) else PLAIN


def read_info(records: Sequence[Record]) -> Info:
    """Return what the records of DocInfo say."""
    info = Info()
    waiting = list(records)[::-1]
    while waiting:
        record = waiting.pop()
        waiting += record.children[::-1]
        if record.tag == DOCUMENT_PROPERTIES:
            info.sections = _u16(record.data, 0)
        elif record.tag == PARA_SHAPE:
            info.heads.append(_head(record.data))
        elif record.tag == NUMBERING:
            # Lists are referred to by their place, from 1.
            info.lists[str(len(info.lists) + 1)] = _levels(record.data)
    return info


def _head(data: bytes) -> Head:
    attributes = int.from_bytes(data[:4], "little")
    kind, level = attributes >> 23 & 3, (attributes >> 25 & 7) + 1
    if kind == 1:
        return Head("outline", level)
    return Head("number", level, str(_u16(data, 30))) if kind == 2 else PLAIN


def _levels(data: bytes) -> dict[int, ListLevel]:
    forms: list[tuple[str, str]] = []
    at = 0
    for _ in range(_LEVELS):
        form = int.from_bytes(data[at : at + 4], "little") >> 5 & 0xF
        at += _LEVEL_BYTES
        forms.append((FORMS[form][1] if form < len(FORMS) else "decimal", text_at(data, at)))
        at += 2 + 2 * _u16(data, at)
    first = _u16(data, at) or 1
    found: dict[int, ListLevel] = {}
    for number, (form_name, text) in enumerate(forms):
        place = at + 2 + 4 * number
        # Since 5.0.2.5 every level has a start of its own; before, the first level has the list's.
        start = int.from_bytes(data[place : place + 4], "little") or (first if number == 0 else 1)
        found[number + 1] = ListLevel(start, form_name, text)
    return found


def _u16(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 2], "little")
