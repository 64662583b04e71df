"""What the paragraph styles of a DOCX mean: headings, the title, tables of contents, numbered lists; ECMA-376 part 1 §17.7."""

from __future__ import annotations

import re
from dataclasses import dataclass

from lxml import etree

from ragtrace.adapters.docx_numbering import W

# A built-in style keeps its English name in the file in every language of Word; other programs write their own.
_HEADING = re.compile(r"(?:heading|제목|개요)\s*([1-9])", re.IGNORECASE)
_TITLE = re.compile(r"title|제목", re.IGNORECASE)
_CONTENTS = re.compile(r"(?:toc|목차)(?:\s*\d|\s*heading)", re.IGNORECASE)
# A chain of styles longer than this refers to itself.
_DEPTH = 16


@dataclass(frozen=True)
class Style:
    """One paragraph style with what it inherits. `level` is the heading level from 1, 0 for body text."""

    id: str = ""
    level: int = 0
    title: bool = False
    contents: bool = False
    number: str = ""
    depth: int = 0

    def heading(self, paragraph: etree._Element) -> int:
        """Return the heading level of a paragraph in this style, its own outline level first; 0 for body text."""
        own = outline_level(paragraph)
        return self.level if own is None else own

    def numbering(self, paragraph: etree._Element) -> tuple[str, int]:
        """Return the list and the level (from 0) of a paragraph, ("", 0) outside lists."""
        number, depth = _list_of(paragraph)
        if number == "0":
            return "", 0
        return (number, depth) if number else (self.number, depth or self.depth)


class Styles:
    """The paragraph styles of a document."""

    def __init__(self, root: etree._Element | None) -> None:
        """Read the part of styles; None stands for a document without."""
        self._elements: dict[str, etree._Element] = {}
        self._known: dict[str, Style] = {}
        self._default = ""
        if root is None:
            return
        for style in root.iter(f"{W}style"):
            if style.get(f"{W}type") == "paragraph":
                self._elements[style.get(f"{W}styleId") or ""] = style
                if style.get(f"{W}default") in ("1", "true", "on"):
                    self._default = style.get(f"{W}styleId") or ""

    def of(self, paragraph: etree._Element) -> Style:
        """Return a paragraph's style."""
        element = paragraph.find(f"{W}pPr/{W}pStyle")
        name = self._default if element is None else element.get(f"{W}val") or ""
        if name not in self._known:
            self._known[name] = self._read(name)
        return self._known[name]

    def _read(self, identity: str) -> Style:
        chain: list[etree._Element] = []
        at = identity
        while at in self._elements and len(chain) < _DEPTH:
            chain.append(self._elements[at])
            based = self._elements[at].find(f"{W}basedOn")
            at = "" if based is None else based.get(f"{W}val") or ""
        names = [_name(style) for style in chain]
        levels = [level for style in chain if (level := outline_level(style)) is not None]
        named = [int(match[1]) for name in names if (match := _HEADING.fullmatch(name))]
        lists = [_list_of(style) for style in chain]
        number, depth = next((one for one in lists if one[0]), ("", 0))
        return Style(
            id=identity,
            level=levels[0] if levels else next(iter(named), 0),
            title=bool(names and _TITLE.fullmatch(names[0])),
            contents=any(_CONTENTS.match(name) for name in names),
            number="" if number == "0" else number,
            depth=depth,
        )


def outline_level(element: etree._Element) -> int | None:
    """Return the heading level that a paragraph or style states: 1 to 9, 0 for body text, None when it states none."""
    level = element.find(f"{W}pPr/{W}outlineLvl")
    text = "" if level is None else level.get(f"{W}val") or ""
    if not re.fullmatch(r"\d", text):
        return None
    return 0 if text == "9" else int(text) + 1


def _list_of(element: etree._Element) -> tuple[str, int]:
    properties = element.find(f"{W}pPr/{W}numPr")
    if properties is None:
        return "", 0
    number, depth = properties.find(f"{W}numId"), properties.find(f"{W}ilvl")
    text = "" if depth is None else depth.get(f"{W}val") or ""
    return "" if number is None else number.get(f"{W}val") or "", int(text) if re.fullmatch(
        r"\d", text
    ) else 0


def _name(style: etree._Element) -> str:
    name = style.find(f"{W}name")
    return "" if name is None else (name.get(f"{W}val") or "").strip()
