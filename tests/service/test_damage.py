"""What the service does at its start when records or index are damaged: real processes, real files."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ragtrace.adapters.tantivy_index import LAYOUT
from tests.service.loopback import request
from tests.service.support import write
from tests.service.test_cli import CLI, environment, free_port, result, run

WORDS = {"RAGTRACE_ANALYZER_KIND": "whitespace"}
QUESTION = json.dumps({"qry_contents": "낱말7 무엇?"}).encode()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with forty documents in it."""
    home = tmp_path / "home"
    (home / "config").mkdir(parents=True)
    folder = write(
        tmp_path / "docs", {f"{n:03}.txt": f"문서 {n}\n낱말{n} 글입니다.\n" * 3 for n in range(40)}
    )
    assert result(run(home, "ingest", str(folder), "--json", **WORDS))["documents"] == 40
    return home


@contextlib.contextmanager
def started(home: Path) -> Iterator[tuple[subprocess.Popen[bytes], int, Path]]:
    port, log = free_port(), home / "log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, str(CLI), "serve"], stderr=stream,
            env=environment(home, RAGTRACE_SERVER_PORT=str(port), RAGTRACE_GENERATION="000001-a", **WORDS),
        )  # fmt: skip
    try:
        yield process, port, log
    finally:
        process.kill()
        process.wait()


def told(port: int, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Ask until the answer of /readyz is as wanted."""
    deadline = time.monotonic() + 60
    answer: dict[str, Any] = {}
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            answer = request(port, "GET", "/readyz").json()
            if wanted(answer):
                return answer
        time.sleep(0.05)
    raise AssertionError(answer)


def index_of(home: Path) -> Path:
    return home / "data" / "index" / LAYOUT


def zero(path: Path) -> None:
    path.write_bytes(b"\0" * path.stat().st_size)


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 4] ^= 0xFF
    path.write_bytes(data)


def each(kind: str, change: Callable[[Path], object]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        found = sorted(folder.glob(kind))
        assert found
        for path in found:
            change(path)

    return apply


DAMAGES: dict[str, Callable[[Path], None]] = {
    "meta.json is missing": each("meta.json", Path.unlink),
    "meta.json is empty": each("meta.json", lambda path: path.write_bytes(b"")),
    "the store is zeroed": each("*.store", zero),
    "the store is cut short": each("*.store", lambda path: os.truncate(path, path.stat().st_size // 2)),
    "the terms are missing": each("*.term", Path.unlink),
    "one byte of the terms is another": each("*.term", flip),
    "the list of files is zeroed": each(".managed.json", zero),
}


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda name: str(name).replace(" ", "-"))
def test_a_damaged_index_is_made_anew_at_the_start(home: Path, damage: str) -> None:
    DAMAGES[damage](index_of(home))
    with started(home) as (process, port, log):
        told(port, lambda answer: answer["status"] == "ready")
        answer = request(port, "POST", "/query", QUESTION).json()
        assert answer["detail"] == "answered" and "낱말7" in answer["data_list"][-1]["rsp_data"]
        assert process.poll() is None and b"Traceback" not in log.read_bytes()
    assert result(run(home, "index", "verify", "--json", **WORDS))["ok"]


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (cut, "damaged"),
        (zero, "damaged"),
        (lambda path: path.write_bytes(b""), "gone or empty"),
        (Path.unlink, "gone or empty"),
    ],
    ids=["cut", "zeroed", "empty", "missing"],
)
def test_damaged_records_keep_the_service_up_not_ready_and_untouched(
    home: Path, change: Callable[[Path], None], said: str
) -> None:
    path = home / "data" / "records.sqlite3"
    kept = path.read_bytes()
    change(path)
    broken = path.read_bytes() if path.exists() else None
    with started(home) as (process, port, log):
        answer = told(port, lambda answer: answer["status"] == "not_ready")
        assert answer["parts"]["records"]["ready"] is False and said in answer["parts"]["records"]["detail"]
        assert request(port, "GET", "/readyz").status == 503
        assert request(port, "GET", "/healthz").status == 200
        asked = request(port, "POST", "/query", QUESTION)
        assert (asked.status, asked.json()["error_type"]) == (503, "not_ready")
        page = request(port, "GET", "/status?lang=en")
        assert page.status == 200 and said in page.text
        assert process.poll() is None and b"Traceback" not in log.read_bytes()
        assert (path.read_bytes() if path.exists() else None) == broken
        assert not list((home / "data" / "index").glob("*.broken"))
        # Put right while it waits, it goes on by itself.
        path.write_bytes(kept)
        told(port, lambda answer: answer["status"] == "ready")
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


def test_a_service_that_waits_for_its_records_stops_when_told(home: Path) -> None:
    zero(home / "data" / "records.sqlite3")
    with started(home) as (process, port, _log):
        told(port, lambda answer: answer["status"] == "not_ready")
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


def test_damage_inside_a_page_of_the_records_is_found_by_the_running_service(home: Path) -> None:
    path = home / "data" / "records.sqlite3"
    with contextlib.closing(sqlite3.connect(path)) as database:
        root = database.execute("SELECT rootpage FROM sqlite_master WHERE name = 'chunks'").fetchone()[0]
        size = database.execute("PRAGMA page_size").fetchone()[0]
    data = bytearray(path.read_bytes())
    data[(root - 1) * size : root * size] = b"\xff" * size
    with started(home) as (_process, port, _log):
        told(port, lambda answer: answer["status"] == "ready")
        path.write_bytes(data)
        answer = told(port, lambda answer: answer["status"] == "not_ready")
        assert answer["parts"]["records"]["detail"].startswith("RTS-001")
        assert answer["parts"]["index"]["ready"]


def test_an_index_damaged_under_the_running_service_is_named_and_healed_by_a_restart(home: Path) -> None:
    with started(home) as (_process, port, _log):
        told(port, lambda answer: answer["status"] == "ready")
        DAMAGES["one byte of the terms is another"](index_of(home))
        answer = told(port, lambda answer: answer["status"] == "not_ready")
        assert answer["parts"]["index"]["detail"].startswith("RTS-003")
        assert answer["parts"]["records"]["ready"]
    with started(home) as (_process, port, _log):
        told(port, lambda answer: answer["status"] == "ready")


def test_looking_at_a_damaged_index_does_not_throw_it_away(home: Path) -> None:
    DAMAGES["meta.json is missing"](index_of(home))
    before = sorted(path.name for path in index_of(home).iterdir())
    done = run(home, "status", "--json", **WORDS)
    assert done.returncode == 1 and "RT-122" in done.stderr and "Traceback" not in done.stderr
    assert sorted(path.name for path in index_of(home).iterdir()) == before


def test_taking_documents_in_mends_a_damaged_index_first(home: Path, tmp_path: Path) -> None:
    DAMAGES["the store is zeroed"](index_of(home))
    folder = write(tmp_path / "more", {"x.txt": "새 문서\n새글입니다."})
    done = run(home, "ingest", str(folder), "--json", **WORDS)
    assert result(done)["documents"] == 41 and "made anew" in done.stderr
    assert result(run(home, "index", "verify", "--json", **WORDS))["indexed"] == 41


@pytest.mark.parametrize("round_", range(2))
def test_killed_while_the_start_makes_the_index_anew_the_next_start_finishes(
    home: Path, tmp_path: Path, round_: int
) -> None:
    folder = write(
        tmp_path / "many", {f"{n:04}.txt": f"글 {n}\n" + f"말{n} 문장입니다. " * 20 for n in range(1500)}
    )
    assert result(run(home, "ingest", str(folder), "--json", **WORDS))["documents"] == 1540
    DAMAGES["the store is zeroed"](index_of(home))
    with started(home) as (process, port, _log):
        told(
            port, lambda answer: "/" in str(answer["parts"]["index"]["detail"]) or answer["status"] == "ready"
        )
        time.sleep(0.2 * round_)
        process.kill()
        process.wait()
    with started(home) as (_process, port, log):
        told(port, lambda answer: answer["status"] == "ready")
        assert b"Traceback" not in log.read_bytes()
    assert result(run(home, "index", "verify", "--json", **WORDS))["indexed"] == 1540
