"""Advisories: what is known about the packages of a bundle, and the snapshot of it that is carried.

The shapes are shared by the builder, which asks the advisory services, and the isolated side, which can
only read what was carried. Nothing here turns "not answered" into "clean": a package is clean only when
the report names it, no advisory names it, and no unknown names it.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any, Dict, FrozenSet, NamedTuple, Tuple

from . import limits, strictjson
from .errors import IntegrityError
from .manifest import Manifest, parse_time
from .strictjson import Fields
from .text import Text

FORMAT = "ragtrace-advisories"
FORMAT_VERSION = 1
# A carried snapshot older than this says little: about one advisory a month concerns a set of 35 packages.
STALE_DAYS = 90
SUMMARY_CHARACTERS = 400

NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,98}[a-z0-9])?\Z")
VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.!+_-]{0,99}\Z")
IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,99}\Z")
# What is shown to people holds nothing that moves a cursor, turns the writing direction or cannot be encoded.
_UNSEEN = "\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff"
_LINE = re.compile(f"[^{_UNSEEN}]{{0,{SUMMARY_CHARACTERS}}}\\Z")
_URL = re.compile(r"(?:https?://[A-Za-z0-9._~:/?#@!$&()*+,;=%-]{1,400})?\Z")


def clean_line(text: str) -> str:
    """Return one showable line of somebody else's text, cut to the length that a snapshot allows."""
    line = " ".join(re.sub(f"[{_UNSEEN}]+", " ", text).split())
    return line if len(line) <= SUMMARY_CHARACTERS else line[: SUMMARY_CHARACTERS - 1] + "…"


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

    @property
    def public(self) -> str:
        """Return the version without its local label: advisories know ``2.4.0``, not ``2.4.0+cpu``."""
        return self.version.partition("+")[0]


def pinned(name: str, version: str) -> Pinned:
    """Return a package under its normalised name."""
    return Pinned(re.sub(r"[-_.]+", "-", name).lower(), version)


def packages_of(manifest: Manifest) -> FrozenSet[Pinned]:
    """Return what a snapshot has to answer about: every package but the packed project itself, whose flaws are
    known to whoever made it and not to a database of published packages."""
    own = pinned(manifest.project.name, "").name
    listed = frozenset(pinned(item.name, item.version) for item in manifest.packages)
    return frozenset(item for item in listed if item.name != own)


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

    @property
    def carried(self) -> Pinned:
        """Return the package it is about."""
        return Pinned(self.package, self.version)


@dataclass(frozen=True)
class Unknown:
    """A carried package about which no service gave an answer, and why."""

    package: str
    version: str
    reason: str

    @property
    def carried(self) -> Pinned:
        """Return the package it is about."""
        return Pinned(self.package, self.version)


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
        named = {found.carried for found in self.advisories} | {item.carried for item in self.unknown}
        return tuple(item for item in self.packages if item not in named)

    def of(self, package: Pinned) -> Tuple[Advisory, ...]:
        """Return the advisories against one package."""
        return tuple(item for item in self.advisories if item.carried == package)

    def as_document(self) -> Dict[str, Any]:
        """Return the snapshot as plain data, everything sorted."""
        document = asdict(
            AuditReport(
                self.source,
                self.date,
                tuple(sorted(self.advisories, key=lambda item: (item.package, item.version, item.id))),
                tuple(sorted(self.unknown, key=lambda item: (item.package, item.version))),
                tuple(sorted(self.packages)),
            )
        )
        document["packages"] = [{"name": name, "version": version} for name, version in sorted(self.packages)]
        document.update(format=FORMAT, format_version=FORMAT_VERSION)
        return document

    def to_bytes(self) -> bytes:
        """Return the canonical bytes: everything sorted, UTF-8, one final newline."""
        text = json.dumps(self.as_document(), ensure_ascii=False, indent=1, sort_keys=True)
        return (text + "\n").encode("utf-8")


def parse_report(data: bytes, where: str) -> AuditReport:
    """Parse a snapshot strictly; `where` is the file's name for the complaint.

    Raises:
        IntegrityError: too large, malformed, of another format, a field missing or not as promised, a
            package named twice, or a finding about a package that the snapshot does not cover.
    """
    try:
        if len(data) > limits.ADVISORIES_BYTES:
            raise ValueError("larger than the limit")
        return read_report(strictjson.parse(data, "advisories"))
    except (ValueError, TypeError) as error:
        raise IntegrityError(
            Text(
                f"취약점 스냅숏을 받아들일 수 없습니다: {error}", f"the advisory snapshot is refused: {error}"
            ),
            where=where,
            hint=Text(
                "번들을 만든 쪽에서 스냅숏을 다시 만들어 반입하십시오",
                "have the snapshot made again where the bundle was built",
            ),
        ) from error


def read_report(source: Fields) -> AuditReport:
    """Read a snapshot out of a document that was parsed strictly.

    Raises:
        ValueError: as `parse_report` says.
    """
    if source.text("format") != FORMAT or source.number("format_version") != FORMAT_VERSION:
        raise ValueError("not a snapshot of a format that is known here")
    date = source.text("date")
    parse_time(date)
    packages = source.items("packages", _pinned)
    advisories = source.items("advisories", _advisory)
    unknown = source.items("unknown", _unknown)
    covered = set(packages)
    if len(covered) != len(packages):
        raise ValueError("a package is listed twice")
    for carried in [*(item.carried for item in advisories), *(item.carried for item in unknown)]:
        if carried not in covered:
            raise ValueError(f"{carried.name} {carried.version} is not among the packages")
    return AuditReport(source.text("source", _LINE), date, advisories, unknown, packages)


def _pinned(source: Fields) -> Pinned:
    return Pinned(source.text("name", NAME), source.text("version", VERSION))


def _advisory(source: Fields) -> Advisory:
    return Advisory(
        id=source.text("id", IDENTIFIER),
        aliases=source.texts("aliases", IDENTIFIER),
        package=source.text("package", NAME),
        version=source.text("version", VERSION),
        severity=Severity(source.text("severity")),
        summary=source.text("summary", _LINE),
        fixed_in=source.texts("fixed_in", VERSION),
        url=source.text("url", _URL),
    )


def _unknown(source: Fields) -> Unknown:
    return Unknown(
        source.text("package", NAME), source.text("version", VERSION), source.text("reason", _LINE)
    )
