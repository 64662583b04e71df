"""The parsers of all formats. A parser's library is imported when the first file of its format is read."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from typing import cast

from ragtrace.application.ports import DocumentParser
from ragtrace.domain.documents import ParsedDocument


@dataclass
class LazyParser:
    """A parser by the name of its module below `ragtrace.adapters` and its class.

    `guarded` formats are read by native code, or unpacked: never in the process that answers questions.
    """

    module: str
    name: str
    suffixes: frozenset[str]
    guarded: bool = True
    _parser: DocumentParser | None = field(default=None, repr=False)

    def parse(self, data: bytes, path: str) -> ParsedDocument:
        """Return what the file says. Raises `ParseProblem` when it is not what its name claims."""
        return self.load().parse(data, path)

    def load(self) -> DocumentParser:
        """Import the parser and return it."""
        if self._parser is None:
            module = importlib.import_module(f"ragtrace.adapters.{self.module}")
            self._parser = cast("DocumentParser", getattr(module, self.name)())
        return self._parser


def every_parser() -> tuple[LazyParser, ...]:
    """Return a parser for every format that the service reads."""

    def lazy(module: str, name: str, *suffixes: str, guarded: bool = True) -> LazyParser:
        return LazyParser(module, name, frozenset(suffixes), guarded)

    return (
        lazy("markdown", "MarkdownParser", ".md", ".markdown", guarded=False),
        lazy("plain_text", "PlainTextParser", ".txt", guarded=False),
        lazy("html", "HtmlParser", ".html", ".htm", guarded=False),
        lazy("csv_table", "CsvParser", ".csv", ".tsv", guarded=False),
        lazy("pdf", "PdfParser", ".pdf"),
        lazy("docx", "DocxParser", ".docx", ".docm", ".dotx", ".dotm"),
        lazy("pptx", "PptxParser", ".pptx", ".pptm", ".ppsx", ".ppsm", ".potx"),
        lazy("xlsx", "XlsxParser", ".xlsx", ".xlsm", ".xltx", ".xltm"),
        lazy("hwp", "HwpParser", ".hwp"),
        lazy("hwpx", "HwpxParser", ".hwpx"),
    )
