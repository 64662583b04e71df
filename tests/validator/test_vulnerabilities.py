"""The carried snapshot: clean as of a day, affected, or unknown - and never clean without one."""

from __future__ import annotations

import dataclasses
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from bundle.advisories import STALE_DAYS, Advisory, AuditReport, Pinned, Severity, Unknown
from bundle.hashing import sha256_bytes
from bundle.manifest import Advisories
from tests.validator.fakes import ADVISORIES, Installation, run
from validator.checks.vulnerabilities import known_vulnerabilities
from validator.model import Outcome, Status

TOY = Pinned("toy-index", "2.0")
FLAW = Advisory("PYSEC-2026-1", ("CVE-2026-1",), *TOY, Severity.HIGH, "reads too much", ("2.1",), "")


def days_ago(days: int) -> str:
    """Return a manifest time so many days back."""
    return (datetime.now(timezone.utc) - timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")


def outcome_of(root: Path, data: bytes) -> Outcome:
    """Install a release that carries `data` as its snapshot and run the check."""
    carried = Advisories(ADVISORIES, days_ago(0), sha256_bytes(data))
    installation = Installation(root, advisories=carried)
    installation.advisories.write_bytes(data)
    return run(known_vulnerabilities, installation.subject())


def report(**changes: object) -> AuditReport:
    """Return a clean report of today with changes."""
    base = AuditReport("a test", days_ago(0), (), (), (TOY,))
    return dataclasses.replace(base, **changes)  # type: ignore[arg-type]


def test_a_recent_snapshot_without_findings_is_clean_as_of_its_day(installation: Installation) -> None:
    outcome = run(known_vulnerabilities, installation.subject())
    assert outcome.status is Status.PASS
    assert outcome.details.en == f"clean as of {days_ago(0)[:10]}"


def test_an_advisory_is_affected_and_named(tmp_path: Path) -> None:
    outcome = outcome_of(tmp_path, report(advisories=(FLAW,)).to_bytes())
    assert (outcome.status, outcome.remedy) == (Status.WARN, "newer-release")
    assert "toy-index 2.0 PYSEC-2026-1 (high)" in outcome.details.en


def test_a_package_nobody_answered_about_is_unknown(tmp_path: Path) -> None:
    outcome = outcome_of(tmp_path, report(unknown=(Unknown(*TOY, "no answer"),)).to_bytes())
    assert outcome.status is Status.UNKNOWN
    assert "toy-index 2.0" in outcome.details.en


def test_a_package_that_the_snapshot_does_not_cover_is_unknown(tmp_path: Path) -> None:
    assert outcome_of(tmp_path, report(packages=()).to_bytes()).status is Status.UNKNOWN


def test_without_a_snapshot_it_is_unknown(tmp_path: Path) -> None:
    installation = Installation(tmp_path, advisories=None)
    assert run(known_vulnerabilities, installation.subject()).status is Status.UNKNOWN


@pytest.mark.parametrize(
    ("days", "status"), [(STALE_DAYS, Status.PASS), (STALE_DAYS + 1, Status.WARN), (-2, Status.WARN)]
)
def test_an_old_or_future_snapshot_is_a_warning(tmp_path: Path, days: int, status: Status) -> None:
    assert outcome_of(tmp_path, report(date=days_ago(days)).to_bytes()).status is status


def test_a_changed_snapshot_fails(installation: Installation) -> None:
    installation.advisories.write_bytes(installation.advisories.read_bytes().replace(b"a test", b"b test"))
    outcome = run(known_vulnerabilities, installation.subject())
    assert (outcome.status, outcome.remedy) == (Status.FAIL, "reinstall")


def test_a_missing_snapshot_is_unknown(installation: Installation) -> None:
    installation.advisories.unlink()
    assert run(known_vulnerabilities, installation.subject()).status is Status.UNKNOWN


@pytest.mark.parametrize("data", [b"", b"{}", b"[" * 100, b'{"format": NaN}'])
def test_a_snapshot_that_is_none_is_unknown(tmp_path: Path, data: bytes) -> None:
    assert outcome_of(tmp_path, data).status is Status.UNKNOWN
