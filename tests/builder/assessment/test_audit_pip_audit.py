"""The real pip-audit against services on loopback: found, clean, or unknown with its reason; never silently clean."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from builder.assessment.advisories.children import Ended
from builder.assessment.advisories.interface import Answer
from builder.assessment.advisories.pip_audit import CONTROL, PipAudit, Reply
from builder.assessment.findings import Pinned, Severity
from tests.support.advisories import CRITICAL_VECTOR, Services, authority, osv_record, serve

GOOD = Pinned("good", "1.0")
BAD = Pinned("bad", "1.0")


@pytest.fixture
def services() -> Iterator[Services]:
    """Services that know the control and one bad package."""
    with serve() as opened:
        opened.add("1.0", osv_record("PYSEC-2026-7", "bad", "1.1", aliases=["CVE-2026-7", "GHSA-x"]))
        opened.records["GHSA-x"] = {"severity": [{"type": "CVSS_V3", "score": CRITICAL_VECTOR}]}
        yield opened


def ask(services: Services, work: Path, *packages: Pinned, **limits: float) -> Answer:
    """Have pip-audit ask the services as OSV, patiently: the test machine may be busy."""
    patient = {"control_s": 90.0, "limit_s": 180.0, **limits}
    return PipAudit("osv", services.osv_url, **patient).ask(packages, work)  # type: ignore[arg-type]


def reasons(answer: Answer) -> dict[str, str]:
    """Return why each unknown package is unknown."""
    return {item.package: item.reason for item in answer.unknown}


def test_an_affected_package_is_found_with_severity_aliases_and_fix(
    services: Services, tmp_path: Path
) -> None:
    answer = ask(services, tmp_path, GOOD, BAD)
    (found,) = answer.advisories
    assert (found.package, found.version, found.id) == ("bad", "1.0", "PYSEC-2026-7")
    assert set(found.names) == {"PYSEC-2026-7", "CVE-2026-7", "GHSA-x"}
    assert (found.severity, found.fixed_in, found.summary) == (Severity.CRITICAL, ("1.1",), "bad is bad")
    assert (answer.unknown, answer.settled) == ((), True)


def test_a_local_version_is_asked_about_as_its_public_one(services: Services, tmp_path: Path) -> None:
    answer = ask(services, tmp_path, Pinned("bad", "1.0+cpu"))
    assert [item.version for item in answer.advisories] == ["1.0+cpu"]
    assert "bad 1.0" in services.requests


def test_two_versions_of_a_package_are_both_answered(services: Services, tmp_path: Path) -> None:
    answer = ask(services, tmp_path, BAD, Pinned("bad", "2.0"))
    assert [item.version for item in answer.advisories] == ["1.0"]
    assert answer.unknown == ()


def test_each_broken_answer_is_unknown_and_the_others_are_answered(
    services: Services, tmp_path: Path
) -> None:
    services.add("1.0", osv_record("PYSEC-2026-8", "newer"))
    services.faults.update(
        {"refused": 500, "html": "garbage", "cut": "truncated", "slow": "hang", "newer": "schema"}
    )
    broken = [Pinned(name, "1.0") for name in services.faults]
    answer = ask(services, tmp_path, GOOD, BAD, *broken, socket_s=3)
    assert [item.package for item in answer.advisories] == ["bad"]
    assert set(reasons(answer)) == set(services.faults)
    assert reasons(answer)["refused"] == "the service answered 500"
    assert reasons(answer)["html"] == "the service's answer is not JSON"
    assert reasons(answer)["slow"] == "no answer in time"
    assert "Unsupported OSV schema version" in reasons(answer)["newer"]
    assert not answer.settled


def test_a_service_that_finds_nothing_for_the_control_is_not_believed(
    services: Services, tmp_path: Path
) -> None:
    services.known.clear()
    answer = ask(services, tmp_path, GOOD)
    assert "not believed" in reasons(answer)["good"]
    assert services.asked_about() == {CONTROL.name}


@pytest.mark.parametrize("fault", [500, 404, "garbage", "truncated"])
def test_a_service_that_does_not_answer_makes_everything_unknown_after_one_question(
    services: Services, tmp_path: Path, fault: int | str
) -> None:
    services.faults[CONTROL.name] = fault
    answer = ask(services, tmp_path, GOOD, BAD)
    assert set(reasons(answer)) == {"good", "bad"}
    assert services.asked_about() == {CONTROL.name}


def test_a_service_that_hangs_is_given_up_at_the_limit(services: Services, tmp_path: Path) -> None:
    services.faults[CONTROL.name] = "hang"
    began = time.monotonic()
    answer = ask(services, tmp_path, GOOD, control_s=1.5)
    assert reasons(answer)["good"].endswith("no answer in time")
    assert time.monotonic() - began < 15


def test_an_unreachable_service_makes_everything_unknown(tmp_path: Path) -> None:
    answer = PipAudit("osv", "http://127.0.0.1:9/v1/query", control_s=90).ask([GOOD], tmp_path)
    assert reasons(answer) == {"good": "the service does not answer: connection refused"}
    assert not answer.settled


def test_severities_that_cannot_be_learnt_stay_unknown(services: Services, tmp_path: Path) -> None:
    services.faults["records"] = 503
    (found,) = ask(services, tmp_path, BAD).advisories
    assert found.severity is Severity.UNKNOWN


def test_pypi_is_asked_through_the_proxy_and_with_the_authority_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, trusted = authority(tmp_path)
    with serve(tls=context) as services:
        services.add("1.0", osv_record("PYSEC-2026-7", "bad", severity=[{"score": CRITICAL_VECTOR}]))
        services.faults["private"] = 404
        monkeypatch.setenv("HTTPS_PROXY", services.url)
        monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
        answer = PipAudit("pypi", control_s=90, limit_s=180).ask(
            [GOOD, BAD, Pinned("private", "1.0")], tmp_path
        )
    assert [(item.id, item.severity) for item in answer.advisories] == [("PYSEC-2026-7", Severity.CRITICAL)]
    assert "not found on PyPI" in reasons(answer)["private"]
    assert set(reasons(answer)) == {"private"}
    assert answer.settled


@pytest.mark.parametrize(
    ("code", "output"),
    [
        (0, b""),
        (0, b'{"dependencies": '),
        (0, b"[]"),
        (0, b'{"dependencies": [7]}'),
        (None, b'{"dependencies": []}'),
        (0, b'{"dependencies": [{"name": "a", "version": "1", "vulns": [{}]}]}'),
        (1, b'{"dependencies": [{"name": "a", "version": "1", "vulns": []}]}'),
    ],
)
def test_output_that_does_not_fit_is_a_problem(code: int | None, output: bytes) -> None:
    assert Reply.read(Ended(code, output, "it said this")).problem


def test_nothing_of_a_developers_pip_audit_settings_reaches_the_child(
    services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_AUDIT_OUTPUT", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("PIP_AUDIT_VULNERABILITY_SERVICE", "esms")
    monkeypatch.setenv("PIP_AUDIT_LOGLEVEL", "CRITICAL")
    assert [item.package for item in ask(services, tmp_path, BAD).advisories] == ["bad"]
