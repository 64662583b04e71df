"""Parser for XLSX through openpyxl's readers, row by row: values as the sheet shows them, never formulas.

`load_workbook` is not used: it builds properties, names, charts and styles that no text comes from and that many programs
write wrongly, pads rows to the size that a sheet claims, and reads a sheet twice that claims none.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from typing import Any

from lxml import etree
from openpyxl.reader.excel import ExcelReader
from openpyxl.styles.numbers import BUILTIN_FORMATS, BUILTIN_FORMATS_MAX_SIZE
from openpyxl.styles.stylesheet import apply_stylesheet
from openpyxl.worksheet._reader import DATA_TAG, ROW_TAG, WorkSheetParser

from ragtrace.adapters.facts import choose_date, choose_title
from ragtrace.adapters.ooxml import Package, library, open_package
from ragtrace.adapters.outline import Outline
from ragtrace.adapters.xlsx_styles import NumbersOnly
from ragtrace.adapters.zip_guard import GuardedZip, damaged
from ragtrace.domain.documents import ParsedDocument
from ragtrace.errors import ParseProblem
from ragtrace.limits import SHEET_ROWS, TABLE_CELLS, TABLE_MERGED_CHARS, ZIP_TOTAL_BYTES
from ragtrace.text import Text

_MERGE = re.compile(
    rb"<(?:\w{1,40}:)?mergeCell\b[^>]{0,200}?\bref=[\"']([A-Z]{1,3})(\d{1,7}):[A-Z]{1,3}(\d{1,7})[\"']"
)
# Characters that XML cannot hold are written as _xHHHH_ (ECMA-376 part 1 §22.9.2.19).
_ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")
_QUOTED = re.compile(r'"[^"]*"|\[[^\]]*\]|\\.')


class XlsxParser:
    """One section for each visible sheet under its name, cut where it is long. Pages are sheets, hidden ones counted."""

    suffixes = frozenset({".xlsx", ".xlsm", ".xltx", ".xltm"})

    def parse(self, data: bytes, path: str) -> ParsedDocument:
        """Return the document. Raises `ParseProblem` when it is encrypted, damaged, no XLSX, or an attack."""
        package = open_package(data, "XLSX")
        outline = Outline()
        with library("XLSX"):
            reader = _open(package)
            for number, (sheet, relation) in enumerate(reader.parser.find_sheets(), start=1):
                # What nobody sees when the file is opened cannot be checked by who reads an answer.
                if sheet.state != "visible" or not relation.Type.endswith("/worksheet"):
                    continue
                if relation.target not in package.parts:
                    raise damaged(relation.target)
                outline.turn_page(number, fresh=True)
                outline.heading(1, sheet.name, states=False)
                outline.table(_Sheet(reader, sheet.name, relation.target, package.parts).rows())
            sections = outline.sections()
        return ParsedDocument(
            choose_title(path, package.title), sections, choose_date(path, package.date, sections)
        )


def _open(package: Package) -> ExcelReader:
    """Read what the sheets refer to: strings, their list, the number formats."""
    reader = ExcelReader(io.BytesIO(package.data), read_only=True, data_only=True, keep_links=False)
    reader.read_manifest()
    reader.read_strings()
    reader.read_workbook()
    apply_stylesheet(NumbersOnly(package.parts), reader.wb)
    return reader


class _Rows(WorkSheetParser):  # type: ignore[misc]  # openpyxl has no types
    """openpyxl's reader of cells over lxml, from the first row to the last."""

    def parse(self) -> Iterator[tuple[int, list[dict[str, Any]]]]:
        """Yield the number and the cells of every row that is in the file."""
        events = etree.iterparse(
            self.source,
            tag=(ROW_TAG, DATA_TAG),
            resolve_entities=False,
            no_network=True,
            remove_comments=True,
            remove_pis=True,
        )
        for _, element in events:
            if element.tag == DATA_TAG:
                return
            yield self.parse_row(element)
            element.clear()
            while element.getprevious() is not None:
                del element.getparent()[0]


class _Sheet:
    """One sheet being read."""

    def __init__(self, reader: ExcelReader, title: str, target: str, parts: GuardedZip) -> None:
        self._reader = reader
        self._title = title
        self._target = target
        self._merged = _merged(parts, target)
        self._formats: dict[int, str] = {}

    def rows(self) -> Iterator[list[str]]:
        """Yield the shown values, an empty row for any gap; a cell merged downwards is repeated beside others."""
        filled: dict[int, tuple[str, int]] = {}
        before = cells = 0
        for number, values in self._values():
            if number > before + 1:
                yield []
            before = number
            width = max((at for at, text in values.items() if text), default=0)
            cells += width + 1
            if number > SHEET_ROWS or cells > TABLE_CELLS:
                raise self._too_large()
            for at, (text, last) in list(filled.items()):
                if last < number:
                    del filled[at]
                elif at <= width and not values.get(at):
                    values[at] = text
            for at, last in self._merged.get(number, ()):
                text = values.get(at, "")
                if 0 < len(text) <= TABLE_MERGED_CHARS:
                    filled[at] = (text, last)
            yield [values.get(at, "") for at in range(1, width + 1)]

    def _values(self) -> Iterator[tuple[int, dict[int, str]]]:
        """Yield the number of every row in the file and its values by column, both from 1."""
        book = self._reader.wb
        with self._reader.archive.open(self._target) as source:
            rows = _Rows(
                source,
                self._reader.shared_strings,
                data_only=True,
                epoch=book.epoch,
                date_formats=book._date_formats,
                timedelta_formats=book._timedelta_formats,
            )
            for number, cells in rows.parse():
                yield (
                    number,
                    {
                        cell["column"]: self._shown(cell["value"], cell["data_type"], cell["style_id"])
                        for cell in cells
                        if cell["value"] is not None
                    },
                )

    def _shown(self, value: object, kind: str, style: int) -> str:
        if kind == "e":
            return ""
        if isinstance(value, str):
            return _ESCAPED.sub(_unescaped, value) if "_x" in value else value
        if isinstance(value, bool):
            return "TRUE" if value else "FALSE"
        if isinstance(value, int | float):
            return _number(value, self._format(style))
        return _moment(value)

    def _format(self, style: int) -> str:
        """Return the number format of a cell style without what it quotes."""
        if style not in self._formats:
            book = self._reader.wb
            number = book._cell_styles[style].numFmtId if style < len(book._cell_styles) else 0
            if number < BUILTIN_FORMATS_MAX_SIZE:
                form = BUILTIN_FORMATS.get(number) or ""
            else:
                form = book._number_formats[number - BUILTIN_FORMATS_MAX_SIZE]
            self._formats[style] = _QUOTED.sub("", form)
        return self._formats[style]

    def _too_large(self) -> ParseProblem:
        return ParseProblem(
            Text(f"시트가 너무 큽니다: {self._title}", f"The sheet is too large: {self._title}"),
            hint=Text("표를 나누어 저장해 주십시오.", "Save it in parts."),
        )


def _merged(parts: GuardedZip, name: str) -> dict[int, list[tuple[int, int]]]:
    """Return, for the first row of every area merged over several rows, its column and last row; all from 1.

    The areas stand behind the rows, so they are looked for before.
    """
    found: dict[int, list[tuple[int, int]]] = {}
    for letters, first, last in _MERGE.findall(parts.read(name, ZIP_TOTAL_BYTES)):
        if int(last) > int(first):
            column = 0
            for letter in letters:
                column = column * 26 + letter - 64
            found.setdefault(int(first), []).append((column, int(last)))
    return found


def _number(value: int | float, form: str) -> str:
    if "%" in form:
        return f"{format(round(value * 100, 6), '.15g')}%"
    if ",#" in form or ",0" in form:
        return format(value, ",") if isinstance(value, int) else _grouped(value)
    return str(value) if isinstance(value, int) else format(value, ".15g")


def _grouped(value: float) -> str:
    whole, dot, rest = f"{round(value, 6):,.6f}".partition(".")
    rest = rest.rstrip("0")
    return f"{whole}{dot}{rest}" if rest else whole


def _moment(value: object) -> str:
    if isinstance(value, datetime):
        return value.date().isoformat() if value.time() == time() else value.isoformat(" ", "minutes")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, time):
        return value.isoformat("minutes")
    if isinstance(value, timedelta):
        return _duration(value)
    return str(value)


def _duration(value: timedelta) -> str:
    """Write a duration as [h]:mm shows it."""
    minutes = round(value.total_seconds() / 60)
    return f"{'-' if minutes < 0 else ''}{abs(minutes) // 60}:{abs(minutes) % 60:02d}"


def _unescaped(match: re.Match[str]) -> str:
    sign = int(match[1], 16)
    return " " if sign < 32 or 0xD800 <= sign <= 0xDFFF else chr(sign)
