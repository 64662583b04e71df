"""Ports of taking documents in: where they come from, and who reads them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from ragtrace.domain.documents import ParsedDocument
from ragtrace.text import Text


class Clock(Protocol):
    """The time."""

    def now(self) -> datetime:
        """Return the time with its zone."""
        ...


class DocumentParser(Protocol):
    """Reads one family of file formats."""

    @property
    def suffixes(self) -> frozenset[str]:
        """Return the file name endings it reads, lower case, with the dot."""
        ...

    def parse(self, data: bytes, path: str) -> ParsedDocument:
        """Return what the file says. Raises `ParseProblem` when it is not what its name claims."""
        ...


@dataclass(frozen=True)
class FoundFile:
    """A file met in a source: something to read, or why it is not read."""

    path: str
    problem: Text | None = None
    ignored: bool = False


class DocumentSource(Protocol):
    """A tree of files."""

    @property
    def name(self) -> str:
        """Return the name its documents are kept under."""
        ...

    def files(self, suffixes: frozenset[str]) -> Iterator[FoundFile]:
        """Yield every file, sorted by path."""
        ...

    def read(self, path: str) -> bytes:
        """Return a file's bytes. Raises `ParseProblem` or `AccessProblem`."""
        ...
