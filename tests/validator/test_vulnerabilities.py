"""The carried snapshot: clean as of a day, affected, or unknown - and never clean without one."""

from __future__ import annotations

import dataclasses
import shutil
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from bundle import layout, renewal, trustrecords
from bundle.advisories import STALE_DAYS, Advisory, AuditReport, Pinned, Severity, Unknown
from bundle.hashing import sha256_bytes
from bundle.manifest import Advisories
from bundle.trustrecords import Carried
from installer import accepted, trust_store
from installer.paths import Prefix
from tests.support import renewals
from tests.support.trust import KeyHouse
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


# A snapshot that was carried in since the release.


class Host:
    """An installation whose own snapshot is 40 days old, and what was carried in to it since."""

    def __init__(self, root: Path, days: int = -40, **changes: Any) -> None:
        self.house = KeyHouse()
        data = report(date=renewals.day(days), **changes).to_bytes()
        carried = Advisories(ADVISORIES, renewals.day(days), sha256_bytes(data))
        self.installation = Installation(root, advisories=carried)
        self.installation.advisories.write_bytes(data)
        self.prefix = Prefix(root)
        self.pin("a")
        manifest = self.installation.subject().manifest
        assert manifest is not None
        self.manifest = manifest

    def pin(self, name: str, options: str = f'namespaces="{layout.NAMESPACE}"') -> None:
        """Write the pinned file as the installer does."""
        self.prefix.allowed_signers.write_text(f"{name} {options} {self.house.key(name).public.openssh()}\n")

    def carry(self, *by: str, days: float = -1, **changes: Any) -> Host:
        """Put a snapshot where the installer keeps it."""
        made = renewals.renewal(self.manifest, renewals.day(days), **changes)
        carried = renewals.signed(made, *(self.house.key(name) for name in by or ("a",)))
        self.prefix.renewal.write_bytes(renewal.stored(carried))
        return self

    def adopt(self, *records: Carried) -> None:
        """Make the installation follow trust records."""
        trust_store.write_chain(self.prefix, trustrecords.enter(records, lambda key: True, 1))

    def outcome(self) -> Outcome:
        return run(known_vulnerabilities, self.installation.subject())


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_the_newer_snapshot_is_used_and_the_evidence_says_which(host: Host) -> None:
    before = host.outcome()
    assert (
        before.status is Status.PASS and f"the release's snapshot of {days_ago(40)[:10]}" in before.measured
    )
    after = host.carry().outcome()
    assert (after.status, after.details.en) == (Status.PASS, f"clean as of {days_ago(1)[:10]}")
    assert f"renewed snapshot of {days_ago(1)[:10]}" in after.measured and "release's" not in after.measured


def test_an_older_renewed_snapshot_does_not_take_the_place_of_the_releases(host: Host) -> None:
    outcome = host.carry(days=-50, advisories=(FLAW,)).outcome()
    assert outcome.status is Status.PASS and f"as of {days_ago(40)[:10]}" in outcome.measured


def test_a_stale_release_is_renewed_by_a_snapshot_alone(tmp_path: Path) -> None:
    host = Host(tmp_path, days=-STALE_DAYS - 10)
    stale = host.outcome()
    assert (stale.status, stale.remedy) == (Status.WARN, "renew-snapshot")
    assert host.carry().outcome().status is Status.PASS


def test_a_release_without_a_snapshot_can_be_given_one(tmp_path: Path) -> None:
    host = Host(tmp_path)
    shutil.rmtree(tmp_path)
    host.installation = Installation(tmp_path, advisories=None)
    missing = host.outcome()
    assert (missing.status, missing.remedy) == (Status.UNKNOWN, "renew-snapshot")
    host.pin("a")
    assert host.carry().outcome().status is Status.PASS


def test_what_became_known_since_is_found_and_said_to_be_new(host: Host) -> None:
    outcome = host.carry(advisories=(FLAW,)).outcome()
    assert (outcome.status, outcome.remedy) == (Status.WARN, "newer-release")
    assert outcome.cause is not None and "after the release was built" in outcome.cause.en


def test_what_the_build_let_pass_is_not_called_new(tmp_path: Path) -> None:
    outcome = Host(tmp_path, advisories=(FLAW,)).carry(advisories=(FLAW,)).outcome()
    assert outcome.cause is not None and "waivers" in outcome.cause.en


def test_a_gap_in_the_newer_one_is_not_filled_by_the_older_answer(host: Host) -> None:
    outcome = host.carry(unknown=(Unknown(*TOY, "no answer"),)).outcome()
    assert (outcome.status, outcome.remedy) == (Status.UNKNOWN, "renew-snapshot")


def test_of_packages_that_it_does_not_cover_the_releases_snapshot_speaks_with_its_own_date(
    host: Host,
) -> None:
    other = host.carry(packages=(Pinned("other", "1"),)).outcome()
    assert other.status is Status.PASS and other.details.en == f"clean as of {days_ago(40)[:10]}"


def test_packages_that_neither_covers_are_unknown(tmp_path: Path) -> None:
    host = Host(tmp_path, packages=())
    assert host.carry(packages=(Pinned("other", "1"),)).outcome().status is Status.UNKNOWN


def unsigned(host: Host) -> None:
    made = renewals.renewal(host.manifest, renewals.day(-1))
    host.prefix.renewal.write_bytes(renewal.stored(renewals.signed(made)))


def edited(host: Host) -> None:
    host.carry()
    data = host.prefix.renewal.read_bytes()
    host.prefix.renewal.write_bytes(data.replace(b"a test", b"b test"))


def for_bundles(host: Host) -> None:
    made = renewals.renewal(host.manifest, renewals.day(-1))
    carried = renewals.signed(made, host.house.key("a"), namespace=layout.NAMESPACE)
    host.prefix.renewal.write_bytes(renewal.stored(carried))


def revoked(host: Host) -> None:
    host.carry()
    first = host.house.record(["a", "b"], by=["a"])
    host.adopt(first, host.house.record(["b"], by=["b"], revoked=["a"]))


def rotated(host: Host) -> None:
    host.carry()
    first = host.house.record(["a", "b"], by=["a"])
    host.adopt(first, host.house.record(["b"], by=["b"]))


def link(host: Host) -> None:
    host.carry()
    host.prefix.renewal.rename(host.prefix.root / "elsewhere")
    host.prefix.renewal.symlink_to(host.prefix.root / "elsewhere")


def damaged_records(host: Host) -> None:
    rotated(host)
    host.prefix.records.write_bytes(host.prefix.records.read_bytes().replace(b"checksum", b"checksun"))


def two_demanded(host: Host) -> None:
    host.carry()
    known = accepted.read(host.prefix)
    accepted.write(host.prefix, dataclasses.replace(known, signatures=2))


@pytest.mark.parametrize(
    ("change", "status", "says"),
    [
        (lambda host: host.prefix.renewal.write_bytes(b"{torn"), Status.FAIL, "refused"),
        (lambda host: host.prefix.renewal.write_bytes(b""), Status.FAIL, "refused"),
        (lambda host: host.prefix.renewal.mkdir(), Status.UNKNOWN, ""),
        (link, Status.FAIL, "symbolic link"),
        (unsigned, Status.FAIL, "not signed"),
        (edited, Status.FAIL, "does not fit"),
        (for_bundles, Status.FAIL, "namespace"),
        (lambda host: host.carry("mallory"), Status.FAIL, "not by a signer you trust"),
        (lambda host: host.prefix.allowed_signers.unlink() or host.carry(), Status.FAIL, "trusts no signer"),
        (revoked, Status.FAIL, "revoked since"),
        (rotated, Status.UNKNOWN, "not by a signer you trust"),
        (
            lambda host: host.carry() and host.pin("a", 'valid-before="20260101Z"'),
            Status.UNKNOWN,
            "not in force",
        ),
        (lambda host: host.carry(days=400), Status.UNKNOWN, "from the future"),
        (lambda host: host.carry(product="another"), Status.UNKNOWN, "another product"),
        (damaged_records, Status.UNKNOWN, "checksum"),
        (two_demanded, Status.UNKNOWN, "too few"),
    ],
)
def test_a_renewed_snapshot_that_is_not_believed_is_said_and_not_used(
    change: Callable[[Host], object], status: Status, says: str, host: Host
) -> None:
    change(host)
    outcome = host.outcome()
    assert outcome.status is status, outcome
    assert says in outcome.details.en and "was not used" in outcome.details.en
    assert f"clean as of {days_ago(40)[:10]}" in outcome.details.en, "the release's own speaks"
    assert outcome.remedy == "renew-snapshot"


def test_a_forged_one_does_not_keep_a_release_out_that_is_being_installed(host: Host) -> None:
    host.carry("mallory")
    assert host.outcome().status is Status.FAIL
    known = accepted.read(host.prefix)
    accepted.write(host.prefix, dataclasses.replace(known, generations=("000000-0123456789ab",)))
    assert host.outcome().status is Status.UNKNOWN


def test_after_a_rotation_one_by_the_new_key_counts(host: Host) -> None:
    rotated(host)
    assert host.carry("b").outcome().status is Status.PASS


def test_one_of_a_clock_that_was_set_back_is_judged_by_the_newest_time_seen(host: Host) -> None:
    known = accepted.read(host.prefix)
    accepted.write(host.prefix, known.seeing(renewals.day(400)))
    outcome = host.carry(days=399).outcome()
    assert outcome.status is Status.WARN and "the clock is wrong" in (outcome.cause or outcome.details).en


def test_it_costs_a_fraction_of_a_second(host: Host) -> None:
    host.carry()
    rotated(host)
    host.carry("b")
    begun = time.process_time()
    host.outcome()
    assert time.process_time() - begun < 0.3
