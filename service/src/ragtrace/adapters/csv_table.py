"""Parser for CSV and TSV: rows as lines, the header repeated; the separator is told by what makes even rows."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from typing import Literal

from ragtrace.adapters.decode import decode_text
from ragtrace.adapters.facts import choose_date, choose_title
from ragtrace.adapters.outline import Outline
from ragtrace.domain.documents import ParsedDocument
from ragtrace.errors import ParseProblem
from ragtrace.limits import TABLE_CELLS
from ragtrace.text import Text

_SEPARATORS = (",", "\t", ";", "|")
_SAMPLE_ROWS = 50
_SAMPLE_CHARS = 100_000
# Lines of one quoted cell; above it a quotation mark was never closed.
_CELL_LINES = 100


class CsvParser:
    """The file's name is the title; encodings as for text."""

    suffixes = frozenset({".csv", ".tsv"})

    def parse(self, data: bytes, path: str) -> ParsedDocument:
        """Return the table. Raises `ParseProblem` for binary data or an absurd number of cells."""
        text = decode_text(data)
        outline = Outline()
        outline.table(_rows(text, _separator(text)))
        sections = outline.sections()
        return ParsedDocument(choose_title(path), sections, choose_date(path, "", sections))


def _separator(text: str) -> str:
    """Return the separator that gives the most rows of one width above 1; a comma where none does."""
    best, most = ",", (0, 0)
    for separator in _SEPARATORS:
        widths: Counter[int] = Counter()
        with suppress(csv.Error):
            for row in islice(_reader(text[:_SAMPLE_CHARS], separator), _SAMPLE_ROWS):
                widths[len(row)] += len(row) > 1
        for width, count in widths.most_common(1):
            if count and (count, width) > most:
                best, most = separator, (count, width)
    return best


def _rows(text: str, separator: str) -> Iterator[list[str]]:
    # A quotation mark that nothing closes would swallow the rest of the file in one cell.
    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if _quotes_close(text, separator) else csv.QUOTE_NONE
    cells = 0
    try:
        for row in _reader(text, separator, quoting):
            cells += len(row)
            if cells > TABLE_CELLS:
                raise ParseProblem(
                    Text(f"칸이 {TABLE_CELLS:,}개를 넘습니다.", f"It holds more than {TABLE_CELLS:,} cells."),
                    hint=Text("파일을 나누어 주십시오.", "Split the file."),
                )
            yield [cell.strip('" ') for cell in row] if quoting == csv.QUOTE_NONE else row
    except csv.Error as error:
        raise ParseProblem(
            Text(f"CSV를 읽을 수 없습니다: {error}", f"The CSV cannot be read: {error}"),
            hint=Text("줄바꿈과 구분자를 확인하십시오.", "Check line ends and separators."),
        ) from error


def _quotes_close(text: str, separator: str) -> bool:
    if '"' not in text:
        return True
    last: list[str] = []
    try:
        for row in _reader(text, separator):
            last = row or last
            if any(cell.count("\n") > _CELL_LINES for cell in row):
                return False
    except csv.Error:
        return False
    return not (last and "\n" in last[-1] and text.count('"') % 2)


def _reader(text: str, separator: str, quoting: Literal[0, 3] = csv.QUOTE_MINIMAL) -> Iterator[list[str]]:
    return csv.reader(io.StringIO(text, newline=""), delimiter=separator, quoting=quoting)
