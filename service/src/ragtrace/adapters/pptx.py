"""Parser for PPTX through python-pptx, which opens the package and orders the slides; the text is read from the XML.

Element names after ECMA-376 part 1, §19 (PresentationML) and §21 (DrawingML).
"""

from __future__ import annotations

import io
from collections.abc import Iterator

import pptx
from lxml import etree
from pptx.opc.constants import RELATIONSHIP_TYPE
from pptx.opc.package import Part

from ragtrace.adapters.chart_text import chart_rows
from ragtrace.adapters.facts import choose_date, choose_title
from ragtrace.adapters.ooxml import library, open_package
from ragtrace.adapters.outline import Outline
from ragtrace.adapters.xml_guard import parse_xml
from ragtrace.domain.documents import ParsedDocument
from ragtrace.limits import TABLE_MERGED_CHARS

_A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_P = "{http://schemas.openxmlformats.org/presentationml/2006/main}"
_C = "{http://schemas.openxmlformats.org/drawingml/2006/chart}"
_D = "{http://schemas.openxmlformats.org/drawingml/2006/diagram}"
_R = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
_MC = "{http://schemas.openxmlformats.org/markup-compatibility/2006}"
_M = "{http://schemas.openxmlformats.org/officeDocument/2006/math}"
# The same on every slide, or the number that `page` already is.
_FURNITURE = frozenset({"dt", "ftr", "hdr", "sldNum", "sldImg"})
_TITLES = frozenset({"title", "ctrTitle"})
_SHAPES = frozenset({f"{_P}sp", f"{_P}graphicFrame"})
_NOTES = "발표자 노트"


class PptxParser:
    """One section for each slide under its title; tables, charts, diagrams and speaker notes included. Pages are slides."""

    suffixes = frozenset({".pptx", ".pptm", ".ppsx", ".ppsm", ".potx"})

    def parse(self, data: bytes, path: str) -> ParsedDocument:
        """Return the document. Raises `ParseProblem` when it is encrypted, damaged, no PPTX, or an attack."""
        package = open_package(data, "PPTX")
        outline = Outline()
        with library("PPTX"):
            presentation = pptx.Presentation(io.BytesIO(package.data))
            for number, slide in enumerate(presentation.slides, start=1):
                _slide(slide.part, number, outline)
            sections = outline.sections()
        title = choose_title(path, package.title, outline.first_heading)
        return ParsedDocument(title, sections, choose_date(path, package.date, sections))


def _slide(part: Part, number: int, outline: Outline) -> None:
    outline.turn_page(number, fresh=True)
    tree = _root(part).find(f"{_P}cSld/{_P}spTree")
    shapes = [] if tree is None else list(_shapes(tree))
    title = next((shape for shape in shapes if _placeholder(shape) in _TITLES), None)
    if title is not None:
        outline.heading(1, " ".join(_paragraphs(title)))
    for shape in shapes:
        if shape is not title and _placeholder(shape) not in _FURNITURE:
            _shape(shape, part, outline)
    notes = _related(part, RELATIONSHIP_TYPE.NOTES_SLIDE)
    if notes is not None:
        _notes(_root(notes), outline)


def _shape(shape: etree._Element, part: Part, outline: Outline) -> None:
    if shape.tag == f"{_P}sp":
        for line in _paragraphs(shape):
            outline.text(line)
        return
    for table in shape.iter(f"{_A}tbl"):
        properties = table.find(f"{_A}tblPr")
        headed = properties is not None and properties.get("firstRow") in ("1", "true")
        outline.table(_rows(table), 1 if headed and len(table.findall(f"{_A}tr")) > 1 else 0)
    for chart in shape.iter(f"{_C}chart"):
        related = part.rels.get(chart.get(f"{_R}id") or "")
        if related is not None and not related.is_external:
            _chart(_root(related.target_part), outline)
    for diagram in shape.iter(f"{_D}relIds"):
        related = part.rels.get(diagram.get(f"{_R}dm") or "")
        if related is not None and not related.is_external:
            for line in _paragraphs(_root(related.target_part)):
                outline.text(line)


def _chart(root: etree._Element, outline: Outline) -> None:
    title = root.find(f"{_C}chart/{_C}title")
    if title is not None:
        outline.text(" ".join(_paragraphs(title)))
    outline.table(chart_rows(root), 1)


def _notes(root: etree._Element, outline: Outline) -> None:
    tree = root.find(f"{_P}cSld/{_P}spTree")
    shapes = (
        [] if tree is None else [shape for shape in _shapes(tree) if _placeholder(shape) not in _FURNITURE]
    )
    lines = [line for shape in shapes for line in _paragraphs(shape) if line.strip()]
    if lines:
        outline.heading(2, _NOTES)
        for line in lines:
            outline.text(line)


def _shapes(tree: etree._Element) -> Iterator[etree._Element]:
    """Yield shapes in the slide's reading order, also those in groups and in alternative content."""
    waiting = list(tree)[::-1]
    while waiting:
        child = waiting.pop()
        if child.tag in _SHAPES:
            if not _hidden(child):
                yield child
        elif child.tag == f"{_MC}AlternateContent":
            choice = child.find(f"{_MC}Choice")
            fallback = child.find(f"{_MC}Fallback")
            waiting.extend(
                list(choice if choice is not None else fallback if fallback is not None else [])[::-1]
            )
        elif child.tag == f"{_P}grpSp" and not _hidden(child):
            waiting.extend(list(child)[::-1])


def _hidden(shape: etree._Element) -> bool:
    properties = shape.find(f"./*/{_P}cNvPr")
    return properties is not None and properties.get("hidden") in ("1", "true")


def _placeholder(shape: etree._Element) -> str:
    """Return the kind of placeholder a shape fills, "" for none."""
    placeholder = shape.find(f"./*/{_P}nvPr/{_P}ph")
    return "" if placeholder is None else placeholder.get("type") or "obj"


def _paragraphs(element: etree._Element) -> Iterator[str]:
    for paragraph in element.iter(f"{_A}p"):
        pieces: list[str] = []
        for child in paragraph.iter(f"{_A}t", f"{_A}br", f"{_M}t"):
            pieces.append("\n" if child.tag == f"{_A}br" else child.text or "")
        yield "".join(pieces)


def _rows(table: etree._Element) -> Iterator[list[str]]:
    """Yield the rows; a cell merged downwards is repeated, one merged to the right is not."""
    above: dict[int, str] = {}
    for row in table.iterchildren(f"{_A}tr"):
        cells: list[str] = []
        for at, cell in enumerate(row.iterchildren(f"{_A}tc")):
            if cell.get("hMerge") in ("1", "true"):
                text = ""
            elif cell.get("vMerge") in ("1", "true"):
                text = above.get(at, "")
            else:
                text = " ".join(" ".join(_paragraphs(cell)).split())
                above[at] = text if len(text) <= TABLE_MERGED_CHARS else ""
            cells.append(text)
        yield cells


def _related(part: Part, kind: str) -> Part | None:
    for relation in part.rels.values():
        if relation.reltype == kind and not relation.is_external:
            return relation.target_part
    return None


def _root(part: Part) -> etree._Element:
    return parse_xml(part.blob, str(part.partname))
