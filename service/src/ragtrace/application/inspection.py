"""What is known of the data folder from outside, and the port that tells it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from ragtrace.application.ports import IndexMark, RecordsState


@dataclass(frozen=True)
class RecordsFacts:
    """`damage` is what SQLite says of it; not `complete` when the time was up; `unseen` why nothing could be seen."""

    damage: str
    size: int
    complete: bool
    unseen: str = ""


@dataclass(frozen=True)
class IndexFacts:
    """Damaged files with reasons, entries, and how many bytes were compared of how many."""

    damaged: tuple[str, ...]
    chunks: int
    read: int
    total: int


@dataclass(frozen=True)
class FolderFacts:
    """Whose the folder is; `strangers` belong to others, `closed` may not be used by this user (told if `mine`)."""

    owner: int
    strangers: tuple[str, ...]
    closed: tuple[str, ...]
    read_only: bool
    mine: bool


@dataclass(frozen=True)
class WriterFacts:
    """Who holds the write lock (0: a process that is not shown), and the seconds since anything was written."""

    process: int
    quiet_s: float


@dataclass(frozen=True)
class VectorFacts:
    """One generation of embedded vectors: what it was made for, its mark, and who has it open (0: not shown).

    `quiet_s` are the seconds since it or the records were written to.
    """

    name: str
    fingerprint: str
    mark: IndexMark | None
    owner: int | None
    quiet_s: float


class Inspection(Protocol):
    """Looks at the data folder without changing it and without keeping anybody waiting."""

    def exists(self) -> bool:
        """Say whether there is data at all."""
        ...

    def records(self, seconds: float) -> RecordsFacts:
        """Look through the records for damage, for so long at most."""
        ...

    def state(self) -> RecordsState | None:
        """Return where the records stand, None where they cannot say."""
        ...

    def mark(self) -> IndexMark | None:
        """Return the mark of the index, None where there is none or it cannot be read."""
        ...

    def index(self, seconds: float) -> IndexFacts:
        """Compare the index with its checksums, for so long at most."""
        ...

    def vectors(self) -> tuple[VectorFacts, ...]:
        """Return the generations of the embedded vectors, the oldest first."""
        ...

    def ownership(self) -> FolderFacts:
        """Say whose the folder is and whether it can be written to."""
        ...

    def format(self) -> tuple[int | None, int]:
        """Return the data's format (None: no data; negative: on the way to it) and this release's."""
        ...

    def space(self) -> tuple[int, int]:
        """Return free and all bytes."""
        ...

    def writer(self) -> WriterFacts | None:
        """Return who is writing, None for nobody. Raises `LookupError` where that cannot be told."""
        ...
