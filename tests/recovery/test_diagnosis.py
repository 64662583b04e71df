"""Reading a report: strict, and an error instead of a traceback whatever it holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundle.errors import UsageProblem
from recovery import diagnosis
from recovery.cli import main
from validator import limits
from validator.model import Status


def report(prefix: str = "/opt/x", **changes: Any) -> dict[str, Any]:
    entry = {"id": "RAG-004", "raw_status": "fail", "recommendation": "$(touch /tmp/owned)", "details": "x"}
    base = {"format": 1, "timestamp": "2026-01-01T00:00:00Z", "prefix": prefix, "validation_results": [entry]}
    return {**base, **changes}


def text(value: Any) -> bytes:
    return json.dumps(value).encode()


def test_only_ids_and_statuses_are_taken() -> None:
    read = diagnosis.parse(text(report()))
    assert read.findings == (diagnosis.Finding("RAG-004", Status.FAIL),)
    assert "touch" not in repr(read)


def test_passes_and_skips_are_no_findings() -> None:
    entries = [{"id": f"SYS-00{n}", "raw_status": status.value} for n, status in enumerate(Status)]
    found = diagnosis.parse(text(report(validation_results=entries))).findings
    assert {item.status for item in found} == {Status.WARN, Status.FAIL, Status.ERROR, Status.UNKNOWN}


HOSTILE: dict[str, bytes] = {
    "empty": b"",
    "truncated": text(report())[:-20],
    "not utf-8": b'{"format": "\xff"}',
    "a list": b"[]",
    "nested": b'{"a":' + b"[" * 100_000,
    "nan": b'{"format": NaN}',
    "twice": b'{"format": 1, "format": 1}',
    "other format": text(report(format=2)),
    "results no list": text(report(validation_results={})),
    "too many results": text(report(validation_results=[{}] * (limits.REPORT_RESULTS + 1))),
    "result no object": text(report(validation_results=["x"])),
    "id no text": text(report(validation_results=[{"id": 1, "raw_status": "fail"}])),
    "id with newline": text(report(validation_results=[{"id": "SYS-001\n", "raw_status": "fail"}])),
    "id a command": text(report(validation_results=[{"id": "; reboot", "raw_status": "fail"}])),
    "status unknown": text(report(validation_results=[{"id": "SYS-001", "raw_status": "great"}])),
    "status no text": text(report(validation_results=[{"id": "SYS-001", "raw_status": []}])),
    "same id twice": text(report(validation_results=[{"id": "SYS-001", "raw_status": "fail"}] * 2)),
    "escape in prefix": text(report(prefix="/opt/\x1b[31m")),
    "no timestamp": text({**report(), "timestamp": None}),
    "huge number": b'{"format": ' + b"9" * 10_000 + b"}",
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
    assert "Traceback" not in shown
    assert sorted(tmp_path.iterdir()) == [file]


def test_a_report_over_the_size_cap_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    file.write_bytes(b" " * (limits.REPORT_BYTES + 1))
    with pytest.raises(UsageProblem, match="larger than"):
        diagnosis.read_diagnosis(file)


@pytest.mark.parametrize("kind", ["missing", "folder", "pipe"])
def test_what_is_no_regular_file_is_refused(tmp_path: Path, kind: str) -> None:
    import os

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
    file = tmp_path / "report.json"
    file.write_bytes(text(report("/somewhere/else")))
    assert main(["--diagnosis", str(file), "--prefix", str(tmp_path), "--yes", "--lang", "en"]) == 2
    assert "another installation" in capsys.readouterr().err


@given(st.binary(max_size=200))
def test_no_bytes_give_anything_but_findings_or_a_refusal(data: bytes) -> None:
    try:
        diagnosis.parse(data)
    except ValueError:
        pass
