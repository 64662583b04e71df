"""Parser for XLSX through openpyxl, row by row: values as the sheet shows them, never formulas."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta

import openpyxl
from openpyxl.cell.read_only import ReadOnlyCell
from openpyxl.workbook import Workbook
from openpyxl.worksheet._read_only import ReadOnlyWorksheet

from ragtrace.adapters.facts import choose_date, choose_title
from ragtrace.adapters.ooxml import Package, library, open_package, rewrite
from ragtrace.adapters.outline import Outline
from ragtrace.adapters.xlsx_styles import numbers_only
from ragtrace.adapters.zip_guard import GuardedZip
from ragtrace.domain.documents import ParsedDocument
from ragtrace.errors import ParseProblem
from ragtrace.limits import SHEET_ROWS, TABLE_CELLS, TABLE_MERGED_CHARS, ZIP_TOTAL_BYTES
from ragtrace.text import Text

_STYLES = "xl/styles.xml"
_MERGE = re.compile(rb"<(?:\w+:)?mergeCell\b[^>]*?\bref=[\"']([A-Z]{1,3})(\d{1,7}):[A-Z]{1,3}(\d{1,7})[\"']")
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
            book = _open(package)
            numbers = {name: number for number, name in enumerate(book.sheetnames, start=1)}
            for sheet in book.worksheets:
                # What nobody sees when the file is opened cannot be checked by who reads an answer.
                if sheet.sheet_state == "visible":
                    outline.turn_page(numbers[sheet.title], fresh=True)
                    outline.heading(1, sheet.title, states=False)
                    outline.table(_Sheet(sheet, package.parts).rows())
            sections = outline.sections()
        return ParsedDocument(
            choose_title(path, package.title), sections, choose_date(path, package.date, sections)
        )


def _open(package: Package) -> Workbook:
    """Open the workbook; where other programs wrote styles that openpyxl refuses, with the number formats alone."""
    try:
        return openpyxl.load_workbook(
            io.BytesIO(package.data), read_only=True, data_only=True, keep_links=False
        )
    except (ValueError, TypeError, KeyError, IndexError, AttributeError):
        if _STYLES not in package.parts:
            raise
        changed = {_STYLES: numbers_only(package.parts.read(_STYLES))}
        return openpyxl.load_workbook(
            io.BytesIO(rewrite(package.parts, changed)), read_only=True, data_only=True, keep_links=False
        )


class _Sheet:
    """One sheet being read."""

    def __init__(self, sheet: ReadOnlyWorksheet, parts: GuardedZip) -> None:
        # The size a sheet states is often wrong, and may be absurd.
        sheet.reset_dimensions()
        self._sheet = sheet
        self._formats: dict[int, str] = {}
        self._cells = 0
        self._merged = _merged(parts, sheet._worksheet_path)

    def rows(self) -> Iterator[list[str]]:
        """Yield the shown values; a cell merged downwards is repeated beside others."""
        filled: dict[int, tuple[str, int]] = {}
        for number, cells in enumerate(self._sheet.iter_rows(), start=1):
            self._cells += len(cells) + 1
            if number > SHEET_ROWS or self._cells > TABLE_CELLS:
                raise ParseProblem(
                    Text(
                        f"시트가 너무 큽니다: {self._sheet.title}",
                        f"The sheet is too large: {self._sheet.title}",
                    ),
                    hint=Text("표를 나누어 저장해 주십시오.", "Save it in parts."),
                )
            if not cells:
                yield []
                continue
            row = [self._shown(cell) for cell in cells]
            if any(row):
                for at, (text, last) in list(filled.items()):
                    if last < number:
                        del filled[at]
                    elif at < len(row) and not row[at]:
                        row[at] = text
            for at, last in self._merged.get(number, ()):
                if at < len(row) and 0 < len(row[at]) <= TABLE_MERGED_CHARS:
                    filled[at] = (row[at], last)
            yield row

    def _shown(self, cell: ReadOnlyCell) -> str:
        value = cell.value
        if value is None or cell.data_type == "e":
            return ""
        if isinstance(value, str):
            return _ESCAPED.sub(_unescaped, value)
        if isinstance(value, bool):
            return "TRUE" if value else "FALSE"
        if isinstance(value, int | float):
            return _number(value, self._format(cell))
        return _moment(value)

    def _format(self, cell: ReadOnlyCell) -> str:
        style = cell._style_id
        if style not in self._formats:
            self._formats[style] = _QUOTED.sub("", cell.number_format or "")
        return self._formats[style]


def _merged(parts: GuardedZip, name: str) -> dict[int, list[tuple[int, int]]]:
    """Return, for the first row of every area merged over several rows, its column (from 0) and last row.

    openpyxl does not tell when it reads row by row, and the areas stand behind the rows.
    """
    found: dict[int, list[tuple[int, int]]] = {}
    for letters, first, last in _MERGE.findall(parts.read(name, ZIP_TOTAL_BYTES)):
        if int(last) > int(first):
            column = 0
            for letter in letters:
                column = column * 26 + letter - 64
            found.setdefault(int(first), []).append((column - 1, int(last)))
    return found


def _number(value: int | float, form: str) -> str:
    if "%" in form:
        return f"{format(round(value * 100, 6), '.15g')}%"
    if ",#" in form or ",0" in form:
        return format(round(value, 6), ",") if isinstance(value, int) else _grouped(value)
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
        return str(value)
    return str(value)


def _unescaped(match: re.Match[str]) -> str:
    sign = int(match[1], 16)
    return " " if sign < 32 or 0xD800 <= sign <= 0xDFFF else chr(sign)
