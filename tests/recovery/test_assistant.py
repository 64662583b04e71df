"""The assistant: explains by cause, asks, acts from the fixed list, records, checks again."""

from __future__ import annotations

import io
import json
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from recovery import actions
from recovery.causes import CAUSES, UNKNOWN, group
from recovery.cli import main
from recovery.diagnosis import Finding
from tests.validator.fakes import Installation
from validator.cli import main as validate
from validator.model import Status

# Stands in for the installer: notes how it was called, and for --start runs the toy service.
INSTALLER = """
import json, os, subprocess, sys, time, urllib.request
from pathlib import Path
words = sys.argv[1:]
prefix = Path(words[words.index("--prefix") + 1])
with open(prefix / "state" / "calls", "a") as log:
    log.write(" ".join(words[2:]) + "\\n")
if "--start" in words:
    sys.exit(0 if "start" in {names} else 1)
"""


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Installation]:
    made = Installation(tmp_path / "prefix")
    scripts = made.generation / "tools" / "04_Scripts"
    scripts.mkdir()
    (scripts / "install.py").write_text(INSTALLER.replace("{names}", "('start',)"))
    made.seal()
    yield made


def diagnose(place: Installation, tmp_path: Path, *ids: str) -> Path:
    file = tmp_path / "report.json"
    only = [word for identity in ids for word in ("--only", identity)]
    validate(["--prefix", str(place.root), "--output", str(file), "--lang", "en", *only])
    return file


def recover(place: Installation, file: Path, *words: str) -> int:
    return main(["--diagnosis", str(file), "--prefix", str(place.root), "--lang", "en", *words])


def calls(place: Installation) -> list[str]:
    path = place.root / "state" / "calls"
    return path.read_text().splitlines() if path.exists() else []


def audit(place: Installation) -> list[dict[str, object]]:
    path = place.root / "state" / "audit.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_wide_permissions_are_corrected_recorded_and_checked_again(
    place: Installation, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place.settings.chmod(0o644)
    (place.root / "config").chmod(0o777)
    assert recover(place, diagnose(place, tmp_path, "SEC-001"), "--yes") == 0
    assert stat.S_IMODE(place.settings.stat().st_mode) == 0o600
    assert stat.S_IMODE((place.root / "config").stat().st_mode) == 0o755
    assert [(e["action"], e["outcome"]) for e in audit(place)] == [
        ("recovery:fix-permissions", "started"),
        ("recovery:fix-permissions", "done"),
    ]
    assert "SEC-001" in capsys.readouterr().out


def test_world_writable_files_are_closed_and_the_receipt_holds_again(
    place: Installation, tmp_path: Path
) -> None:
    for path in (place.site / "toy_index", place.generation / "RECEIPT.json", place.root / "state"):
        path.chmod(path.stat().st_mode | 0o002)
    file = diagnose(place, tmp_path, "SEC-003", "PKG-001")
    assert recover(place, file, "--yes") == 3, "PKG-001 was not among what was checked again"
    assert validate(["--prefix", str(place.root), "--only", "SEC-003", "--only", "PKG-001"]) == 0


def test_without_consent_nothing_is_changed(
    place: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.settings.chmod(0o644)
    file = diagnose(place, tmp_path, "SEC-001")
    for answer in ("n\n", "", "what?\n"):
        monkeypatch.setattr(sys, "stdin", io.StringIO(answer))
        assert recover(place, file) == 3
    assert stat.S_IMODE(place.settings.stat().st_mode) == 0o644
    assert audit(place) == []


@pytest.mark.parametrize("answer", ["y\n", "예\n"])
def test_with_consent_it_is_done(
    place: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    place.settings.chmod(0o644)
    monkeypatch.setattr(sys, "stdin", io.StringIO(answer))
    assert recover(place, diagnose(place, tmp_path, "SEC-001")) == 0


def test_a_stopped_service_is_restarted_through_the_installer(place: Installation, tmp_path: Path) -> None:
    file = diagnose(place, tmp_path, "RAG-004")
    with place.serving():
        assert recover(place, file, "--yes") == 0
    assert calls(place) == ["--stop", "--start"]


def test_an_action_that_fails_is_recorded_as_failed(place: Installation, tmp_path: Path) -> None:
    file = diagnose(place, tmp_path, "RAG-004")
    script = place.generation / "tools" / "04_Scripts" / "install.py"
    script.write_text(INSTALLER.replace("{names}", "()"))
    assert recover(place, file, "--yes") == 3
    assert [e["outcome"] for e in audit(place)] == ["started", "failed"]


def test_rollback_is_offered_only_when_there_is_an_earlier_generation(
    place: Installation, tmp_path: Path
) -> None:
    from installer import pointer
    from installer.paths import Prefix

    (place.site / "toy_index" / "__init__.py").write_text("changed\n")
    file = diagnose(place, tmp_path, "PKG-001", "PKG-003")
    assert recover(place, file, "--yes") == 3
    assert calls(place) == []
    earlier = ("000000-aaaaaaaaaaaa",)
    pointer.write(Prefix(place.root), pointer.Pointer(place.name, place.digest, 1, earlier))
    recover(place, file, "--yes")
    assert calls(place) == ["--rollback"]


def test_an_audit_log_that_cannot_be_written_stops_the_action(place: Installation, tmp_path: Path) -> None:
    place.settings.chmod(0o644)
    file = diagnose(place, tmp_path, "SEC-001")
    (place.root / "state" / "audit.jsonl").mkdir()
    assert recover(place, file, "--yes") == 3
    assert stat.S_IMODE(place.settings.stat().st_mode) == 0o644


def test_a_planted_link_is_not_followed(place: Installation, tmp_path: Path) -> None:
    stranger = tmp_path / "stranger"
    stranger.write_text("x")
    stranger.chmod(0o666)
    (place.root / "config" / "link").symlink_to(stranger)
    place.settings.chmod(0o644)
    recover(place, diagnose(place, tmp_path, "SEC-001"), "--yes")
    assert stat.S_IMODE(stranger.stat().st_mode) == 0o666


def test_a_report_without_findings_needs_nothing(place: Installation, tmp_path: Path) -> None:
    assert recover(place, diagnose(place, tmp_path, "SEC-003"), "--yes") == 0
    assert audit(place) == []


def test_findings_are_grouped_by_cause_and_strangers_are_named_last() -> None:
    findings = [
        Finding(name, Status.FAIL) for name in ("NEW-001", "RAG-005", "PKG-003", "RAG-004", "PKG-001")
    ]
    groups = group(findings)
    assert [item.cause.id for item in groups] == ["damaged", "not-serving", "unknown"]
    assert groups[0].ids == ("PKG-003", "PKG-001")
    assert groups[-1].cause is UNKNOWN


def test_every_cause_speaks_both_languages_and_names_known_actions() -> None:
    for cause in (*CAUSES, UNKNOWN):
        for text in (cause.title, cause.explanation, cause.advice):
            assert text.ko
            assert text.en
            assert text.ko != text.en
        assert set(cause.actions) <= set(actions.ACTIONS)


def test_an_audit_entry_is_written_also_without_the_installer(
    place: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    from recovery.record import record

    monkeypatch.setitem(sys.modules, "installer", None)
    record(place.root, "restart", "done", ["RAG-004"])
    entry = audit(place)[0]
    assert (entry["action"], entry["outcome"], entry["checks"]) == ("recovery:restart", "done", ["RAG-004"])
    assert stat.S_IMODE((place.root / "state" / "audit.jsonl").stat().st_mode) == 0o600
