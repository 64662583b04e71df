"""Parser for DOCX through python-docx, which opens the package and its styles; the text is read from the XML itself.

python-docx's own `paragraph.text` leaves out tracked insertions, content controls, fields and text boxes.
Element names after ECMA-376 part 1, §17 (WordprocessingML).
"""

from __future__ import annotations

import io
from collections.abc import Iterator

import docx
from docx.opc.constants import RELATIONSHIP_TYPE
from docx.opc.part import Part, XmlPart
from lxml import etree

from ragtrace.adapters.docx_numbering import Numbering, W
from ragtrace.adapters.docx_styles import Styles
from ragtrace.adapters.facts import choose_date, choose_title
from ragtrace.adapters.ooxml import library, open_package
from ragtrace.adapters.outline import Outline
from ragtrace.adapters.xml_guard import parse_xml
from ragtrace.domain.documents import ParsedDocument
from ragtrace.limits import TABLE_MERGED_CHARS

_MC = "{http://schemas.openxmlformats.org/markup-compatibility/2006}"
_M = "{http://schemas.openxmlformats.org/officeDocument/2006/math}"
# Deleted and moved-away text is in the file, but not in the document that its reader sees.
_GONE = frozenset(f"{W}{name}" for name in ("del", "moveFrom", "instrText", "delText", "rt", "pPr", "rPr"))
_SIGNS = {f"{W}tab": "\t", f"{W}br": "\n", f"{W}cr": "\n", f"{W}noBreakHyphen": "-", f"{W}ptab": "\t"}
_BLOCKS = frozenset({f"{W}p", f"{W}tbl"})


class DocxParser:
    """Headings by style or outline level; text as it stands in the accepted document; notes where they are referred to."""

    suffixes = frozenset({".docx", ".docm", ".dotx", ".dotm"})

    def parse(self, data: bytes, path: str) -> ParsedDocument:
        """Return the document. Raises `ParseProblem` when it is encrypted, damaged, no DOCX, or an attack."""
        package = open_package(data, "DOCX")
        with library("DOCX"):
            reader = _Reader(docx.Document(io.BytesIO(package.data)).part)
            reader.read()
            sections = reader.outline.sections()
        title = choose_title(path, package.title, reader.title, reader.outline.first_heading)
        return ParsedDocument(title, sections, choose_date(path, package.date, sections))


class _Reader:
    """Walks through one document."""

    def __init__(self, part: Part) -> None:
        self.outline = Outline()
        self.title = ""
        self._part = part
        numbering = _related(part, RELATIONSHIP_TYPE.NUMBERING)
        self._numbering = Numbering(numbering)
        self._styles = Styles(_related(part, RELATIONSHIP_TYPE.STYLES))
        self._notes = {
            f"{W}footnoteReference": _notes(_related(part, RELATIONSHIP_TYPE.FOOTNOTES)),
            f"{W}endnoteReference": _notes(_related(part, RELATIONSHIP_TYPE.ENDNOTES)),
        }

    def read(self) -> None:
        """Read the body into the outline."""
        for body in _root(self._part).iterchildren(f"{W}body"):
            self._blocks(body)

    def _blocks(self, container: etree._Element) -> None:
        for block in _inside(container, _BLOCKS):
            if block.tag == f"{W}p":
                self._paragraph(block)
            else:
                self._table(block)

    def _paragraph(self, element: etree._Element) -> None:
        style = self._styles.of(element)
        if style.contents:
            return
        text, boxes, notes = self._text(element)
        number, level = style.numbering(element)
        if number and text.strip():
            label = self._numbering.label(number, level or self._numbering.level_of_style(number, style.id))
            text = f"{label} {text}" if label else text
        if style.heading(element) and text.strip():
            self.outline.heading(style.heading(element), text)
        else:
            if style.title and not self.title:
                self.title = text
            self.outline.text(text)
        for note in notes:
            self.outline.text(f"[주] {note}")
        for box in boxes:
            self._blocks(box)

    def _text(self, element: etree._Element) -> tuple[str, list[etree._Element], list[str]]:
        """Return a paragraph's text, the text boxes anchored in it, and the notes it refers to."""
        pieces: list[str] = []
        boxes: list[etree._Element] = []
        notes: list[str] = []
        waiting = list(element)[::-1]
        while waiting:
            child = waiting.pop()
            tag = child.tag
            if tag in _GONE or not isinstance(tag, str) or (tag == f"{W}r" and _hidden(child)):
                continue
            if tag in (f"{W}t", f"{_M}t"):
                pieces.append(child.text or "")
            elif tag in _SIGNS:
                pieces.append(_SIGNS[tag])
            elif tag == f"{W}txbxContent":
                boxes.append(child)
            elif tag in self._notes:
                notes.append(self._notes[tag].get(child.get(f"{W}id") or "", ""))
            else:
                waiting.extend(list(_chosen(child))[::-1])
        return "".join(pieces), boxes, [note for note in notes if note]

    def _table(self, element: etree._Element) -> None:
        rows = [list(_inside(row, frozenset({f"{W}tc"}))) for row in _inside(element, frozenset({f"{W}tr"}))]
        if max(map(len, rows), default=0) <= 1:
            # A frame drawn with a table of one column holds paragraphs, headings and tables as a page does.
            for row in rows:
                for cell in row:
                    self._blocks(cell)
            return
        declared = 0
        for row in _inside(element, frozenset({f"{W}tr"})):
            if row.find(f"{W}trPr/{W}tblHeader") is None:
                break
            declared += 1
        self.outline.table(self._rows(rows), declared if declared < len(rows) else 0)

    def _rows(self, rows: list[list[etree._Element]]) -> Iterator[list[str]]:
        above: dict[int, str] = {}
        for row in rows:
            cells: list[str] = []
            for cell in row:
                at = len(cells)
                merge = cell.find(f"{W}tcPr/{W}vMerge")
                if merge is not None and merge.get(f"{W}val") != "restart":
                    text = above.get(at, "")
                else:
                    text = self._cell(cell)
                    above[at] = text if merge is not None and len(text) <= TABLE_MERGED_CHARS else ""
                cells.append(text)
                cells += [""] * (_span(cell) - 1)
            yield cells

    def _cell(self, element: etree._Element) -> str:
        """Return a cell's text in one line, that of tables and text boxes inside it too."""
        lines: list[str] = []
        for paragraph in element.iter(f"{W}p"):
            # A paragraph of a text box lies inside the paragraph that anchors it, whose text leaves it out.
            if not _dropped(paragraph, element):
                text, _, notes = self._text(paragraph)
                lines += [text, *notes]
        return " ".join(line for line in lines if line.strip())


def _inside(container: etree._Element, wanted: frozenset[str]) -> Iterator[etree._Element]:
    """Yield the wanted children, also from inside content controls, custom XML and tracked insertions."""
    waiting = list(container)[::-1]
    while waiting:
        child = waiting.pop()
        if child.tag in wanted:
            yield child
        elif child.tag not in _GONE and child.tag not in _BLOCKS and isinstance(child.tag, str):
            waiting.extend(list(_chosen(child))[::-1])


def _chosen(element: etree._Element) -> etree._Element:
    """Return the first choice of alternative content, which says the same several times, else the element."""
    if element.tag != f"{_MC}AlternateContent":
        return element
    choice = element.find(f"{_MC}Choice")
    fallback = element.find(f"{_MC}Fallback")
    if choice is not None and (fallback is None or next(choice.iter(f"{W}t", f"{_M}t"), None) is not None):
        return choice
    return element if fallback is None else fallback


def _dropped(element: etree._Element, top: etree._Element) -> bool:
    """Say whether an element lies in the fallback of alternative content, or in deleted text."""
    parent = element.getparent()
    while parent is not None and parent is not top:
        if parent.tag == f"{_MC}Fallback" or parent.tag in _GONE:
            return True
        parent = parent.getparent()
    return False


def _hidden(run: etree._Element) -> bool:
    vanish = run.find(f"{W}rPr/{W}vanish")
    return vanish is not None and vanish.get(f"{W}val") not in ("0", "false", "off")


def _span(cell: etree._Element) -> int:
    span = cell.find(f"{W}tcPr/{W}gridSpan")
    text = "" if span is None else span.get(f"{W}val") or ""
    return int(text) if text.isdecimal() and 0 < int(text) < 100 else 1


def _related(part: Part, kind: str) -> etree._Element | None:
    """Return the root of the part related by `kind`, None when there is none."""
    for relation in part.rels.values():
        if relation.reltype == kind and not relation.is_external:
            return _root(relation.target_part)
    return None


def _root(part: Part) -> etree._Element:
    if isinstance(part, XmlPart):
        element: etree._Element = part.element
        return element
    return parse_xml(part.blob, str(part.partname))


def _notes(root: etree._Element | None) -> dict[str, str]:
    """Return the texts of foot- or endnotes by their id; separators have a type and are none."""
    if root is None:
        return {}
    notes = (note for note in root if isinstance(note.tag, str) and note.get(f"{W}type") is None)
    return {
        note.get(f"{W}id") or "": " ".join("".join(text.text or "" for text in note.iter(f"{W}t")).split())
        for note in notes
    }
