"""Reading a report: strict, and an error instead of a traceback whatever it holds."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundle.errors import UsageProblem
from recovery import diagnosis
from recovery.causes import UNKNOWN, group
from recovery.cli import main
from validator import limits
from validator.model import Status

from .report import entry, report, write


def text(value: Any) -> bytes:
    return json.dumps(value).encode()


def test_only_ids_and_statuses_are_taken() -> None:
    read = diagnosis.parse(text(report()))
    assert read.findings == (diagnosis.Finding("RAG-004", Status.FAIL),)
    assert "touch" not in repr(read)


def test_passes_and_skips_are_no_findings() -> None:
    entries = [entry(f"SYS-00{n}", status.value) for n, status in enumerate(Status)]
    found = diagnosis.parse(text(report("/x", *entries))).findings
    assert {item.status for item in found} == {Status.WARN, Status.FAIL, Status.ERROR, Status.UNKNOWN}


def test_a_report_of_another_version_is_read_as_far_as_it_is_known() -> None:
    """Newer: checks, statuses, keys and waivers that nobody here knows. Older: the product's status words only."""
    newer = report(
        "/x",
        entry("NEW-777", "fail", novelty={"deep": [1.5, None]}),
        entry("RAG-001", "catastrophic"),
        entry("SEC-001", "warn", waiver={"reason": "\x1b[31m", "expires": "2030-01-01"}),
        entry("SEC-003", "fail", waiver=None),
        more={"future": True},
    )
    found = diagnosis.parse(text(newer)).findings
    assert found == (
        diagnosis.Finding("NEW-777", Status.FAIL),
        diagnosis.Finding("RAG-001", Status.UNKNOWN),
        diagnosis.Finding("SEC-001", Status.WARN, waived=True),
        diagnosis.Finding("SEC-003", Status.FAIL),
    )
    assert group(found[:1])[0].cause is UNKNOWN
    older = report("/x", {"id": "RAG-004", "status": "FAIL"}, {"id": "SYS-001", "status": "PASS"})
    assert diagnosis.parse(text(older)).findings == (diagnosis.Finding("RAG-004", Status.FAIL),)
    assert diagnosis.parse(text({**report(), "timestamp": "tomorrow \x1b[2J"})).timestamp == ""


def one(**changes: Any) -> bytes:
    return text(report("/x", {**entry("SYS-001"), **changes}))


HOSTILE: dict[str, bytes] = {
    "empty": b"",
    "truncated": text(report())[:-20],
    "not utf-8": b'{"format": "\xff"}',
    "a list": b"[]",
    "nested": b'{"a":' + b"[" * 100_000,
    "nested closed": b'{"a":' + b"[" * 50 + b"]" * 50 + b"}",
    "nan": b'{"format": NaN}',
    "twice": b'{"format": 1, "format": 1}',
    "other format": text(report(format=2)),
    "format true": text(report(format=True)),
    "no format": text({"validation_results": []}),
    "results no list": text(report(validation_results={})),
    "no results": text({"format": 1, "prefix": "/x"}),
    "too many results": text(report(validation_results=[{}] * (limits.REPORT_RESULTS + 1))),
    "result no object": text(report(validation_results=["x"])),
    "id no text": one(id=1),
    "id with newline": one(id="SYS-001\n"),
    "id a command": one(id="; reboot"),
    "id with escapes": one(id="\x1b[2JSYS-001"),
    "status no word": one(raw_status="fail; reboot"),
    "status no text": one(raw_status=[]),
    "status with escapes": one(raw_status="\x1b[31mfail"),
    "same id twice": text(report("/x", entry("SYS-001"), entry("SYS-001"))),
    "prefix no text": text(report(prefix=7) | {"prefix": 7}),
    "prefix too long": text(report("/" + "x" * 5000)),
    "prefix with nul": text(report("/opt/\0")),
    "huge number": b'{"format": ' + b"9" * 10_000 + b"}",
    "huge fraction": b'{"format": 1.' + b"9" * 10_000 + b"}",
    "half a pair": b'{"format": 1, "x": "\\ud800"}',
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_report_exits_2_with_a_reason(
    data: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "report.json"
    file.write_bytes(data)
    assert main(["--diagnosis", str(file), "--prefix", str(tmp_path), "--lang", "en", "--yes"]) == 2
    shown = capsys.readouterr().err
    assert "refused" in shown
    assert "enterprise_validator.py --output" in shown, "what to do"
    assert "Traceback" not in shown
    assert "\x1b" not in shown
    assert len(shown) < 2000
    assert sorted(tmp_path.iterdir()) == [file]


def test_nothing_of_a_reports_text_is_ever_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mark = "MARKER\x1b]0;owned\x07$(reboot)"
    hostile: dict[str, Any] = {
        "check_name": mark,
        "details": mark,
        "recommendation": mark,
        "cause": mark,
        "documentation": mark,
    }
    remedy: dict[str, Any] = {"remedy": {"id": "rollback", "command": mark}, "waiver": None}
    document = report(
        tmp_path, entry("NEW-001", **hostile, **remedy), entry("SYS-008", "warn", **hostile, **remedy)
    )
    document.update(language=mark, recommendations=[mark], overall_status=mark, timestamp=mark)
    file = write(tmp_path / "report.json", document)
    for words in (["--plan"], ["--plan", "--json"], ["--yes"], ["--yes", "--json"]):
        main(["--diagnosis", str(file), "--prefix", str(tmp_path), *words])
        shown = "".join(capsys.readouterr())
        assert "SYS-008" in shown
        assert "MARKER" not in shown
        assert "owned" not in shown
        assert "\x1b" not in shown


def test_a_report_over_the_size_cap_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    file.write_bytes(b" " * (limits.REPORT_BYTES + 1))
    with pytest.raises(UsageProblem, match="larger than"):
        diagnosis.read_diagnosis(file)


@pytest.mark.parametrize("kind", ["missing", "folder", "pipe"])
def test_what_is_no_regular_file_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "report.json"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    with pytest.raises(UsageProblem):
        diagnosis.read_diagnosis(path)


def test_a_report_about_another_installation_decides_nothing_here(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(tmp_path / "report.json", report("/somewhere/\x1b[31melse"))
    assert main(["--diagnosis", str(file), "--prefix", str(tmp_path), "--yes", "--lang", "en"]) == 2
    shown = capsys.readouterr().err
    assert "another installation" in shown
    assert "else" not in shown


def test_the_same_installation_by_another_name_is_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    file = write(tmp_path / "report.json", report(tmp_path / "link", entry("SYS-008", "pass")))
    assert main(["--diagnosis", str(file), "--prefix", str(tmp_path / "real"), "--yes"]) == 0


@given(st.binary(max_size=200))
def test_no_bytes_give_anything_but_findings_or_a_refusal(data: bytes) -> None:
    try:
        diagnosis.parse(data)
    except ValueError:
        pass
