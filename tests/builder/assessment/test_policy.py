"""The policy: levels, unknowns, waivers by id or alias, and their last day."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import pytest

from builder.assessment.findings import LEVELS, Advisory, AuditReport, Pinned, Severity, Unknown, Waiver
from builder.assessment.policy import judge, load_waivers, notes, require_passed
from bundle.errors import AssessmentError, UsageProblem

TODAY = date(2026, 11, 20)
BAD = Pinned("bad", "1.0")
DARK = Unknown("dark", "1.0", "the service did not answer")


def flaw(severity: str, identifier: str = "PYSEC-2026-7") -> Advisory:
    """Return an advisory against the bad package."""
    return Advisory(
        identifier, ("CVE-2026-7", "GHSA-x"), *BAD, Severity(severity), "bad is bad", ("1.1",), ""
    )


def report(*found: Advisory, unknown: tuple[Unknown, ...] = ()) -> AuditReport:
    """Return a report with these findings."""
    packages = {item.carried for item in found} | {item.carried for item in unknown}
    return AuditReport("a test", "2026-11-20T12:00:00Z", found, unknown, tuple(sorted(packages)))


def waiver(**changes: object) -> Waiver:
    """Return a waiver that fits the flaw today."""
    base: dict[str, object] = {
        "id": "PYSEC-2026-7", "package": "bad", "reason": "not reachable", "expires": TODAY
    }  # fmt: skip
    return Waiver(**{**base, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize("policy", LEVELS)
@pytest.mark.parametrize("severity", [*LEVELS[:-1], "unknown"])
def test_a_level_stops_at_itself_and_at_worse_and_at_what_nobody_could_rate(
    policy: str, severity: str
) -> None:
    stops = policy != "none" and (severity == "unknown" or LEVELS.index(severity) <= LEVELS.index(policy))
    assert judge(report(flaw(severity)), policy, (), TODAY).passed is not stops


@pytest.mark.parametrize("policy", LEVELS)
def test_a_package_without_an_answer_stops_at_every_level_but_none(policy: str) -> None:
    verdict = judge(report(unknown=(DARK,)), policy, (), TODAY)
    assert verdict.passed is (policy == "none")


@pytest.mark.parametrize("name", ["PYSEC-2026-7", "cve-2026-7", "GHSA-x"])
def test_a_waiver_names_the_advisory_or_an_alias(name: str) -> None:
    verdict = judge(report(flaw("critical")), "low", [waiver(id=name)], TODAY)
    assert verdict.passed
    assert [item.waiver.id for item in verdict.waived] == [name]
    assert [note.en for note in notes(verdict)] == [f"waived until {TODAY}: {name} bad (not reachable)"]


def test_a_waiver_for_another_package_waives_nothing_and_is_named() -> None:
    other = waiver(package="good")
    verdict = judge(report(flaw("critical")), "low", [other], TODAY)
    assert not verdict.passed
    assert verdict.unused_waivers == (other,)
    assert [note.en for note in notes(verdict)] == [
        "a waiver that matches nothing, delete it: PYSEC-2026-7 good"
    ]


def test_a_waiver_holds_on_its_last_day_and_not_after() -> None:
    old = waiver()
    assert judge(report(flaw("high")), "high", [old], old.expires).passed
    verdict = judge(report(flaw("high")), "high", [old], date(2026, 11, 21))
    assert not verdict.passed
    assert verdict.expired_waivers == (old,)


def test_a_renewed_waiver_wins_over_the_expired_one() -> None:
    waivers = [waiver(expires=date(2026, 1, 1)), waiver(expires=date(2027, 1, 1))]
    verdict = judge(report(flaw("high")), "high", waivers, TODAY)
    assert verdict.passed
    assert verdict.expired_waivers == ()


def test_a_package_without_an_answer_can_be_waived_by_name() -> None:
    verdict = judge(report(unknown=(DARK,)), "high", [waiver(id="unknown", package="dark")], TODAY)
    assert verdict.passed


def test_waiving_one_advisory_does_not_waive_the_next() -> None:
    second = Advisory("PYSEC-2026-8", (), *BAD, Severity.HIGH, "worse", (), "")
    verdict = judge(report(flaw("high"), second), "high", [waiver()], TODAY)
    assert [item.id for item in verdict.failing] == ["PYSEC-2026-8"]


def test_the_refusal_names_every_finding_every_expired_waiver_and_what_to_do() -> None:
    old = waiver(expires=date(2026, 1, 1), id="CVE-2026-7")
    verdict = judge(report(flaw("critical"), unknown=(DARK,)), "high", [old], TODAY)
    with pytest.raises(AssessmentError) as refused:
        require_passed(verdict)
    text = refused.value.render("en")
    for part in (
        "PYSEC-2026-7",
        "GHSA-x",
        "[critical]",
        "fixed in 1.1",
        "dark 1.0",
        "2026-01-01",
        "--waivers",
    ):
        assert part in text
    assert re.search("만료 2026-01-01", refused.value.render("ko"))
    assert refused.value.exit_code == 23


def test_a_passed_verdict_stops_nothing() -> None:
    require_passed(judge(report(), "low", (), TODAY))


def test_waivers_are_read_with_normalised_names(tmp_path: Path) -> None:
    file = tmp_path / "waivers.toml"
    file.write_text(
        '[[waiver]]\nid = "CVE-2026-7"\npackage = "Bad_Package"\nreason = "not reachable"\nexpires = 2027-01-31\n'
    )
    assert load_waivers(file) == (Waiver("CVE-2026-7", "bad-package", "not reachable", date(2027, 1, 31)),)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('[[waiver]]\nid = "a"\npackage = "b"\nexpires = 2027-01-31\n', "waiver 1: reason"),
        ('[[waiver]]\nid = "a"\npackage = "b"\nreason = " "\nexpires = 2027-01-31\n', "waiver 1: reason"),
        ('[[waiver]]\nid = "a"\npackage = "b"\nreason = "c"\n', "waiver 1: expires"),
        ('[[waiver]]\nid = "a"\npackage = "b"\nreason = "c"\nexpires = "2027-01-31"\n', "waiver 1: expires"),
        ('[[waiver]]\nid = "a"\npackage = "b"\nreason = "c"\nexpires = 2027-01-31T00:00:00\n', "waiver 1: expires"),
        ('[[waiver]]\nid = "a"\npackage = "b"\nreason = "c"\nexpires = 2027-01-31\nuntil = 1\n', "waiver 1: until"),
        ('[[waivers]]\nid = "a"\n', "waivers"),
        ("waiver = 3\n", "waiver"),
        ("waiver = [3]\n", "waiver 1"),
    ],
)  # fmt: skip
def test_a_waiver_that_lacks_something_is_refused_by_name(tmp_path: Path, text: str, named: str) -> None:
    file = tmp_path / "waivers.toml"
    file.write_text(text)
    with pytest.raises(UsageProblem) as refused:
        load_waivers(file)
    assert any(named in detail.en for detail in refused.value.details)


def test_a_file_that_is_no_toml_or_not_there_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text("[[")
    for name in ("bad.toml", "none.toml"):
        with pytest.raises(UsageProblem):
            load_waivers(tmp_path / name)
