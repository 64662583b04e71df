"""Waivers: who accepts what, until when, and what can never be accepted."""

from __future__ import annotations

import datetime
import json
import os
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from bundle.errors import UsageProblem
from bundle.text import Text
from tests.validator.fakes import Installation
from validator.api import validate
from validator.cli import main
from validator.model import Category, Check, Outcome, Result, Severity, Status
from validator.report import Report, Timing
from validator.subject import Subject
from validator.waivers import Waivers, parse

T = Text("가", "a")
TODAY = datetime.date.today()
SOON = (TODAY + datetime.timedelta(days=30)).isoformat()
PAST = (TODAY - datetime.timedelta(days=1)).isoformat()


def entry(check: str = "RAG-004", **changes: Any) -> dict[str, Any]:
    return {"check": check, "reason": "moved on Monday", "expires": SOON, **changes}


def file_of(path: Path, *entries: object) -> Path:
    path.write_text(json.dumps(list(entries)), encoding="utf-8")
    path.chmod(0o600)
    return path


def one(status: Status, identity: str = "SYS-001", severity: Severity = Severity.HIGH) -> Result:
    item = Check(identity, Category.SYSTEM, T, severity, lambda subject: Outcome(Status.PASS, T))
    return Result(item, Outcome(status, T))


def report_of(tmp_path: Path, results: list[Result], *entries: dict[str, Any]) -> Report:
    known = [result.check.id for result in results]
    waivers = Waivers(tmp_path / "w.json", parse(json.dumps(entries).encode(), known))
    return Report(waivers.apply(results), Subject(tmp_path), "en", Timing(0, 0), waivers=waivers)


def test_a_waived_failure_counts_as_passed_and_keeps_its_raw_status(
    installation: Installation, tmp_path: Path, repository: Path
) -> None:
    waivers = file_of(tmp_path / "w.json", entry())
    report = validate(installation.root, only=["RAG-004", "SYS-009"], waivers=waivers)
    document = report.to_dict()
    schema = json.loads((repository / "manifests/schema/report.schema.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(document)
    found = next(r for r in document["validation_results"] if r["id"] == "RAG-004")
    assert (found["raw_status"], found["status"]) == ("fail", "FAIL")
    assert found["waiver"] == {"reason": "moved on Monday", "expires": SOON}
    assert (report.exit_code, report.overall_status) == (0, "GOOD")
    assert (document["summary"]["fail"], document["summary"]["waived"]) == (1, 1)
    assert document["recommendations"] == []
    assert document["waivers"]["listed"][0]["state"] == "applied"


def test_without_the_waiver_the_same_run_fails(installation: Installation) -> None:
    assert validate(installation.root, only=["RAG-004", "SYS-009"]).exit_code == 3


@pytest.mark.parametrize("status", [Status.ERROR, Status.UNKNOWN, Status.SKIP, Status.PASS])
def test_only_warnings_and_failures_can_be_waived(tmp_path: Path, status: Status) -> None:
    results = [one(Status.PASS, "SYS-002"), one(status)]
    without, waived = report_of(tmp_path, results), report_of(tmp_path, results, entry("SYS-001"))
    assert waived.results == without.results
    assert waived.exit_code == without.exit_code


@pytest.mark.parametrize("status", [Status.WARN, Status.FAIL])
def test_a_waiver_in_force_never_lets_the_verdict_be_excellent(tmp_path: Path, status: Status) -> None:
    others = [one(Status.PASS, "SYS-002")]
    assert report_of(tmp_path, [*others, one(Status.PASS)]).overall_status == "EXCELLENT"
    assert report_of(tmp_path, [*others, one(status)], entry("SYS-001")).overall_status == "GOOD"
    assert report_of(tmp_path, [*others, one(Status.PASS)], entry("SYS-001")).overall_status == "GOOD"


def test_a_waiver_covers_its_own_check_only(tmp_path: Path) -> None:
    report = report_of(tmp_path, [one(Status.FAIL), one(Status.FAIL, "SYS-002")], entry("SYS-001"))
    assert report.exit_code == 3 and report.overall_status == "CRITICAL"


def test_an_expired_waiver_waives_nothing_and_is_reported(
    installation: Installation, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    waivers = file_of(tmp_path / "w.json", entry(expires=PAST))
    report = validate(installation.root, only=["RAG-004"], waivers=waivers)
    assert report.exit_code == 3
    assert report.to_dict()["waivers"]["listed"][0]["state"] == "expired"
    assert any(f"ran out on {PAST}" in line for line in report.to_dict()["recommendations"])
    words = ["--prefix", str(installation.root), "--only", "RAG-004", "--waivers", str(waivers)]
    assert main([*words, "--quiet", "--lang", "en"]) == 3
    assert f"waived RAG-004: ran out on {PAST}, not applied (moved on Monday)" in capsys.readouterr().out


def test_a_waiver_counts_to_the_end_of_its_day() -> None:
    today = datetime.date(2026, 3, 4)
    for day, expired in (("2026-03-04", False), ("2026-03-03", True)):
        data = json.dumps([entry(expires=day)]).encode()
        assert parse(data, ["RAG-004"], today=today)[0].expired is expired


WRONG = {
    "not a list": b"{}",
    "not JSON": b"[",
    "not UTF-8": b"\xff",
    "deep": b"[" * 100000,
    "no object": b"[1]",
    "double key": b'[{"check": "RAG-004", "check": "RAG-005", "reason": "x", "expires": "2026-01-01"}]',
    "unknown check": [entry("RAG-999")],
    "not an id": [entry("; rm -rf /")],
    "unknown key": [entry(status="fail")],
    "no reason": [entry(reason="  ")],
    "a reason that is a number": [entry(reason=7)],
    "a reason of control characters": [entry(reason="\x00\x1b")],
    "a long reason": [entry(reason="x" * 301)],
    "no date": [{"check": "RAG-004", "reason": "x"}],
    "an odd date": [entry(expires="next year")],
    "no such day": [entry(expires="2026-02-30")],
    "another form of a date": [entry(expires="20260101")],
    "too far": [entry(expires=(TODAY + datetime.timedelta(days=367)).isoformat())],
    "twice": [entry(), entry()],
    "the signature": [entry("SEC-008")],
    "an outbound connection": [entry("sec-009")],
    "a plugin that cannot be loaded": [entry("PLUG-001")],
    "too many": [entry()] * 201,
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_file_of_waivers_is_a_usage_error_and_nothing_is_checked(
    tmp_path: Path, what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    content = WRONG[what]
    path = tmp_path / "w.json"
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    path.chmod(0o600)
    assert main(["--prefix", str(tmp_path / "none"), "--waivers", str(path), "--lang", "en"]) == 2
    said = capsys.readouterr()
    assert said.out == "" and "the file of waivers is wrong" in said.err and "Traceback" not in said.err


@pytest.mark.parametrize("what", ["missing", "folder", "world-writable"])
def test_a_file_of_waivers_that_cannot_be_trusted_is_a_usage_error(tmp_path: Path, what: str) -> None:
    path = tmp_path / "w.json"
    if what == "folder":
        path.mkdir()
    elif what == "world-writable":
        file_of(path, entry()).chmod(0o666)
    with pytest.raises(UsageProblem):
        validate(tmp_path / "none", only=["SYS-009"], waivers=path)


def test_the_installations_own_file_counts_without_being_named(installation: Installation) -> None:
    file_of(installation.root / "config" / "waivers.json", entry())
    assert validate(installation.root, only=["RAG-004", "SYS-009"]).exit_code == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to a stranger")
def test_a_strangers_file_in_the_installation_waives_nothing(installation: Installation) -> None:
    path = file_of(installation.root / "config" / "waivers.json", entry())
    os.chown(path, 12345, 12345)
    with pytest.raises(UsageProblem, match="owner"):
        validate(installation.root, only=["RAG-004"])


def test_waivers_that_cannot_be_looked_at_are_a_named_gap(tmp_path: Path) -> None:
    gap = Waivers(tmp_path / "w.json", (), Text("못 봄", "not seen"))
    report = Report((one(Status.PASS),), Subject(tmp_path), "en", Timing(0, 0), waivers=gap)
    assert report.overall_status == "GOOD"
    assert report.to_dict()["waivers"]["gap"] == "not seen"
    assert "not seen" in report.to_dict()["recommendations"] and "not seen" in report.to_html()


def test_a_plugins_finding_can_be_waived(tmp_path: Path) -> None:
    folder = tmp_path / "checks"
    folder.mkdir()
    (folder / "toy.py").write_text(
        "CHECKS = [{'id': 'ABC-001', 'category': 'Tools', 'title': 'a', 'run': lambda c: {'status': 'fail', 'details': 'a'}}]"
    )
    waivers = file_of(tmp_path / "w.json", entry("ABC-001"))
    words = {"only": ["ABC-001"], "waivers": waivers, "plugin_folders": [folder]}
    report = validate(tmp_path / "none", **words)  # type: ignore[arg-type]
    assert report.exit_code == 0 and report.results[0].waiver is not None
    # Not looked for this time, so nobody can say that it does not exist.
    assert validate(tmp_path / "none", only=["SYS-009"], waivers=waivers).exit_code == 0


def test_junit_and_console_show_what_is_waived(
    installation: Installation, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    waivers = file_of(tmp_path / "w.json", entry())
    words = ["--prefix", str(installation.root), "--only", "RAG-004", "--waivers", str(waivers)]
    assert main([*words, "--lang", "en"]) == 0
    out = capsys.readouterr().out
    assert "waived  RAG-004" in out and f"accepted: FAIL; until {SOON}; moved on Monday" in out
    assert "(waived 1;" in out
    assert main([*words, "--format", "junit"]) == 0
    assert f'<skipped message="waived until {SOON}: moved on Monday">fail: ' in capsys.readouterr().out
