"""The report: its schema, verdicts, exit codes and JUnit form."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from bundle.text import Text
from tests.validator.fakes import Installation
from validator import junit
from validator.cli import main
from validator.engine import run_checks
from validator.model import Category, Check, Outcome, Result, Severity, Status
from validator.registry import load
from validator.remedies import REMEDIES, command_of, find
from validator.report import STATUS_WORDS, Timing, build, exit_code, overall_status
from validator.subject import Subject

T = Text("가", "a")


def result(status: Status, severity: Severity = Severity.HIGH, **changes: Any) -> Result:
    item = Check("TST-001", Category.SYSTEM, T, severity, lambda subject: Outcome(Status.PASS, T))
    return Result(item, Outcome(status, T, **changes))


@pytest.fixture(scope="module")
def schema(repository: Path) -> jsonschema.Draft202012Validator:
    document = json.loads((repository / "manifests" / "schema" / "report.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(document)
    return jsonschema.Draft202012Validator(document)


def full_report(subject: Subject, lang: str = "ko") -> dict[str, Any]:
    return build(run_checks(load(), subject), subject, lang, Timing(1e9, 1.0))


def test_a_healthy_installation_is_excellent_and_fits_the_schema(
    running: Installation, schema: jsonschema.Draft202012Validator, tmp_path: Path
) -> None:
    report = full_report(running.subject())
    schema.validate(report)
    noise = [r for r in report["validation_results"] if r["raw_status"] not in ("pass", "skip")]
    assert noise == []
    assert (report["overall_status"], report["exit_code"]) == ("EXCELLENT", 0)
    assert {r["id"] for r in report["validation_results"]} == {item.id for item in load()}


def test_a_bundle_without_a_service_is_not_asked_for_one(tmp_path: Path) -> None:
    installation = Installation(tmp_path / "library", service=None)
    report = full_report(installation.subject())
    skipped = {r["id"] for r in report["validation_results"] if "서비스가 없" in r["details"]}
    assert {"RAG-004", "RAG-007", "SEC-005", "SEC-009"} <= skipped
    assert [r["id"] for r in report["validation_results"] if r["raw_status"] not in ("pass", "skip")] == []


@pytest.mark.parametrize("lang", ["ko", "en"])
def test_a_bare_host_gives_a_report_that_is_good_and_not_excellent(
    tmp_path: Path, schema: jsonschema.Draft202012Validator, lang: str
) -> None:
    report = full_report(Subject(tmp_path / "none"), lang)
    schema.validate(report)
    assert report["overall_status"] == "GOOD"
    skipped = [r for r in report["validation_results"] if r["category"] in ("RAGTrace", "Packages")]
    assert {r["status"] for r in skipped} == {"SKIP"}


def test_a_half_installed_host_gives_a_critical_report(
    tmp_path: Path, schema: jsonschema.Draft202012Validator
) -> None:
    (tmp_path / "generations" / "000001-aaaaaaaaaaaa").mkdir(parents=True)
    report = full_report(Subject(tmp_path))
    schema.validate(report)
    assert (report["overall_status"], report["exit_code"]) == ("CRITICAL", 3)


@pytest.mark.parametrize(
    ("statuses", "code", "strict_code"),
    [
        ([Status.PASS], 0, 0),
        ([Status.PASS, Status.SKIP], 0, 3),
        ([Status.PASS, Status.WARN], 4, 3),
        ([Status.WARN, Status.ERROR], 5, 3),
        ([Status.PASS, Status.UNKNOWN], 5, 5),
        ([Status.PASS, Status.ERROR], 5, 5),
        ([Status.FAIL, Status.ERROR, Status.WARN], 3, 3),
        ([], 5, 5),
    ],
)
def test_exit_codes_tell_a_broken_check_from_a_bad_host(
    statuses: list[Status], code: int, strict_code: int
) -> None:
    results = [result(item) for item in statuses]
    assert exit_code(results) == code
    assert exit_code(results, strict=True) == strict_code


@pytest.mark.parametrize("status", [Status.WARN, Status.ERROR, Status.UNKNOWN, Status.FAIL])
@pytest.mark.parametrize("severity", list(Severity))
def test_nothing_but_passes_and_skips_is_excellent(status: Status, severity: Severity) -> None:
    assert overall_status([result(Status.PASS), result(status, severity)]) != "EXCELLENT"
    assert STATUS_WORDS[status] != "PASS"


def test_verdicts() -> None:
    assert overall_status([result(Status.PASS), result(Status.SKIP)]) == "EXCELLENT"
    assert overall_status([result(Status.PASS), result(Status.SKIP, not_installed=True)]) == "GOOD"
    assert overall_status([result(Status.SKIP)]) == "GOOD"
    assert overall_status([result(Status.PASS), result(Status.WARN, Severity.LOW)]) == "GOOD"
    assert overall_status([result(Status.PASS), result(Status.WARN)]) == "WARNING"
    assert overall_status([result(Status.WARN), result(Status.FAIL, Severity.LOW)]) == "CRITICAL"


def test_recommendations_name_the_checks_once_and_the_weightiest_first(tmp_path: Path) -> None:
    results = [
        result(Status.WARN, Severity.LOW, remedy="set-locale"),
        result(Status.FAIL, Severity.CRITICAL, remedy="reinstall"),
        result(Status.PASS, remedy="restart"),
    ]
    report = build(results, Subject(tmp_path), "en", Timing(0, 0))
    assert len(report["recommendations"]) == 2
    assert report["recommendations"][0].startswith("[TST-001] install from the bundle again")


def test_every_remedy_that_a_check_proposes_is_on_the_list(repository: Path) -> None:
    import re

    sources = "".join(path.read_text() for path in (repository / "validator" / "checks").glob("*.py"))
    named = {key for key in REMEDIES if re.search(rf'"{key}"', sources)}
    assert named == set(REMEDIES)
    assert find("rm -rf") is None


def test_a_prefix_with_quotes_stays_one_word_of_the_command(tmp_path: Path) -> None:
    subject = Subject(tmp_path / "a b'; rm -rf x")
    for key in REMEDIES:
        import shlex

        command = command_of(key, subject)
        if "--prefix" in command:
            assert str(subject.prefix) in shlex.split(command)


def test_junit_is_well_formed_whatever_a_check_says(tmp_path: Path) -> None:
    odd = Text("\x00<&>\ud800", '"]]>\x1b[31m')
    item = Check("TST-002", Category.TOOLS, odd, Severity.LOW, lambda subject: Outcome(Status.PASS, T))
    results = [Result(item, Outcome(status, odd, "<", ">")) for status in Status]
    for lang in ("ko", "en"):
        tree = ElementTree.fromstring(junit.render(results, lang).encode())
        suite = tree[0]
        assert (suite.get("tests"), suite.get("failures"), suite.get("errors"), suite.get("skipped")) == (
            "6",
            "1",
            "2",
            "1",
        )


def test_the_report_file_is_json_and_the_console_speaks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], schema: jsonschema.Draft202012Validator
) -> None:
    file = tmp_path / "report.json"
    words = [
        "--prefix",
        str(tmp_path / "none"),
        "--output",
        str(file),
        "--lang",
        "ko",
        "--category",
        "ragtrace",
    ]
    assert main(words) == 0
    schema.validate(json.loads(file.read_text()))
    assert "종합 판정" in capsys.readouterr().out
