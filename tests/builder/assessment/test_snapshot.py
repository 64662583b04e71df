"""The snapshot: canonical bytes, read back equal, and hostile ones refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.assessment import snapshot
from builder.assessment.findings import Advisory, AuditReport, Pinned, Severity, Unknown
from bundle import limits
from bundle.advisories import SUMMARY_CHARACTERS, clean_line, parse_report
from bundle.errors import IntegrityError
from bundle.hashing import sha256_bytes

BAD, DARK, GOOD = Pinned("bad", "1.0+cpu"), Pinned("dark", "2"), Pinned("good", "3")
FLAW = Advisory(
    "PYSEC-1", ("CVE-1",), *BAD, Severity.HIGH, "나쁨", ("1.1",), "https://osv.dev/vulnerability/PYSEC-1"
)
REPORT = AuditReport("a test", "2026-11-20T12:00:00Z", (FLAW,), (Unknown(*DARK, "why"),), (BAD, DARK, GOOD))


def test_a_snapshot_is_read_back_equal() -> None:
    assert parse_report(snapshot.to_bytes(REPORT), "x") == REPORT


def test_order_does_not_change_the_bytes() -> None:
    shuffled = AuditReport(REPORT.source, REPORT.date, (FLAW,), REPORT.unknown, (GOOD, DARK, BAD))
    assert snapshot.to_bytes(shuffled) == snapshot.to_bytes(REPORT)


def test_the_manifest_names_path_date_and_digest() -> None:
    entry = snapshot.manifest_entry(REPORT)
    assert (entry.path, entry.date) == ("05_Documentation/advisories.json", REPORT.date)
    assert entry.sha256 == sha256_bytes(snapshot.to_bytes(REPORT))


def changed(**changes: Any) -> bytes:
    """Return the snapshot with some fields replaced; None takes a field away."""
    document = {**json.loads(snapshot.to_bytes(REPORT)), **changes}
    return json.dumps({key: value for key, value in document.items() if value is not None}).encode()


def advisory(**changes: Any) -> bytes:
    """Return the snapshot with its advisory changed."""
    (found,) = json.loads(snapshot.to_bytes(REPORT))["advisories"]
    return changed(advisories=[{**found, **changes}])


HOSTILE = {
    "not JSON": b"{",
    "not UTF-8": b'{"source": "\xff"}',
    "another format": changed(format="something"),
    "a later format": changed(format_version=2),
    "no packages": changed(packages=None),
    "no date": changed(date="yesterday"),
    "a package twice": changed(packages=[{"name": "bad", "version": "1.0+cpu"}] * 2, unknown=[]),
    "a finding about nothing carried": changed(packages=[], unknown=[]),
    "an unknown about nothing carried": changed(unknown=[{"package": "x", "version": "1", "reason": ""}]),
    "a severity that is none": advisory(severity="harmless"),
    "a script as its address": advisory(url="javascript:alert(1)"),
    "a quote in its address": advisory(url="https://x/'\"><script>"),
    "terminal escapes": advisory(summary="\x1b[2Jclean"),
    "reversed text": advisory(summary="\u202egood"),
    "half a character": advisory(summary="\ud800"),
    "a summary without end": advisory(summary="x" * (SUMMARY_CHARACTERS + 1)),
    "a name with a path": advisory(package="../x"),
    "an id with a space": advisory(id="CVE 1"),
    "aliases that are no list": advisory(aliases="CVE-1"),
    "a duplicate key": b'{"format": "ragtrace-advisories", "format": "ragtrace-advisories"}',
    "a number that is none": b'{"format_version": NaN}',
    "nested without end": b'{"a":' * 5000,
    "too large": b" " * (limits.ADVISORIES_BYTES + 1),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_snapshot_is_refused(case: str) -> None:
    with pytest.raises(IntegrityError):
        parse_report(HOSTILE[case], "x")


@given(st.text(max_size=600))
def test_any_text_of_a_service_becomes_a_line_that_the_reader_accepts(text: str) -> None:
    flaw = Advisory("PYSEC-1", (), *BAD, Severity.LOW, clean_line(text), (), "")
    report = AuditReport("a test", REPORT.date, (flaw,), (), (BAD,))
    assert parse_report(snapshot.to_bytes(report), "x") == report


def test_the_reader_needs_the_standard_library_only(repository: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, {str(repository)!r}); import bundle.advisories"],
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        capture_output=True,
        check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, b"")
