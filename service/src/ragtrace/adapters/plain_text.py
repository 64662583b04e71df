"""Parser for plain text."""

from __future__ import annotations

from ragtrace.adapters.decode import decode_text
from ragtrace.domain.documents import ParsedDocument, Section, tidy
from ragtrace.limits import TITLE_CHARS


class PlainTextParser:
    """The first short line, or the file name, is the title; the whole text is one section."""

    suffixes = frozenset({".txt"})

    def parse(self, data: bytes, path: str) -> ParsedDocument:
        """Return the text. Raises `ParseProblem` for binary data."""
        text = tidy(decode_text(data))
        name = path.rpartition("/")[2].rpartition(".")[0]
        first = text.partition("\n")[0]
        title = first if 0 < len(first) <= 80 and not first.endswith((".", "다.", "요.")) else name
        return ParsedDocument(title[:TITLE_CHARS], (Section((), text),) if text else ())
