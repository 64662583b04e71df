"""The advisory snapshot as a file: what is carried to the isolated side, and what a user gives back.

The format, and its strict reader for the isolated side, are in `bundle.advisories`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bundle import layout, limits
from bundle.advisories import parse_report
from bundle.errors import UsageProblem
from bundle.hashing import sha256_bytes
from bundle.manifest import Advisories
from bundle.text import Text

from .findings import AuditReport, Pinned, Unknown

PATH = f"{layout.DOCUMENTATION}/advisories.json"


def to_bytes(report: AuditReport) -> bytes:
    """Return the bytes of the snapshot; the same report always gives the same bytes."""
    return report.to_bytes()


def manifest_entry(report: AuditReport) -> Advisories:
    """Return what the manifest says about the snapshot that it carries."""
    return Advisories(PATH, report.date, sha256_bytes(to_bytes(report)))


def load(path: Path) -> AuditReport:
    """Read a snapshot that the user gave.

    Raises:
        UsageProblem: there is no such file.
        IntegrityError: it is no snapshot, or not a sound one.
    """
    try:
        with open(path, "rb") as stream:
            data = stream.read(limits.ADVISORIES_BYTES + 1)
    except OSError as error:
        raise UsageProblem(
            Text("취약점 스냅숏을 읽을 수 없습니다", "the advisory snapshot cannot be read"),
            where=f"{path}: {error.strerror or error}",
            hint=Text(
                "--advisories 로 이전 빌드의 05_Documentation/advisories.json 을 지정하십시오",
                "give the 05_Documentation/advisories.json of an earlier build with --advisories",
            ),
        ) from error
    return parse_report(data, str(path))


def narrowed(report: AuditReport, packages: Sequence[Pinned]) -> AuditReport:
    """Return the report for exactly `packages`: what it does not cover becomes unknown, the rest is left out."""
    wanted = set(packages)
    covered = set(report.packages)
    missing = tuple(
        Unknown(item.name, item.version, f"the answers of {report.date[:10]} do not cover it")
        for item in sorted(wanted - covered)
    )
    return AuditReport(
        report.source,
        report.date,
        tuple(item for item in report.advisories if item.carried in wanted),
        (*(item for item in report.unknown if item.carried in wanted), *missing),
        tuple(sorted(wanted)),
    )
