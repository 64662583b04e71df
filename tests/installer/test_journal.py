"""The journal is advice: it tells of unfinished runs, and nothing in it can stop a recovery."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from installer import journal


def test_a_run_without_an_end_is_unfinished(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    log = journal.Journal(path, "install")
    log.begin(to="x")
    log.note("step", step="files")
    begun = journal.unfinished(path)
    assert begun is not None
    assert begun["to"] == "x"
    log.note("end", outcome="committed")
    assert journal.unfinished(path) is None


@pytest.mark.parametrize(
    "garbage", (b"\x00" * 50, b'{"event":', b"[" * 5000, os.urandom(400), b"null\n3\n[]\n", b'{"event": 7}\n')
)
def test_garbage_is_passed_over_and_the_next_line_stands_alone(tmp_path: Path, garbage: bytes) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_bytes(garbage)
    journal.Journal(path, "install").begin(to="after")
    begun = journal.unfinished(path)
    assert begun is not None
    assert begun["to"] == "after"


def test_a_long_journal_is_started_anew(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b'{"event": "step"}\n' * 20_000)
    journal.Journal(path, "install").begin()
    assert path.stat().st_size == journal.REGION_BYTES
    assert [line["event"] for line in journal.read_lines(path)] == ["begin"]


def test_a_run_writes_its_journal_into_blocks_it_took_at_its_beginning(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    log = journal.Journal(path, "install")
    log.begin()
    before = path.stat()
    for number in range(50):
        log.note("step", step=f"step-{number}")
    log.note("end", outcome="committed")
    after = path.stat()
    assert (after.st_size, after.st_blocks, after.st_ino) == (before.st_size, before.st_blocks, before.st_ino)
    assert before.st_blocks * 512 >= journal.REGION_BYTES, "real blocks, not a hole"
    assert [line["event"] for line in journal.read_lines(path)] == ["begin", *["step"] * 50, "end"]


def test_earlier_runs_stay_readable_while_they_fit_and_the_file_never_grows(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    for number in range(400):
        log = journal.Journal(path, "install")
        log.begin(to=str(number) * 20)
        for step in range(5):
            log.note("step", step=step, filler="x" * 200)
        log.note("end", outcome="committed")
        assert path.stat().st_size == journal.REGION_BYTES
    runs = [line["to"] for line in journal.read_lines(path) if line["event"] == "begin"]
    assert runs[-1] == "399" * 20
    assert len(runs) > 1


@pytest.mark.parametrize("kept", (0, 1, 40, 41, 97))
def test_a_line_torn_by_a_power_cut_stands_alone(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "journal.jsonl"
    log = journal.Journal(path, "install")
    log.begin(to="x")
    whole = path.read_bytes()
    log.note("step", step="torn")
    data = bytearray(path.read_bytes())
    begin = len(whole.rstrip(b"\n")) + 1
    # What was written after the first `kept` bytes is still the padding.
    data[begin + kept :] = whole[begin + kept :]
    path.write_bytes(data)
    assert journal.unfinished(path) is not None
    log.note("end")
    assert journal.unfinished(path) is None


@pytest.mark.skipif(not Path("/proc/self/mounts").exists() or os.geteuid() != 0, reason="mounts a small disk")
def test_a_full_disk_does_not_stop_the_journal(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "none", str(disk)], check=False)
    if done.returncode != 0:
        pytest.skip("cannot mount here")
    try:
        log = journal.Journal(disk / "journal.jsonl", "install")
        log.begin(to="x")
        with (
            pytest.raises(OSError, match="No space left"),
            open(disk / "filler", "wb", buffering=0) as filler,
        ):
            while True:
                filler.write(bytes(4096))
        log.note("end", outcome="undone")
        assert log.failure is None
        assert journal.unfinished(log.path) is None
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_journal_that_cannot_be_written_does_not_stop_a_run(tmp_path: Path) -> None:
    log = journal.Journal(tmp_path / "missing" / "journal.jsonl", "install")
    log.begin()
    assert log.failure is not None
