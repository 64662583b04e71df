"""The assistant: explains by cause, looks first, asks, acts from the fixed list, records, checks again."""

from __future__ import annotations

import io
import json
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from installer import pointer
from installer.paths import Prefix
from recovery import actions
from recovery.causes import CAUSES, UNKNOWN, group
from recovery.cli import main
from recovery.diagnosis import Finding
from recovery.record import record
from tests.validator.fakes import Installation
from validator.cli import main as validate
from validator.model import Status
from validator.remedies import REMEDIES

from .report import entry, report, write

# Stands in for the installer: notes how it was called, and ends as `state/answers` says.
INSTALLER = """
import json, sys
from pathlib import Path
words = sys.argv[1:]
state = Path(words[words.index("--prefix") + 1], "state")
mine = [word for word in words[2:] if word not in ("--json", "--lang", "en", "ko")]
with open(state / "calls", "a") as log:
    log.write(" ".join(mine) + "\\n")
answers = json.loads((state / "answers").read_text()) if (state / "answers").exists() else {}
code = answers.get(mine[0], 0)
print(json.dumps({"ok": not code, "summary": "it went wrong", "next": "do this", "bytes": 5000000}))
sys.exit(code)
"""


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Installation]:
    made = Installation(tmp_path / "prefix")
    scripts = made.generation / "tools" / "04_Scripts"
    scripts.mkdir()
    (scripts / "install.py").write_text(INSTALLER)
    made.seal()
    yield made


def diagnose(place: Installation, *ids: str) -> Path:
    file = place.root.parent / "report.json"
    only = [word for identity in ids for word in ("--only", identity)]
    validate(["--prefix", str(place.root), "--output", str(file), "--lang", "en", *only])
    return file


def recover(place: Installation, file: Path, *words: str) -> int:
    return main(["--diagnosis", str(file), "--prefix", str(place.root), "--lang", "en", *words])


def calls(place: Installation) -> list[str]:
    path = place.root / "state" / "calls"
    return path.read_text().splitlines() if path.exists() else []


def answers(place: Installation, **codes: int) -> None:
    named = {f"--{name.replace('_', '-')}": code for name, code in codes.items()}
    (place.root / "state" / "answers").write_text(json.dumps(named))


def audit(place: Installation) -> list[tuple[str, str]]:
    path = place.root / "state" / "audit.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    mine = [line for line in lines if line["action"].startswith("recovery:")]
    return [(line["action"].removeprefix("recovery:"), line["outcome"]) for line in mine]


def earlier(place: Installation) -> None:
    before = pointer.Pointer(place.name, place.digest, 1, ("000000-aaaaaaaaaaaa",))
    pointer.write(Prefix(place.root), before)


def damage(place: Installation) -> None:
    (place.site / "toy_index" / "__init__.py").write_text("changed\n")


def answer(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))


def test_wide_permissions_are_corrected_recorded_and_checked_again(
    place: Installation, capsys: pytest.CaptureFixture[str]
) -> None:
    place.settings.chmod(0o644)
    (place.root / "config").chmod(0o777)
    assert recover(place, diagnose(place, "SEC-001"), "--yes") == 0
    assert stat.S_IMODE(place.settings.stat().st_mode) == 0o600
    assert stat.S_IMODE((place.root / "config").stat().st_mode) == 0o755
    assert audit(place) == [("fix-permissions", "started"), ("fix-permissions", "done")]
    assert "the cause is gone" in capsys.readouterr().out


def test_world_writable_files_are_closed_and_the_receipt_holds_again(place: Installation) -> None:
    """One action puts two causes right: what comes later is looked at again and left alone."""
    for path in (place.site / "toy_index", place.generation / "RECEIPT.json", place.root / "state"):
        path.chmod(path.stat().st_mode | 0o002)
    assert recover(place, diagnose(place, "SEC-003", "PKG-001"), "--yes") == 0
    assert calls(place) == [], "PKG-001 needed no repair any more"


PLUGIN = """
from pathlib import Path
def run(context):
    private = Path(context["config"]).parent.stat().st_mode & 0o022 == 0
    return {"status": "pass" if private else "fail", "details": {"ko": "-", "en": "-"}}
CHECKS = [{"id": "ABC-001", "category": "Security", "title": {"ko": "-", "en": "-"}, "severity": "high",
           "timeout_s": 5, "run": run}]
"""


def test_what_a_plugin_found_is_looked_at_again_too(place: Installation) -> None:
    """A cause shows in checks of plugins as well: once it is gone, they must not stay open for ever."""
    (place.root / "config" / "checks").mkdir()
    (place.root / "config" / "checks" / "abc.py").write_text(PLUGIN)
    (place.root / "config").chmod(0o777)
    file = diagnose(place, "SEC-001", "ABC-001")
    found = {each["id"]: each["raw_status"] for each in json.loads(file.read_text())["validation_results"]}
    assert found == {"SEC-001": "fail", "ABC-001": "fail"}
    assert recover(place, file, "--yes") == 0


def test_a_check_that_nobody_knows_any_more_stays_open(place: Installation) -> None:
    file = write(place.root.parent / "report.json", report(place.root, entry("ABC-001")))
    assert recover(place, file, "--yes") == 3


def test_an_old_report_leads_to_nothing(place: Installation, capsys: pytest.CaptureFixture[str]) -> None:
    """Everything is sound: a report that says otherwise, be it old or forged, changes nothing."""
    earlier(place)
    findings = [entry(name) for name in ("PKG-001", "SEC-001", "SEC-003", "RAG-001")]
    file = write(place.root.parent / "report.json", report(place.root, *findings))
    assert recover(place, file, "--yes") == 0
    shown = capsys.readouterr().out
    assert calls(place) == []
    assert audit(place) == []
    assert shown.count("it is not there any more") == 4


def test_without_consent_nothing_is_changed_but_the_record_of_it(
    place: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.settings.chmod(0o644)
    file = diagnose(place, "SEC-001")
    for text in ("n\n", "", "what?\n"):
        answer(monkeypatch, text)
        assert recover(place, file) == 3
    assert stat.S_IMODE(place.settings.stat().st_mode) == 0o644
    assert audit(place) == [("fix-permissions", "declined")] * 3


@pytest.mark.parametrize("text", ["y\n", "예\n"])
def test_with_consent_it_is_done(place: Installation, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    place.settings.chmod(0o644)
    answer(monkeypatch, text)
    assert recover(place, diagnose(place, "SEC-001")) == 0


def test_q_leaves_everything_that_follows(place: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    place.settings.chmod(0o644)
    damage(place)
    answer(monkeypatch, "q\ny\ny\n")
    assert recover(place, diagnose(place, "SEC-001", "PKG-001")) == 3
    assert audit(place) == [("fix-permissions", "declined")]
    assert calls(place) == []


def test_a_stopped_service_is_restarted_through_the_installer(place: Installation) -> None:
    """The played installer starts nothing, so the cause stays, and each action is tried once."""
    assert recover(place, diagnose(place, "RAG-004"), "--yes") == 3
    assert calls(place) == ["--stop", "--start"]
    assert audit(place) == [("restart", "started"), ("restart", "done")]


def test_cheap_and_certain_actions_come_first_and_the_next_only_if_the_cause_stays(
    place: Installation,
) -> None:
    earlier(place)
    damage(place)
    file = diagnose(place, "PKG-001", "PKG-003", "SEC-001")
    assert recover(place, file, "--yes") == 3
    assert calls(place) == ["--repair", "--rollback"]
    assert [line for line in audit(place) if line[1] != "started"] == [
        ("repair", "done"),
        ("rollback", "done"),
    ]


def test_a_repair_takes_from_a_bundle_that_was_carried_in(place: Installation, tmp_path: Path) -> None:
    damage(place)
    (tmp_path / "usb").mkdir()
    recover(place, diagnose(place, "PKG-001"), "--yes", "--bundle", str(tmp_path / "usb"))
    assert calls(place) == [f"--repair --bundle {tmp_path / 'usb'}"]
    assert recover(place, tmp_path / "report.json", "--yes", "--bundle", str(tmp_path / "no")) == 2


def test_what_is_not_possible_is_said_with_its_reason_and_recorded(
    place: Installation, capsys: pytest.CaptureFixture[str]
) -> None:
    damage(place)
    answers(place, repair=10)
    assert recover(place, diagnose(place, "PKG-001"), "--yes") == 3
    shown = capsys.readouterr().out
    assert "there is no earlier generation" in shown
    assert "--bundle PATH" in shown, "what the repair lacks"
    assert ("rollback", "unavailable") in audit(place)
    assert ("repair", "failed") in audit(place)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (15, "another installer is at work"),
        (16, "did not become healthy"),
        (12, "requirements"),
        (99, "does not run"),
    ],
)
def test_every_end_of_the_installer_is_said_in_words(
    place: Installation, capsys: pytest.CaptureFixture[str], code: int, said: str
) -> None:
    damage(place)
    answers(place, repair=code)
    recover(place, diagnose(place, "PKG-001"), "--yes")
    shown = capsys.readouterr().out
    assert said in shown
    assert f"install.py: {code}" in shown
    assert "it went wrong / do this" in shown


def test_a_damaged_installer_is_not_asked_to_repair(
    place: Installation, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = place.generation / "tools" / "04_Scripts" / "install.py"
    script.write_text("raise SystemExit('torn')")
    bundle = tmp_path / "usb" / "04_Scripts"
    bundle.mkdir(parents=True)
    (bundle / "install.py").write_text(INSTALLER)
    recover(place, diagnose(place, "PKG-001"), "--yes", "--bundle", str(tmp_path / "usb"))
    assert calls(place) == [f"--repair --bundle {tmp_path / 'usb'}"]


def test_an_audit_log_that_cannot_be_written_stops_the_action(
    place: Installation, capsys: pytest.CaptureFixture[str]
) -> None:
    place.settings.chmod(0o644)
    file = diagnose(place, "SEC-001")
    log = place.root / "state" / "audit.jsonl"
    log.unlink(missing_ok=True)
    log.mkdir()
    assert recover(place, file, "--yes") == 3
    assert stat.S_IMODE(place.settings.stat().st_mode) == 0o644
    assert "audit log cannot be written" in capsys.readouterr().out


def test_an_audit_log_that_breaks_meanwhile_is_said_and_no_traceback(
    place: Installation, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    place.settings.chmod(0o644)
    file = diagnose(place, "SEC-001")
    noted: list[str] = []

    def failing(prefix: Path, action: str, outcome: str, checks: object) -> None:
        noted.append(outcome)
        if outcome != "started":
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("recovery.assistant.record", failing)
    assert recover(place, file, "--yes") == 0
    assert noted == ["started", "done"]
    assert "could not be written to the audit log" in capsys.readouterr().out


def test_a_full_disk_does_not_keep_space_from_being_freed(
    place: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(prefix: Path, action: str, outcome: str, checks: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("recovery.assistant.record", full)
    monkeypatch.setattr("recovery.assistant.Assistant._still_there", lambda *words: True)
    place.settings.chmod(0o644)
    file = write(place.root.parent / "r.json", report(place.root, entry("SYS-006"), entry("SEC-001")))
    recover(place, file, "--yes")
    assert calls(place) == ["--prune --caches --dry-run", "--prune --caches"]
    assert stat.S_IMODE(place.settings.stat().st_mode) == 0o644, "everything else waits for the record"


def test_how_much_would_be_freed_is_said_before_it_is_done(
    place: Installation, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(place.root.parent / "r.json", report(place.root, entry("SYS-006")))
    recover(place, file, "--plan")
    assert "5,000,000 bytes" in capsys.readouterr().out
    assert calls(place) == ["--prune --caches --dry-run"]


def test_a_planted_link_is_not_followed(place: Installation, tmp_path: Path) -> None:
    stranger = tmp_path / "stranger"
    stranger.write_text("x")
    stranger.chmod(0o666)
    (place.root / "config" / "link").symlink_to(stranger)
    place.settings.chmod(0o644)
    recover(place, diagnose(place, "SEC-001"), "--yes")
    assert stat.S_IMODE(stranger.stat().st_mode) == 0o666


def test_a_report_without_findings_needs_nothing(place: Installation) -> None:
    assert recover(place, diagnose(place, "SEC-003"), "--yes") == 0
    assert audit(place) == []


def test_what_was_accepted_by_a_waiver_is_shown_and_left_alone(
    place: Installation, capsys: pytest.CaptureFixture[str]
) -> None:
    place.settings.chmod(0o644)
    found = entry("SEC-001", waiver={"reason": "later", "expires": "2030-01-01"})
    file = write(place.root.parent / "r.json", report(place.root, found))
    assert recover(place, file, "--yes") == 0
    assert "accepted by a waiver, left alone: SEC-001" in capsys.readouterr().out
    assert stat.S_IMODE(place.settings.stat().st_mode) == 0o644


def tree(root: Path) -> dict[str, tuple[int, int, int, bytes]]:
    """Everything that a plan must not touch: kind and mode, owner, time of change, contents."""
    found = {}
    for path in [root, *sorted(root.rglob("*"))]:
        facts = path.lstat()
        data = path.read_bytes() if stat.S_ISREG(facts.st_mode) else b""
        found[str(path)] = (facts.st_mode, facts.st_uid, facts.st_mtime_ns, data)
    return found


def test_a_plan_names_everything_and_changes_nothing(
    place: Installation, capsys: pytest.CaptureFixture[str]
) -> None:
    earlier(place)
    known = sorted({identity for cause in CAUSES for identity in cause.checks})
    file = write(place.root.parent / "r.json", report(place.root, *(entry(name) for name in known)))
    # The played installer notes that it was called; the real one's dry run is tested with the real one.
    (place.root / "state" / "calls").symlink_to("/dev/null")
    before = tree(place.root)
    assert recover(place, file, "--plan") == 3
    assert tree(place.root) == before
    shown = capsys.readouterr().out
    assert "nothing is changed" in shown
    for action in actions.ACTIONS.values():
        assert action.title.en in shown
    assert recover(place, file, "--dry-run", "--json") == 3
    assert tree(place.root) == before
    document = json.loads(capsys.readouterr().out)
    steps = {step["id"]: step for case in document["causes"] for step in case["actions"]}
    assert set(steps) == set(actions.ACTIONS)
    assert {name: step["state"] for name, step in steps.items()} == {
        **dict.fromkeys(steps, "planned"),
        "renew-snapshot": "unavailable",
    }
    assert (document["changed"], document["exit_code"]) == (False, 3)
    assert all(step["changes"] and step["undo"] for step in steps.values())


def test_the_result_as_data(place: Installation, capsys: pytest.CaptureFixture[str]) -> None:
    place.settings.chmod(0o644)
    file = diagnose(place, "SEC-001")
    capsys.readouterr()
    assert recover(place, file, "--yes", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["changed"] is True
    assert document["left"] == {}
    (case,) = document["causes"]
    assert (case["id"], case["actions"][0]["state"]) == ("permissions", "done")


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--diagnosis", "x", "--json"],
        ["--diagnosis", "x", "--yes", "--plan"],
        ["--diagnosis", "x", "--preview"],
    ],
)
def test_a_wrong_usage_says_so(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*words, "--lang", "en"]) == 2
    shown = capsys.readouterr().err
    assert "--help" in shown
    assert "nothing was changed" in shown


def test_whoever_lacks_the_rights_is_told_the_command(
    place: Installation, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    earlier(place)
    place.settings.chmod(0o644)
    damage(place)
    file = diagnose(place, "SEC-001", "PKG-001")
    capsys.readouterr()
    monkeypatch.setattr("recovery.privileges.owner_of", lambda subject: 0)
    monkeypatch.setattr("recovery.privileges.os.geteuid", lambda: 4711)
    assert recover(place, file, "--yes") == 3
    shown = capsys.readouterr().out
    script = place.generation / "tools" / "04_Scripts" / "install.py"
    assert f"sudo python3 {script} --prefix {place.root} --repair" in shown
    assert f"--diagnosis {file} --prefix {place.root}" in shown, "for what the installer has no command for"
    assert calls(place) == []
    assert stat.S_IMODE(place.settings.stat().st_mode) == 0o644


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
    assert len({cause.id for cause in CAUSES}) == len(CAUSES)
    offered = {name for cause in CAUSES for name in cause.actions}
    assert offered == set(actions.ACTIONS), "an action that nothing offers"


def test_every_action_says_what_changes_and_how_to_undo_it_in_both_languages() -> None:
    for action in actions.ACTIONS.values():
        for text in (action.title, action.changes, action.undo):
            assert text.ko
            assert text.en
    same = {"restart", "rollback"} & set(REMEDIES)
    assert {"repair", "rebuild-index", "extract-model", "restore-unit", "renew-snapshot", *same} <= set(
        REMEDIES
    )


def test_an_audit_entry_is_written_also_without_the_installer(
    place: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "installer", None)
    record(place.root, "restart", "done", ["RAG-004"])
    path = place.root / "state" / "audit.jsonl"
    last: dict[str, Any] = json.loads(path.read_text().splitlines()[-1])
    assert (last["action"], last["outcome"], last["checks"]) == (
        "recovery:restart",
        "done",
        ["RAG-004"],
    )
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_support_bundle_needs_no_report_and_a_preview_writes_nothing(
    place: Installation, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "out" / "support.zip"
    target.parent.mkdir()
    words = ["--support-bundle", str(target), "--prefix", str(place.root), "--lang", "en"]
    assert main([*words, "--preview"]) == 0
    assert "nothing was written" in capsys.readouterr().out
    assert list(target.parent.iterdir()) == []
