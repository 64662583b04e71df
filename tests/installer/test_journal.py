"""The journal is advice: it tells of unfinished runs, and nothing in it can stop a recovery."""

from __future__ import annotations

import os
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
    assert path.stat().st_size < 1000


def test_a_journal_that_cannot_be_written_does_not_stop_a_run(tmp_path: Path) -> None:
    log = journal.Journal(tmp_path / "missing" / "journal.jsonl", "install")
    log.begin()
    assert log.failure is not None
