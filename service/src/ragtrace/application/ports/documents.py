"""Ports of taking documents in: where they come from, and who reads them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from ragtrace.domain.documents import ParsedDocument
from ragtrace.errors import ParseProblem
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
    """A file met in a source: something to read, or why it is not read.

    `size` in bytes and `mtime_ns` (nanoseconds since 1970) are of the moment it was met; 0 where the source has none.
    """

    path: str
    problem: Text | None = None
    ignored: bool = False
    size: int = 0
    mtime_ns: int = 0


@dataclass(frozen=True, eq=False)
class FileContent:
    """A file that was read."""

    path: str
    data: bytes


@dataclass(frozen=True, eq=False)
class ReadFile:
    """What came of a file: the document, or why there is none; and the seconds it took."""

    path: str
    outcome: ParsedDocument | ParseProblem
    seconds: float


class DocumentReader(Protocol):
    """Parses files, perhaps several at a time. A file that breaks its parser in whatever way costs that file only."""

    @property
    def suffixes(self) -> frozenset[str]:
        """Return the file name endings it reads, lower case, with the dot."""
        ...

    def read_all(self, files: Iterator[FileContent]) -> Iterator[ReadFile]:
        """Yield what came of every file, in the order of `files`, which is drawn from as far ahead as is useful.

        Whoever stops early closes the iterator.
        """
        ...


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
