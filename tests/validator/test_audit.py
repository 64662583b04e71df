"""SEC-012: a record that was changed, cut off or never written shows; a trust file that cannot be read as well."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from bundle import chainlog
from installer import sealed
from tests.validator.fakes import Installation, run, status
from validator.checks import audit
from validator.model import Status


@pytest.fixture
def log(installation: Installation) -> Path:
    """The log of an installation that was started and stopped since."""
    state = installation.root / "state"
    for action in ("stop", "start"):
        chainlog.append(state, {"action": action, "outcome": "ok", "to": installation.name})
    return state / "audit.jsonl"


def test_an_intact_chain_passes(installation: Installation, log: Path) -> None:
    outcome = run(audit.audit_chain, installation.subject())
    assert outcome.status is Status.PASS
    assert outcome.measured.startswith("3 records in 1 files, head 3:")


def test_a_changed_record_fails(installation: Installation, log: Path) -> None:
    log.write_text(log.read_text().replace('"stop"', '"none"'))
    outcome = run(audit.audit_chain, installation.subject())
    assert outcome.status is Status.FAIL
    assert "audit.jsonl:3" in outcome.details.en
    assert not outcome.remedy


@pytest.mark.parametrize("kept", [0, 1, 2])
def test_a_log_whose_end_was_cut_off_fails(installation: Installation, log: Path, kept: int) -> None:
    lines = log.read_text().splitlines(keepends=True)
    log.write_text("".join(lines[:kept]))
    assert status(audit.audit_chain, installation.subject()) is Status.FAIL


def test_a_record_taken_out_and_a_head_taken_away_fail(installation: Installation, log: Path) -> None:
    lines = log.read_text().splitlines(keepends=True)
    log.write_text(lines[0] + lines[2])
    assert status(audit.audit_chain, installation.subject()) is Status.FAIL
    log.write_text("".join(lines))
    (log.parent / chainlog.HEAD).unlink()
    assert status(audit.audit_chain, installation.subject()) is Status.FAIL


def test_no_log_at_all_fails(installation: Installation, log: Path) -> None:
    log.unlink()
    (log.parent / chainlog.HEAD).unlink()
    assert "no audit log" in run(audit.audit_chain, installation.subject()).details.en


def test_a_log_put_back_to_before_this_release_warns(installation: Installation, log: Path) -> None:
    for path in (log, log.parent / chainlog.HEAD):
        path.unlink()
    chainlog.append(log.parent, {"action": "install", "outcome": "ok", "to": "000001-aaaaaaaaaaaa"})
    assert status(audit.audit_chain, installation.subject()) is Status.WARN


def test_a_repaired_rebuild_of_a_recorded_release_passes(installation: Installation, log: Path) -> None:
    for path in (log, log.parent / chainlog.HEAD):
        path.unlink()
    chainlog.append(log.parent, {"action": "repair", "outcome": "ok", "to": installation.name + "-r1"})
    assert status(audit.audit_chain, installation.subject()) is Status.PASS


def test_a_line_that_is_still_being_written_is_no_damage(installation: Installation, log: Path) -> None:
    with log.open("a") as file:
        file.write('{"action": "sta')
    assert status(audit.audit_chain, installation.subject()) is Status.PASS


def test_a_release_that_is_not_accepted_yet_has_no_record(installation: Installation, log: Path) -> None:
    (installation.root / "trust" / "accepted.json").unlink()
    assert status(audit.audit_chain, installation.subject()) is Status.SKIP
    os.utime(installation.root / "current.json", (1, 1))
    assert "accepted.json: it is missing" in run(audit.audit_chain, installation.subject()).details.en


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("accepted.json", "{"),
        ("accepted.json", json.dumps({"generations": [], "checksum": "0" * 64})),
        ("records.json", "[]"),
        ("records.json", sealed.seal({"format": 1, "records": []}).decode()),
        ("records.json", sealed.seal({"format": 1, "records": [{"record": "{}"}]}).decode()),
        ("allowed_signers", "builder ssh-ed25519 AAAA\n"),
    ],
)
def test_a_damaged_trust_file_fails(installation: Installation, name: str, text: str) -> None:
    (installation.root / "trust" / name).write_text(text)
    outcome = run(audit.audit_chain, installation.subject())
    assert outcome.status is Status.FAIL
    assert f"trust/{name}: " in outcome.details.en
