"""The sections of HWPX: paragraphs, and what stands in them - tables, boxes, notes, equations (KS X 6101 §10)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from lxml import etree

from ragtrace.adapters.hangul import Block, Cell, Grid, Line, clean, deeper, grid_of, plain
from ragtrace.adapters.hangul_numbers import PLAIN, Counting, Head, ListLevel

# Elements inside a piece of text that stand for a character (§10.9); other ones only mark a place.
_SIGNS: Final = {"lineBreak": "\n", "tab": "\t", "nbSpace": " ", "fwSpace": " ", "hyphen": "-"}
_NOTES: Final = frozenset({"footNote", "endNote"})
# Automatic numbers of captions; those of pages and notes say nothing where they stand.
_NUMBERED: Final = frozenset({"PICTURE", "TABLE", "EQUATION"})
_SHAPES: Final = frozenset(
    {
        "rect",
        "ellipse",
        "arc",
        "polygon",
        "curve",
        "line",
        "connectLine",
        "container",
        "pic",
        "ole",
        "textart",
        "chart",
        "video",
    }
)


def local_name(element: etree._Element) -> str:
    """Return an element's name without its namespace: the standard of each year has namespaces of its own."""
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


class SectionReader:
    """Reads the sections of one document one after another: numbers go on counting from section to section."""

    def __init__(
        self,
        heads: Mapping[str, Head],
        lists: Mapping[str, Mapping[int, ListLevel]],
        chart: Callable[[str], Sequence[Sequence[str]]],
    ) -> None:
        """Take the heads of paragraph properties by id, the lists by id, and what reads a chart by its part's name."""
        self._heads = heads
        self._counting = Counting(lists)
        self._chart = chart
        # Tracked deletions run from one mark to another, also over runs and paragraphs.
        self._deleted = 0

    def read(self, root: etree._Element) -> list[Block]:
        """Return a section's blocks. Raises `ParseProblem` where tables and boxes are nested absurdly."""
        return self.paragraphs(root, 0)

    def paragraphs(self, parent: etree._Element, depth: int) -> list[Block]:
        """Return the blocks of the paragraphs right below `parent`."""
        return [block for one in parent if local_name(one) == "p" for block in self._paragraph(one, depth)]

    def _paragraph(self, paragraph: etree._Element, depth: int) -> Iterator[Block]:
        for one in paragraph.iterfind("{*}run/{*}secPr"):
            self._counting.outline = one.get("outlineShapeIDRef", "")
        head = self._heads.get(paragraph.get("paraPrIDRef", ""), PLAIN)
        level = head.outline_level
        label = self._counting.label(head)
        line = [f"{label} "] if label else []
        after: list[Block] = []
        for run in paragraph:
            for element in _members(run) if local_name(run) == "run" else ():
                if local_name(element) == "tbl":
                    yield from _line(line, level)
                    yield from self._table(element, deeper(depth))
                    line = []
                    continue
                inline, blocks = self._element(element, depth)
                line.append(inline)
                after += blocks
        yield from _line(line, level)
        yield from after

    def _element(self, element: etree._Element, depth: int) -> tuple[str, list[Block]]:
        """Return what an element of a run adds to the line, and the blocks it holds."""
        kind = local_name(element)
        if kind == "t":
            return self._text(element), []
        if kind in _SHAPES:
            return "", self._shape(element, deeper(depth))
        if kind == "ctrl":
            return self._controls(element, depth)
        if kind == "equation":
            return " ".join(one.text or "" for one in element if local_name(one) == "script"), []
        if kind == "compose":
            return element.get("composeText", ""), []
        if kind == "dutmal":
            return " ".join(one.text or "" for one in element if local_name(one) == "mainText"), []
        return "", []

    def _controls(self, element: etree._Element, depth: int) -> tuple[str, list[Block]]:
        """Take notes and numbers; headers, footers, hidden comments and memos are not the document's text."""
        inline = ""
        blocks: list[Block] = []
        for control in element:
            kind = local_name(control)
            if kind in _NOTES:
                note = plain(self._listed(control, deeper(depth)))
                blocks += [Line(note)] if note else []
            elif kind == "autoNum":
                inline += control.get("num", "") if control.get("numType") in _NUMBERED else ""
        return inline, blocks

    def _text(self, element: etree._Element) -> str:
        pieces = [] if self._deleted else [element.text or ""]
        for sign in element:
            kind = local_name(sign)
            if kind == "deleteBegin":
                self._deleted += 1
            elif kind == "deleteEnd":
                self._deleted = max(self._deleted - 1, 0)
            elif not self._deleted:
                pieces.append(_SIGNS.get(kind, ""))
            if not self._deleted:
                pieces.append(sign.tail or "")
        return "".join(pieces)

    def _listed(self, element: etree._Element, depth: int) -> list[Block]:
        """Return the paragraphs of the lists right below an element."""
        return [
            block for one in element if local_name(one) == "subList" for block in self.paragraphs(one, depth)
        ]

    def _shape(self, element: etree._Element, depth: int) -> list[Block]:
        """Return the text inside a shape, its caption, and the shapes grouped in it."""
        blocks: list[Block] = []
        if local_name(element) == "chart":
            rows = self._chart(element.get("chartIDRef", ""))
            blocks += [grid_of(rows)] if rows else []
        for one in _members(element):
            kind = local_name(one)
            if kind in ("drawText", "caption"):
                blocks += self._listed(one, depth)
            elif kind in _SHAPES:
                blocks += self._shape(one, deeper(depth))
        return blocks

    def _table(self, element: etree._Element, depth: int) -> Iterator[Block]:
        cells: list[Cell] = []
        headers: dict[int, bool] = {}
        for at, row in enumerate(one for one in element if local_name(one) == "tr"):
            for column, cell in enumerate(one for one in row if local_name(one) == "tc"):
                parts = {local_name(one): one for one in cell}
                place, span = parts.get("cellAddr"), parts.get("cellSpan")
                number = whole_number(place, "rowAddr", at)
                headers[number] = headers.get(number, True) and cell.get("header") == "1"
                blocks = tuple(self._listed(cell, depth))
                cells.append(
                    Cell(
                        number,
                        whole_number(place, "colAddr", column),
                        max(whole_number(span, "rowSpan", 1), 1),
                        blocks,
                    )
                )
        for one in element:
            if local_name(one) == "caption":
                yield from self._listed(one, depth)
        count = 0
        while headers.get(count):
            count += 1
        repeated = element.get("repeatHeader") == "1" and count < len(headers)
        yield Grid(tuple(cells), count if repeated else 0)


def _members(element: etree._Element) -> Iterator[etree._Element]:
    """Yield the children; of a switch (a newer element beside what older programs show instead) the newer one."""
    for child in element:
        if local_name(child) == "switch":
            branches = {local_name(one): one for one in reversed(child)}
            yield from branches.get("case", branches.get("default", ()))
        else:
            yield child


def whole_number(element: etree._Element | None, name: str, otherwise: int) -> int:
    """Return an attribute as a number of at most nine digits, `otherwise` where it is none."""
    value = element.get(name, "") if element is not None else ""
    return int(value) if value.isdecimal() and len(value) < 10 else otherwise


def _line(pieces: list[str], level: int) -> Iterator[Line]:
    text = clean("".join(pieces)).strip()
    if text:
        yield Line(text, level)
