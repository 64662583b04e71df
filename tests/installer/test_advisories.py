"""`--advisories`: a snapshot that was carried in alone, as an operator meets it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from builder import cli
from builder.sealing.keys import create_key, load_signer
from builder.sealing.signing import SigningKey
from bundle.advisories import Advisory, AuditReport, Pinned, Severity, Unknown
from bundle.hashing import sha256_bytes
from bundle.manifest import Advisories, Package
from bundle.trustrecords import Carried
from installer import accepted
from tests.support import advisories as services
from tests.support import renewals, trust
from tests.support.bundles import HERE, Bundle
from tests.support.renewals import day
from tests.support.trust import KeyHouse
from tests.validator.fakes import run
from validator.checks.vulnerabilities import known_vulnerabilities
from validator.model import Status
from validator.subject import Subject

from .site import Run, Site

Make = Callable[..., Bundle]
FLAW = Advisory("PYSEC-1", ("CVE-1",), "alpha", "1.0", Severity.HIGH, "reads too much", ("1.1",), "")


@pytest.fixture
def house(builder_key: SigningKey) -> KeyHouse:
    """The keeper of the keys; `a` is the key that signs the bundles of this session."""
    return KeyHouse({"a": builder_key})


@pytest.fixture
def installed(site: Site, bundle_for: Make) -> Bundle:
    """A release of one package by `a`, whose snapshot is 40 days old."""
    bundle = bundle_for(serve=None, **described("1.0"))
    done = site.install(bundle)
    assert done.code == 0, done.err
    return bundle


def described(version: str, days: float = -40) -> dict[str, Any]:
    """Return what a bundle says of its packages and of when they were asked about."""
    packages = (Package("ragtrace", "1.0.0", (HERE,)), Package("alpha", version, (HERE,)))
    snapshot = Advisories("05_Documentation/advisories.json", day(days), "0" * 64)
    return {"packages": packages, "advisories": snapshot}


class Medium:
    """What is carried in, and the command that applies it."""

    def __init__(self, site: Site, folder: Path) -> None:
        self.site = site
        self.folder = folder

    def carry(self, carried: Carried, *words: str) -> Run:
        place = renewals.write(self.folder, carried)
        return self.site.run("--advisories", str(place), "--lang", "en", *words)


@pytest.fixture
def medium(site: Site, tmp_path: Path) -> Medium:
    return Medium(site, tmp_path / "usb 스틱")


def audited(site: Site) -> list[dict[str, Any]]:
    lines = site.prefix.audit.read_text(encoding="utf-8").splitlines()
    return [entry for line in lines if (entry := json.loads(line)).get("action") == "advisories"]


def trust_files(site: Site) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in site.prefix.trust.iterdir()}


def status(site: Site) -> dict[str, Any]:
    found: dict[str, Any] = site.run("--status", "--json").document["advisories"]
    return found


def test_a_renewed_snapshot_is_applied_recorded_and_shown(
    site: Site, installed: Bundle, medium: Medium, house: KeyHouse
) -> None:
    assert status(site)["renewed"] is None
    date = day(-1)
    made = renewals.signed(renewals.renewal(installed.manifest, date), house.key("a"))
    done = medium.carry(made, "--json")
    assert done.code == 0, done.err
    told = done.document
    assert (told["action"], told["date_to"], told["packages"], told["unanswered"]) == (
        "advisories",
        date,
        1,
        0,
    )
    assert told["date_from"] == installed.manifest.advisories.date  # type: ignore[union-attr]
    (entry,) = audited(site)
    assert (entry["outcome"], entry["date_to"], entry["exit"]) == ("ok", date, 0)
    assert entry["signers"] == [house.key("a").public.fingerprint]
    assert site.undeclared() == []
    assert status(site) == {"released": told["date_from"], "renewed": date, "problem": None}
    assert date in site.run("--status", "--lang", "ko").out
    explained = site.run("--explain-trust", "--json", "--lang", "en").document["statements"]
    assert [item["outcome"] for item in explained if item["topic"] == "advisories"] == ["established"]
    assert accepted.read(site.prefix).newest >= date


def test_the_same_again_is_already_there_and_an_older_one_is_refused(
    site: Site, installed: Bundle, medium: Medium, house: KeyHouse
) -> None:
    newest = renewals.signed(renewals.renewal(installed.manifest, day(-1)), house.key("a"))
    assert medium.carry(newest).code == 0
    before = trust_files(site)
    again = medium.carry(newest)
    assert again.code == 0 and "is here already" in again.out
    older = medium.carry(renewals.signed(renewals.renewal(installed.manifest, day(-2)), house.key("a")))
    assert (
        older.code == 11 and "an older advisory snapshot" in older.err and "nothing was changed" in older.err
    )
    assert trust_files(site) == before
    assert [entry["outcome"] for entry in audited(site)] == ["ok", "RT-POLICY"]


def test_one_that_is_older_than_the_release_carries_is_refused(
    installed: Bundle, medium: Medium, house: KeyHouse
) -> None:
    done = medium.carry(renewals.signed(renewals.renewal(installed.manifest, day(-41)), house.key("a")))
    assert done.code == 11 and "the one that the release carries" in done.err


def test_a_dry_run_says_what_would_be_and_writes_nothing(
    site: Site, installed: Bundle, medium: Medium, house: KeyHouse
) -> None:
    before = trust_files(site)
    made = renewals.signed(renewals.renewal(installed.manifest), house.key("a"))
    done = medium.carry(made, "--dry-run")
    assert done.code == 0 and "nothing was written" in done.out
    assert trust_files(site) == before and audited(site) == []
    stranger = renewals.signed(renewals.renewal(installed.manifest), house.key("x"))
    assert medium.carry(stranger, "--dry-run").code == 10


def test_findings_and_gaps_are_said_and_do_not_stop_it(
    installed: Bundle, medium: Medium, house: KeyHouse
) -> None:
    made = renewals.renewal(installed.manifest, advisories=(FLAW,))
    done = medium.carry(renewals.signed(made, house.key("a")), "--json")
    assert done.code == 0
    assert done.document["affected"] == [
        {"package": "alpha", "version": "1.0", "id": "PYSEC-1", "severity": "high"}
    ]
    assert any("alpha 1.0 PYSEC-1" in text for text in done.document["warnings"])
    gaps = renewals.renewal(installed.manifest, day(0.01), unknown=(Unknown("alpha", "1.0", "no answer"),))
    done = medium.carry(renewals.signed(gaps, house.key("a")), "--json")
    assert done.code == 0 and done.document["unanswered"] == 1


def test_a_snapshot_for_several_releases_serves_each_and_a_missing_package_is_named(
    site: Site, installed: Bundle, medium: Medium, house: KeyHouse, bundle_for: Make
) -> None:
    other = bundle_for(serve=None, version="2.0.0", sequence=2, **described("2.0"))
    alone = medium.carry(renewals.signed(renewals.renewal(other.manifest), house.key("a")))
    assert alone.code == 11 and "alpha 1.0" in alone.err and "1 of this release are not in it" in alone.err
    both = sorted(
        {
            *renewals.renewal(other.manifest).snapshot.packages,
            *renewals.renewal(installed.manifest).snapshot.packages,
        }
    )
    made = renewals.renewal(other.manifest, day(-1), packages=tuple(both))
    assert medium.carry(renewals.signed(made, house.key("a"))).code == 0
    assert site.install(other).code == 0
    assert status(site)["renewed"] == made.date, "an upgrade keeps it"
    assert site.run("--rollback").code == 0 and status(site)["renewed"] == made.date


def test_what_the_operator_names_narrows_whom_the_installation_trusts_and_never_widens_it(
    installed: Bundle, medium: Medium, house: KeyHouse
) -> None:
    strangers = renewals.signed(renewals.renewal(installed.manifest), house.key("x"))
    named = ("--trust-fingerprint", house.key("x").public.fingerprint)
    done = medium.carry(strangers, *named)
    assert done.code == 10 and "not by a signer you trust" in done.err
    honest = renewals.signed(renewals.renewal(installed.manifest), house.key("a"))
    assert medium.carry(honest, *named).code == 10
    assert medium.carry(honest, "--trust-fingerprint", house.key("a").public.fingerprint).code == 0


def test_an_installation_of_unverified_origin_believes_nobody(
    site: Site, bundle_for: Make, medium: Medium, house: KeyHouse
) -> None:
    bundle = bundle_for(serve=None, **described("1.0"))
    assert site.run("--bundle", str(bundle.root), "--allow-unverified-origin").code == 0
    made = renewals.signed(renewals.renewal(bundle.manifest), house.key("a"))
    done = medium.carry(made, "--allow-unverified-origin")
    assert done.code == 10 and "trusts no signer" in done.err


def test_after_a_rotation_the_new_key_counts_and_after_a_revocation_the_old_one_does_not(
    site: Site, installed: Bundle, medium: Medium, house: KeyHouse, tmp_path: Path
) -> None:
    assert (
        medium.carry(renewals.signed(renewals.renewal(installed.manifest, day(-3)), house.key("a"))).code == 0
    )
    house.record(["b"], by=["a"], revoked=["a"])
    records = trust.write(tmp_path / "records", house.records)
    assert site.run("--trust-update", str(records)).code == 0
    assert "revoked since" in status(site)["problem"]["en"]
    assert "not believed" in site.run("--status", "--lang", "en").out
    explained = site.run("--explain-trust", "--json").document["statements"]
    assert [item["outcome"] for item in explained if item["topic"] == "advisories"] == ["not established"]
    old = medium.carry(renewals.signed(renewals.renewal(installed.manifest), house.key("a")))
    assert old.code == 10 and "revoked since" in old.err
    # Dated before the one that is not believed any more: that one's date stops nobody.
    done = medium.carry(renewals.signed(renewals.renewal(installed.manifest, day(-4)), house.key("b")))
    assert done.code == 0 and "is not believed and was not compared with" in done.err
    assert status(site)["problem"] is None


def test_as_many_signatures_are_demanded_as_of_a_bundle(
    installed: Bundle, medium: Medium, house: KeyHouse
) -> None:
    made = renewals.signed(renewals.renewal(installed.manifest), house.key("a"))
    done = medium.carry(made, "--require-signatures", "2")
    assert done.code == 11 and "too few trusted signers" in done.err


def test_a_damaged_one_is_replaced_and_never_stops_anything(
    site: Site, installed: Bundle, medium: Medium, house: KeyHouse
) -> None:
    site.prefix.renewal.write_bytes(b"{torn")
    assert status(site)["problem"] is not None and site.run("--explain-trust").code == 0
    done = medium.carry(renewals.signed(renewals.renewal(installed.manifest), house.key("a")))
    assert done.code == 0 and status(site)["problem"] is None


def test_without_a_file_or_an_installation_it_is_a_usage_error(
    site: Site, bundle_for: Make, medium: Medium, house: KeyHouse, tmp_path: Path
) -> None:
    made = renewals.signed(renewals.renewal(bundle_for(serve=None).manifest), house.key("a"))
    assert medium.carry(made).code == 2
    assert not site.root.exists()
    assert site.install(bundle_for(serve=None)).code == 0
    assert site.run("--advisories", str(tmp_path / "nowhere.json")).code == 2


def test_uninstall_keeps_it_with_the_trust_and_a_purge_takes_it_along(
    site: Site, installed: Bundle, medium: Medium, house: KeyHouse
) -> None:
    made = renewals.signed(renewals.renewal(installed.manifest), house.key("a"))
    assert medium.carry(made).code == 0
    assert site.run("--prune", "--keep", "0").code == 0 and site.prefix.renewal.exists()
    assert site.run("--uninstall").code == 0 and site.prefix.renewal.exists()
    assert site.run("--uninstall", "--purge-data").code in (0, 2)
    assert not site.prefix.renewal.exists() and not site.prefix.trust.exists()


def test_what_the_builder_makes_is_applied_and_believed_by_the_validator(
    site: Site,
    bundle_for: Make,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """The monthly routine, both sides, with the real command and a service on loopback."""
    monkeypatch.setenv("RAGTRACE_CACHE_DIR", str(tmp_path / "cache"))
    create_key(tmp_path / "key", "builder@example", None)
    key = load_signer(tmp_path / "key")
    content = described("1.0", days=-200)
    report = AuditReport("a test", content["advisories"].date, (), (), (Pinned("alpha", "1.0"),)).to_bytes()
    content["advisories"] = replace(content["advisories"], sha256=sha256_bytes(report))
    bundle = bundle_for(serve=None, key=key, files={"05_Documentation/advisories.json": report}, **content)
    assert site.install(bundle).code == 0
    place = site.prefix.generation(site.active()) / "tools" / "05_Documentation" / "advisories.json"
    place.parent.mkdir(exist_ok=True)
    place.write_bytes(report)
    assert run(known_vulnerabilities, Subject(site.root)).status is Status.WARN, "200 days old"
    usb = tmp_path / "usb" / "advisories.json"
    manifest = site.prefix.generation(site.active()) / "tools" / "MANIFEST.json"
    with services.serve() as served:
        words = ["advisories", "--manifest", str(manifest), "--signing-key", str(tmp_path / "key")]
        words += ["--audit", "osv", "--osv-url", served.osv_url, "--output", str(usb)]
        assert cli.main(words) == 0, capfd.readouterr().err
    done = site.run("--advisories", str(usb), "--lang", "ko")
    assert done.code == 0 and "적용했습니다" in done.out, done.err
    outcome = run(known_vulnerabilities, Subject(site.root))
    assert outcome.status is Status.PASS and "renewed snapshot" in outcome.measured
