"""Collects headings, text and tables of a document in reading order into sections."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ragtrace.adapters.tables import table_blocks
from ragtrace.domain.documents import Section, tidy
from ragtrace.errors import ParseProblem
from ragtrace.limits import DOCUMENT_CHARS, SECTION_DEPTH, TITLE_CHARS
from ragtrace.text import Text


class Outline:
    """Headings open sections; text goes to the open one. A document over `DOCUMENT_CHARS` is a `ParseProblem`."""

    def __init__(self) -> None:
        self.first_heading = ""
        self._path: list[tuple[int, str]] = []
        self._lines: list[str] = []
        self._sections: list[Section] = []
        self._page = 0
        self._chars = 0
        # Whether the last heading has had neither text nor a heading below it so far.
        self._bare = False

    def heading(self, level: int, text: str, *, states: bool = True) -> None:
        """Open a section; it lies inside the nearest heading of a smaller level.

        Without anything below it the heading is its own text, unless it `states` nothing, as a sheet's name does.
        """
        name = " ".join(text.split())[:TITLE_CHARS]
        if not name:
            return
        self._close()
        if self._bare and level <= self._path[-1][0]:
            self._state_heading()
        self._bare = states
        self.first_heading = self.first_heading or name
        self._path = [entry for entry in self._path if entry[0] < level][: SECTION_DEPTH - 1]
        self._path.append((level, name))

    def text(self, line: str) -> None:
        """Add a line to the open section."""
        self._chars += len(line)
        if self._chars > DOCUMENT_CHARS:
            raise ParseProblem(
                Text(
                    f"글이 {DOCUMENT_CHARS:,}자를 넘습니다.",
                    f"It holds more than {DOCUMENT_CHARS:,} characters.",
                ),
                hint=Text("파일을 나누어 주십시오.", "Split the file."),
            )
        self._lines.append(line)

    def turn_page(self, page: int, *, fresh: bool = False) -> None:
        """Let what follows lie on `page` (from 1); the headings stay open unless the page begins `fresh`."""
        self._close()
        if self._bare and fresh:
            self._state_heading()
        if fresh:
            self._path, self._bare = [], False
        self._page = page

    def table(self, rows: Iterable[Sequence[str]], header_rows: int = 0) -> None:
        """Add a table; one too long for a chunk becomes sections of its own, each beginning with the header.

        `header_rows` is how many leading rows the format itself declares as header, 0 where it does not say.
        """
        blocks = table_blocks(rows, header_rows)
        waiting = next(blocks, None)
        several = False
        for block in blocks:
            self._block(waiting, True)
            waiting, several = block, True
        self._block(waiting, several)

    def _block(self, block: str | None, alone: bool) -> None:
        if block is None:
            return
        if alone:
            self._close()
        self.text(block)
        if alone:
            self._close()

    def take_back(self) -> None:
        """Remove the last line added."""
        self._lines.pop()

    def sections(self) -> tuple[Section, ...]:
        """Return all sections that hold text; a heading with nothing below it is its own text."""
        self._close()
        if self._bare:
            self._state_heading()
        return tuple(self._sections)

    def _close(self) -> None:
        text = tidy("\n".join(self._lines))
        self._lines = []
        if text:
            self._append(text)

    def _state_heading(self) -> None:
        self._append(self._path[-1][1])

    def _append(self, text: str) -> None:
        self._bare = False
        self._sections.append(Section(tuple(name for _, name in self._path), text, self._page))
