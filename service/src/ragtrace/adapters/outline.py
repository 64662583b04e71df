"""Collects headings and text of a document in reading order into sections."""

from __future__ import annotations

from ragtrace.domain.documents import Section, tidy
from ragtrace.limits import SECTION_DEPTH, TITLE_CHARS


class Outline:
    """Headings open sections; text goes to the open one."""

    def __init__(self) -> None:
        self.first_heading = ""
        self._path: list[tuple[int, str]] = []
        self._lines: list[str] = []
        self._sections: list[Section] = []

    def heading(self, level: int, text: str) -> None:
        """Open a section; it lies inside the nearest heading of a smaller level."""
        name = " ".join(text.split())[:TITLE_CHARS]
        if not name:
            return
        self._close()
        self.first_heading = self.first_heading or name
        self._path = [entry for entry in self._path if entry[0] < level][: SECTION_DEPTH - 1]
        self._path.append((level, name))

    def text(self, line: str) -> None:
        """Add a line to the open section."""
        self._lines.append(line)

    def take_back(self) -> None:
        """Remove the last line added."""
        self._lines.pop()

    def sections(self) -> tuple[Section, ...]:
        """Return all sections that hold text, or, for headings only, the headings as text."""
        self._close()
        return tuple(self._sections)

    def _close(self) -> None:
        text = tidy("\n".join(self._lines))
        self._lines = []
        if text:
            self._sections.append(Section(tuple(name for _, name in self._path), text))
