"""The audit log: every change is told, every line hangs on the one before, and nothing secret is in it."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bundle import chaincheck, chainlog
from bundle.errors import IntegrityError
from installer import audit, journal
from installer.commands.audit import describe
from installer.lock import Lock
from installer.paths import Prefix
from recovery.record import record as record_of_assistant
from tests.support.bundles import REPOSITORY, Bundle

from .site import Site

Make = Callable[..., Bundle]
SMALL = 2000


def fill(folder: Path, count: int, **options: Any) -> list[bytes]:
    """Write some records and return the lines of the first file."""
    for number in range(count):
        chainlog.append(folder, {"action": "test", "outcome": "ok", "number": number}, **options)
    return (folder / chainlog.FIRST).read_bytes().splitlines(keepends=True)


def problems(folder: Path) -> list[str]:
    return [finding.text().en for finding in chaincheck.read(folder).problems]


def test_every_line_names_the_one_before_by_number_and_digest(tmp_path: Path) -> None:
    lines = fill(tmp_path, 4)
    records = [json.loads(line) for line in lines]
    assert [record["n"] for record in records] == [1, 2, 3, 4]
    assert records[0]["previous"] == "0" * 64
    for line, record in zip(lines, records[1:]):
        assert record["previous"] == hashlib.sha256(line.rstrip(b"\n")).hexdigest()
    assert {"time", "actor", "host", "action", "outcome"} <= set(records[0])
    assert chaincheck.read(tmp_path).intact
    assert (tmp_path / chainlog.FIRST).stat().st_mode & 0o777 == 0o600


# What somebody does to the lines of a log of five records; and the line that tells.
ATTACKS: dict[str, tuple[Callable[[list[bytes]], list[bytes]], str]] = {
    "a record is changed": (lambda lines: [lines[0].replace(b"test", b"rest"), *lines[1:]], "audit.jsonl:2"),
    "a record is taken out": (lambda lines: lines[:1] + lines[2:], "audit.jsonl:2"),
    "two records change places": (lambda lines: [lines[1], lines[0], *lines[2:]], "audit.jsonl:1"),
    "a record is put in twice": (lambda lines: [*lines[:2], *lines[1:]], "audit.jsonl:3"),
    "the beginning is cut off": (lambda lines: lines[2:], "audit.jsonl:1"),
    "the end is cut off": (lambda lines: lines[:3], "audit-head.json"),
    "everything is cut off": (lambda lines: [], "audit-head.json"),
    "the last record is changed": (
        lambda lines: [*lines[:4], lines[4].replace(b"ok", b"OK")],
        "audit-head.json",
    ),
    "an unchained line is put in": (
        lambda lines: [*lines[:2], b'{"action": "x"}\n', *lines[2:]],
        "audit.jsonl:4",
    ),
    "garbage is put in": (lambda lines: [*lines[:2], b"\x00\xff\n", *lines[2:]], "audit.jsonl:4"),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_what_was_done_to_the_log_is_found_at_its_first_line(tmp_path: Path, name: str) -> None:
    lines = fill(tmp_path, 5)
    change, place = ATTACKS[name]
    (tmp_path / chainlog.FIRST).write_bytes(b"".join(change(lines)))
    assert problems(tmp_path)[0].startswith(place + ":")


@pytest.mark.parametrize(
    "name", [name for name in ATTACKS if "unchained" not in name and "garbage" not in name]
)
def test_what_was_done_to_the_log_is_still_found_after_the_next_records(tmp_path: Path, name: str) -> None:
    lines = fill(tmp_path, 5)
    (tmp_path / chainlog.FIRST).write_bytes(b"".join(ATTACKS[name][0](lines)))
    fill(tmp_path, 3)
    assert problems(tmp_path)


def test_a_log_written_anew_up_to_its_end_does_not_fit_its_head(tmp_path: Path) -> None:
    forged, real = tmp_path / "forged", tmp_path / "real"
    forged.mkdir()
    real.mkdir()
    fill(real, 3)
    chainlog.append(forged, {"action": "forged", "outcome": "ok"})
    fill(forged, 3)
    (real / chainlog.FIRST).write_bytes((forged / chainlog.FIRST).read_bytes())
    assert problems(real) == ["audit-head.json: record 3 is not the one that was written"]
    fill(real, 1)
    assert problems(real), "the next writer says so in the log itself"


@pytest.mark.parametrize("damage", ("gone", "garbage"))
def test_a_head_that_is_gone_or_damaged_is_told_now_and_later(tmp_path: Path, damage: str) -> None:
    fill(tmp_path, 3)
    if damage == "gone":
        (tmp_path / chainlog.HEAD).unlink()
    else:
        (tmp_path / chainlog.HEAD).write_bytes(b'{"n": 3}')
    assert problems(tmp_path)[0].startswith("audit-head.json:")
    fill(tmp_path, 1)
    assert "audit.jsonl:4" in problems(tmp_path)[0]


@pytest.mark.parametrize("torn", (b'{"act', b"\x00" * 300, b'{"action": "whole", "n": 3}', b"\r\n\x85 half"))
def test_a_torn_line_is_closed_by_a_record_that_says_so(tmp_path: Path, torn: bytes) -> None:
    fill(tmp_path, 2)
    with open(tmp_path / chainlog.FIRST, "ab") as stream:
        stream.write(torn)
    assert chaincheck.read(tmp_path).notices, "told before it is closed too"
    fill(tmp_path, 1)
    log = chaincheck.read(tmp_path)
    assert log.intact, problems(tmp_path)
    assert [record["action"] for record in log.records if "previous" in record] == [
        "test",
        "test",
        "audit-gap",
        "test",
    ]
    assert len(log.notices) == 1
    # Not even the garbage can be changed any more.
    data = (tmp_path / chainlog.FIRST).read_bytes()
    (tmp_path / chainlog.FIRST).write_bytes(data.replace(torn, torn[:-1] + b"?"))
    assert problems(tmp_path)


def test_killed_between_line_and_head_the_log_goes_on(tmp_path: Path) -> None:
    fill(tmp_path, 3)
    head = (tmp_path / chainlog.HEAD).read_bytes()
    fill(tmp_path, 1)
    (tmp_path / chainlog.HEAD).write_bytes(head)
    assert chaincheck.read(tmp_path).intact
    fill(tmp_path, 2)
    assert chaincheck.read(tmp_path).intact


def test_killed_before_the_very_first_head_the_log_goes_on(tmp_path: Path) -> None:
    fill(tmp_path, 1)
    (tmp_path / chainlog.HEAD).unlink()
    assert chaincheck.read(tmp_path).intact
    fill(tmp_path, 2)
    assert chaincheck.read(tmp_path).intact


def test_lines_of_earlier_releases_stay_and_are_hashed_into_the_first_chained_one(tmp_path: Path) -> None:
    old = b'{"action": "install", "actor": "root", "outcome": "ok", "time": "2026-01-01T00:00:00Z"}\n' * 2
    (tmp_path / chainlog.FIRST).write_bytes(old)
    assert chaincheck.read(tmp_path).intact
    fill(tmp_path, 2)
    log = chaincheck.read(tmp_path)
    assert log.intact
    assert [record["action"] for record in log.records] == ["install", "install", "test", "test"]
    assert log.records[2]["before_the_chain"] == {"bytes": len(old), "lines": 2}
    data = (tmp_path / chainlog.FIRST).read_bytes()
    (tmp_path / chainlog.FIRST).write_bytes(data.replace(b"root", b"toor", 1))
    assert problems(tmp_path)[0].startswith("audit.jsonl:3:")


def test_a_long_log_goes_on_in_a_file_that_hangs_on_the_last_one(tmp_path: Path) -> None:
    fill(tmp_path, 60, rotate_bytes=SMALL)
    log = chaincheck.read(tmp_path)
    assert log.intact
    assert log.files[:3] == ["audit.jsonl", "audit-000002.jsonl", "audit-000003.jsonl"]
    assert [record["n"] for record in log.records] == list(range(1, log.n + 1))
    assert [record["number"] for record in log.records if "number" in record] == list(range(60))
    for name in log.files:
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600
        assert (tmp_path / name).stat().st_size < 2 * SMALL
    (tmp_path / log.files[1]).unlink()
    assert "audit-000002.jsonl is missing" in problems(tmp_path)[0]


@pytest.mark.parametrize("rest", (None, b"", b"\x00" * 40))
def test_killed_while_it_rotates_the_log_goes_on(tmp_path: Path, rest: bytes | None) -> None:
    fill(tmp_path, 60, rotate_bytes=SMALL)
    newest = sorted(tmp_path.glob("audit-0*.jsonl"))[-1]
    records = newest.read_bytes().count(b"\n")
    # Back to the moment in which the file before was closed and nothing of the new one was durable.
    log = chaincheck.read(tmp_path)
    closed = log.records[-records - 1]
    assert closed["action"] == chainlog.CONTINUED
    chainlog.write_head(tmp_path, closed["n"] - 1, closed["previous"])
    newest.unlink()
    if rest is not None:
        newest.write_bytes(rest)
    fill(tmp_path, 1, rotate_bytes=SMALL)
    assert problems(tmp_path) == []


WRITER = """
import sys
from pathlib import Path
from bundle import chainlog
for number in range(int(sys.argv[2])):
    chainlog.append(Path(sys.argv[1]), {"action": sys.argv[3], "outcome": "ok"}, rotate_bytes=20000)
"""


def test_writers_side_by_side_do_not_break_the_chain(tmp_path: Path) -> None:
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path), "25", f"writer-{number}"], cwd=REPOSITORY
        )
        for number in range(4)
    ]
    assert [writer.wait(60) for writer in writers] == [0] * 4
    log = chaincheck.read(tmp_path)
    assert log.intact
    assert sum(record["action"].startswith("writer") for record in log.records) == 100


def test_the_recovery_assistant_writes_into_the_same_chain_while_an_installer_holds_its_lock(
    tmp_path: Path,
) -> None:
    prefix = Prefix(tmp_path)
    prefix.state.mkdir()
    audit.record(prefix, "install", "ok")
    with Lock(prefix.lock):
        record_of_assistant(tmp_path, "restart", "started", ["service.answers"])
    log = audit.read(prefix)
    assert log.intact
    assert [record["action"] for record in log.records] == ["install", "recovery:restart"]


@pytest.mark.skipif(not hasattr(os, "mkfifo") or os.geteuid() != 0, reason="mounts a small disk")
def test_a_record_that_does_not_fit_leaves_the_log_as_it_was(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(disk)], check=False).returncode:
        pytest.skip("cannot mount here")
    try:
        fill(disk, 2)
        with pytest.raises(OSError, match="No space left"):
            fill(disk, 1000)
        log = chaincheck.read(disk)
        assert log.intact
        assert (disk / chainlog.FIRST).read_bytes().endswith(b"\n")
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_link_in_the_place_of_the_log_is_not_followed(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(b"mine\n")
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / chainlog.FIRST).symlink_to(elsewhere)
    with pytest.raises(OSError, match="symbolic links"):
        audit.record(Prefix(tmp_path), "install", "ok")
    assert elsewhere.read_bytes() == b"mine\n"


def test_what_a_name_holds_cannot_drive_a_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_USER", "\x1b[2Jroot\n\udc80" + "x" * 5000)
    fill(tmp_path, 1)
    log = chaincheck.read(tmp_path)
    assert log.intact
    for lang in ("ko", "en"):
        shown = describe(log, lang)
        assert "\x1b" not in shown
        assert max(map(len, shown.splitlines())) < 300


def test_every_change_is_told_with_who_what_from_where_and_how_it_ended(site: Site, bundle_for: Make) -> None:
    first, second = bundle_for(), bundle_for(version="2.0.0", sequence=2)
    bad = bundle_for(version="3.0.0", sequence=3, serve="crash")
    assert site.install(first).code == 0
    assert site.install(second).code == 0
    assert site.install(bad).code == 16
    assert site.run("--rollback", first.generation).code == 0
    assert site.run("--rollback", "000009").code == 2
    (second.root / "03_Source" / "README.md").write_bytes(b"changed")
    assert site.install(second).code == 10
    assert site.run("--stop").code == 0
    assert site.run("--start").code == 0
    log = audit.read(site.prefix)
    assert log.intact, problems(site.prefix.state)
    told = [(record["action"], record["outcome"]) for record in log.records]
    assert told == [
        ("install", "ok"),
        ("install", "ok"),
        ("install", "RT-UNHEALTHY"),
        ("rollback", "ok"),
        ("rollback", "RT-USAGE"),
        ("install", "RT-INTEGRITY"),
        ("stop", "ok"),
        ("start", "ok"),
    ]
    one = log.records[1]
    assert (one["from"], one["to"], one["manifest"]) == (first.generation, second.generation, second.digest)
    assert (one["version"], one["origin"], one["signers"]) == ("2.0.0", "verified", [second.fingerprint])
    assert one["exit"] == 0
    assert one["seconds"] > 0
    assert log.records[2]["exit"] == 16


def test_audit_prints_a_table_or_everything_and_fails_where_the_chain_is_broken(
    site: Site, bundle_for: Make
) -> None:
    bundle = bundle_for(serve=None)
    site.install(bundle)
    site.run("--rollback")
    shown = site.run("--audit", "--lang", "ko")
    assert shown.code == 0
    assert "사슬이 온전합니다" in shown.out
    assert bundle.generation in shown.out
    document = site.run("--audit", "--json").document
    assert (document["intact"], document["head"]["n"]) == (True, len(document["records"]))
    data = site.prefix.audit.read_bytes()
    site.prefix.audit.write_bytes(data.replace(b'"ok"', b'"no"', 1))
    broken = site.run("--audit", "--lang", "en")
    assert broken.code == 10
    assert "audit.jsonl:2" in broken.err
    assert site.run("--audit", "--json").document["reference"] == IntegrityError.reference


def test_no_secret_reaches_audit_log_or_journal(site: Site, bundle_for: Make) -> None:
    canary = "canary-7f3a91"
    bundle = bundle_for()
    site.install(bundle)
    with open(site.prefix.settings, "a", encoding="utf-8") as stream:
        stream.write(f"RAGTRACE_API_KEY={canary}\n")
    (site.prefix.config / "ragtrace.yaml").write_text(f"language: ko\n# {canary}\n", encoding="utf-8")
    environment = {"RAGTRACE_API_KEY": canary, "HTTPS_PROXY": f"http://user:{canary}@proxy"}
    site.install(bundle_for(version="2.0.0", sequence=2), environment=environment)
    site.install(bundle_for(version="3.0.0", sequence=3, serve="crash"), environment=environment)
    site.run("--config", f"RAGTRACE_API_KEY={canary}-2")
    site.run("--rollback")
    state = sorted(site.prefix.state.iterdir())
    assert site.prefix.journal in state
    for path in state:
        assert canary.encode() not in path.read_bytes(), path
    assert list(journal.read_lines(site.prefix.journal))
