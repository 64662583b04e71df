"""safety's report, in the shape its documentation gives: written by hand, since it needs an account to run."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from builder.assessment.advisories.safety import Safety, read_report
from builder.assessment.findings import Pinned, Severity

GOOD, BAD = Pinned("good", "1.0"), Pinned("bad", "1.0")


def finding(**changes: Any) -> dict[str, Any]:
    """Return one entry of ``vulnerabilities``."""
    vector = {"vector_string": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N", "base_score": 7.5}
    base = {
        "vulnerability_id": "25853",
        "package_name": "Bad",
        "analyzed_version": "1.0",
        "advisory": "bad is bad",
        "fixed_versions": ["1.1"],
        "CVE": "CVE-2026-7",
        "severity": {"source": "CVE-2026-7", "cvssv3": vector},
    }
    return {**base, **changes}


def report(*found: dict[str, Any], scanned: tuple[Pinned, ...] = (GOOD, BAD), **changes: Any) -> bytes:
    """Return a report as ``safety check --output json`` prints it."""
    base = {
        "report_meta": {"json_version": 1},
        "scanned_packages": {item.name: {"name": item.name, "version": item.version} for item in scanned},
        "vulnerabilities": list(found),
        "ignored_vulnerabilities": [],
    }
    return json.dumps({**base, **changes}).encode()


def test_a_finding_is_read_with_severity_alias_and_fix() -> None:
    answer = read_report([GOOD, BAD], report(finding()), "")
    (found,) = answer.advisories
    assert (found.names, found.package, found.fixed_in) == (("safety-25853", "CVE-2026-7"), "bad", ("1.1",))
    assert found.severity is Severity.HIGH
    assert answer.unknown == ()


def test_a_finding_that_safetys_own_policy_ignores_is_still_one() -> None:
    data = report(ignored_vulnerabilities=[finding(severity=None)])
    assert [item.severity for item in read_report([BAD], data, "").advisories] == [Severity.UNKNOWN]


def test_a_package_that_was_not_scanned_is_unknown() -> None:
    answer = read_report([GOOD, BAD], report(scanned=(GOOD,)), "")
    assert [item.package for item in answer.unknown] == ["bad"]


def test_words_before_the_json_do_not_matter() -> None:
    assert read_report([GOOD], b"DEPRECATED: use scan\n" + report(), "").unknown == ()


@pytest.mark.parametrize(
    "output",
    [b"", b"Traceback", b"{", b"{}", b'{"scanned_packages": []}', report(finding(package_name="stranger"))],
)
def test_a_report_that_cannot_be_used_makes_everything_unknown(output: bytes) -> None:
    answer = read_report([GOOD, BAD], output, "it needs an account")
    assert [item.package for item in answer.unknown] == ["good", "bad"]
    assert "it needs an account" in answer.unknown[0].reason
    assert not answer.settled


def test_without_the_command_everything_is_unknown(tmp_path: Path) -> None:
    answer = Safety("ragtrace-no-such-safety").ask([GOOD], tmp_path)
    assert "not on PATH" in answer.unknown[0].reason


@pytest.mark.skipif(os.name == "nt", reason="the stand-in is a script")
def test_the_command_gets_exact_versions_and_its_exit_code_is_not_believed(tmp_path: Path) -> None:
    stand_in = tmp_path / "safety"
    printed = tmp_path / "printed.json"
    printed.write_bytes(report(finding()))
    # The one argument after --file is copied, so that the test sees what safety would.
    stand_in.write_text(f'#!/bin/sh\ncp "$3" "{tmp_path}/asked"\ncat "{printed}"\nexit 0\n')
    stand_in.chmod(0o755)
    answer = Safety(str(stand_in)).ask([GOOD, Pinned("bad", "1.0+cpu")], tmp_path)
    assert (tmp_path / "asked").read_text() == "bad==1.0\ngood==1.0\n"
    assert [item.version for item in answer.advisories] == ["1.0+cpu"]
