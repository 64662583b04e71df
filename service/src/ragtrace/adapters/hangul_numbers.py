"""The numbers that Hangul writes before paragraphs (제1조, 가., ①) and keeps nowhere in the text.

본 제품은 한글과컴퓨터의 한글 문서 파일(.hwp) 공개 문서를 참고하여 개발하였습니다. ("한글 문서 파일 형식 5.0", revision 1.3, tables 38-41;
KS X 6101 §9 `numbering`.)
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from ragtrace.adapters.numerals import written

# `^3` the number of level 3; `^n` the numbers of all levels down to this one, `^N` the same with a stop behind.
_PLACE: Final = re.compile(r"\^(10|[1-9]|[nN])")
# Table 41, and the names of the same forms in HWPX.
FORMS: Final = (
    ("DIGIT", "decimal"), ("CIRCLED_DIGIT", "decimalEnclosedCircle"), ("ROMAN_CAPITAL", "upperRoman"), ("ROMAN_SMALL", "lowerRoman"),
    ("LATIN_CAPITAL", "upperLetter"), ("LATIN_SMALL", "lowerLetter"), ("CIRCLED_LATIN_CAPITAL", "circledUpperLetter"),
    ("CIRCLED_LATIN_SMALL", "circledLowerLetter"), ("HANGUL_SYLLABLE", "ganada"), ("CIRCLED_HANGUL_SYLLABLE", "circledGanada"),
    ("HANGUL_JAMO", "chosung"), ("CIRCLED_HANGUL_JAMO", "circledChosung"), ("HANGUL_PHONETIC", "koreanDigital"),
    ("IDEOGRAPH", "ideographDigital"), ("CIRCLED_IDEOGRAPH", "circledIdeograph"), ("DECAGON_CIRCLE", "stems"),
    ("DECAGON_CIRCLE_HANJA", "hanjaStems"),
)  # fmt: skip


@dataclass(frozen=True)
class Head:
    """What stands before a paragraph: its place in the outline or in a list; levels count from 1."""

    kind: Literal["none", "outline", "number"] = "none"
    level: int = 0
    list: str = ""

    @property
    def outline_level(self) -> int:
        """Return the level of an outline paragraph, 0 for any other."""
        return self.level if self.kind == "outline" else 0


PLAIN: Final = Head()


@dataclass(frozen=True)
class ListLevel:
    """How one level of a list is counted and written."""

    start: int
    form: str
    text: str


class Counting:
    """Counts the paragraphs of one document in reading order."""

    def __init__(self, lists: Mapping[str, Mapping[int, ListLevel]]) -> None:
        """Take the levels of each list by the list's id. `outline` is the list the current section's outline uses."""
        self._lists = lists
        self._counters: dict[tuple[str, str], dict[int, int]] = {}
        self.outline = ""

    def label(self, head: Head) -> str:
        """Count a paragraph and return what stands before it, "" for one that has no number."""
        name = self.outline if head.kind == "outline" else head.list
        levels = self._lists.get(name, {}) if head.kind != "none" else {}
        if head.level not in levels:
            return ""
        counters = self._counters.setdefault((head.kind, name), {})
        for level in [one for one in counters if one > head.level]:
            del counters[level]
        counters[head.level] = counters.get(head.level, levels[head.level].start - 1) + 1

        def put(match: re.Match[str]) -> str:
            if match[1] in "nN":
                path = ".".join(_number(levels, counters, level) for level in range(1, head.level + 1))
                return path + "." * (match[1] == "N")
            return _number(levels, counters, int(match[1]))

        return " ".join(_PLACE.sub(put, levels[head.level].text).split())


def _number(levels: Mapping[int, ListLevel], counters: Mapping[int, int], level: int) -> str:
    """Return the number of a level; one above that has not come yet stands at its start."""
    if level not in levels:
        return str(counters.get(level, 1))
    return written(counters.get(level, levels[level].start), levels[level].form)
