"""The port: a source of advisories is asked about packages and answers about every one of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ..findings import Advisory, Pinned, Unknown

# Where OSV answers queries; its records lie beside it, under ``/v1/vulns/``.
OSV_URL = "https://api.osv.dev/v1/query"


@dataclass(frozen=True)
class Answer:
    """What a source said. A package named in neither list was positively answered: nothing is known.

    `settled` is False when something went wrong that another attempt may mend: such an answer is not
    remembered for a day.
    """

    advisories: tuple[Advisory, ...] = ()
    unknown: tuple[Unknown, ...] = ()
    settled: bool = True


class AdvisorySource(Protocol):
    """A tool that knows advisories, usually by asking a service."""

    @property
    def name(self) -> str:
        """Return tool, version and service, as the report says where it comes from."""

    @property
    def key(self) -> str:
        """Return what distinguishes this source's answers from another's: the name and any address."""

    def ask(self, packages: Sequence[Pinned], work: Path) -> Answer:
        """Answer about `packages`, with `work` as scratch; never raise because a service does not answer."""


def nobody(packages: Sequence[Pinned], reason: str, *, settled: bool = False) -> Answer:
    """Return the answer that there is none, about every package."""
    return Answer((), tuple(Unknown(item.name, item.version, reason) for item in packages), settled)


def lots(packages: Sequence[Pinned], size: int) -> Iterator[tuple[Pinned, ...]]:
    """Yield the packages in lots of at most `size`, no name twice in one: tools refuse two versions at once."""
    rounds: list[dict[str, Pinned]] = []
    for item in sorted(set(packages)):
        place = next((lot for lot in rounds if item.name not in lot), None)
        if place is None:
            rounds.append(place := {})
        place[item.name] = item
    for lot in rounds:
        listed = tuple(lot.values())
        yield from (listed[start : start + size] for start in range(0, len(listed), size))
