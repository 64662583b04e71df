"""Advisories: what is known about the packages of a bundle, and the snapshot of it that is carried.

The shapes are shared by the builder, which asks the advisory services, and the isolated side, which can
only read what was carried. Nothing here turns "not answered" into "clean": a package is clean only when
the report names it, no advisory names it, and no unknown names it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple, Tuple


class Severity(str, Enum):
    """How bad an advisory is; ``UNKNOWN`` where no source says, which never counts as harmless."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"
    UNKNOWN = "unknown"


class Pinned(NamedTuple):
    """One package at one version, its name normalised (PEP 503)."""

    name: str
    version: str


@dataclass(frozen=True)
class Advisory:
    """One advisory against one carried package.

    `id` is the source's own name (``PYSEC-…``, ``GHSA-…``), `aliases` its other names (``CVE-…``);
    `version` is the carried one, `fixed_in` the versions that are free of it (empty: none known).
    """

    id: str
    aliases: Tuple[str, ...]
    package: str
    version: str
    severity: Severity
    summary: str
    fixed_in: Tuple[str, ...]
    url: str

    @property
    def names(self) -> Tuple[str, ...]:
        """Return the id and every alias."""
        return (self.id, *self.aliases)


@dataclass(frozen=True)
class Unknown:
    """A carried package about which no service gave an answer, and why."""

    package: str
    version: str
    reason: str


@dataclass(frozen=True)
class AuditReport:
    """What `source` answered on `date` (UTC, ``YYYY-MM-DDTHH:MM:SSZ``) about exactly `packages`."""

    source: str
    date: str
    advisories: Tuple[Advisory, ...]
    unknown: Tuple[Unknown, ...]
    packages: Tuple[Pinned, ...]

    @property
    def clean(self) -> Tuple[Pinned, ...]:
        """Return the packages that were positively answered and have no advisory."""
        named = {Pinned(found.package, found.version) for found in self.advisories}
        named |= {Pinned(item.package, item.version) for item in self.unknown}
        return tuple(item for item in self.packages if item not in named)
