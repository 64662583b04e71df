"""The service's own checks: on sound data, on damaged data, on what passes by itself - and as the validator's plugin."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ragtrace.adapters.data_inspection import DataInspection, _holder
from ragtrace.adapters.tantivy_index import LAYOUT
from ragtrace.application.checkup import CHECKS, Check, Subject, examine
from ragtrace.application.ports import LexicalAnalyzer
from ragtrace.bootstrap import Container
from ragtrace.domain.findings import Finding
from ragtrace.errors import NotReady
from ragtrace.settings import AnalyzerSettings, Settings
from ragtrace.testing.memory import WordAnalyzer
from ragtrace.text import Text
from tests.service.support import stored

IDS = [check.id for check in CHECKS]
VECTORS = ("RTS-009", "RTS-010")


@pytest.fixture
def container(tmp_path: Path) -> Container:
    """Sound data: three documents, indexed."""
    made = Container(Settings(tmp_path, analyzer=AnalyzerSettings(kind="whitespace")))
    made.records.apply([stored(f"{n}.txt", f"낱말{n} 글", "둘째 글") for n in range(3)], [])
    made.catch_up()
    return made


def look(container: Container) -> dict[str, Finding]:
    fresh = DataInspection(container.settings.data_folder, LAYOUT)
    subject = Subject(fresh, lambda: container.analyzer)
    return {check.id: examine(check, subject) for check in CHECKS}


def not_passed(container: Container) -> dict[str, str]:
    """Return what is not as it should be; without a model there are no vectors to look at."""
    return {
        name: found.status
        for name, found in look(container).items()
        if found.status != "pass" and (name not in VECTORS or found.status != "skip")
    }


def test_sound_data_passes_every_check_and_nothing_is_changed(container: Container) -> None:
    folder = container.settings.data_folder

    def state() -> dict[str, int]:
        return {
            str(path): path.stat().st_mtime_ns
            for path in folder.rglob("*")
            if path.is_file() and not path.name.endswith("-shm")
        }

    before = state()
    assert not_passed(container) == {}
    assert state() == before


def test_without_data_there_is_nothing_to_find(tmp_path: Path) -> None:
    made = Container(Settings(tmp_path, analyzer=AnalyzerSettings(kind="whitespace")))
    made.settings.data_folder.mkdir()
    assert {found.status for found in look(made).values() if found.status != "pass"} == {"skip"}
    assert list(made.settings.data_folder.iterdir()) == []


def zeroed(path: Path) -> None:
    path.write_bytes(b"\0" * path.stat().st_size)


DAMAGE: dict[str, tuple[Callable[[Path], object], dict[str, str]]] = {
    "records zeroed": (
        lambda data: zeroed(data / "records.sqlite3"),
        {"RTS-001": "fail", "RTS-002": "unknown"},
    ),
    "records gone": (
        lambda data: (data / "records.sqlite3").unlink(),
        {"RTS-001": "fail", "RTS-002": "unknown"},
    ),
    "store zeroed": (
        lambda data: zeroed(next((data / "index" / LAYOUT).glob("*.store"))),
        {"RTS-002": "fail", "RTS-003": "fail"},
    ),
    "meta gone": (
        lambda data: (data / "index" / LAYOUT / "meta.json").unlink(),
        {"RTS-002": "fail", "RTS-003": "fail"},
    ),
    "format unknown": (lambda data: (data / "FORMAT.json").write_text("{"), {"RTS-005": "fail"}),
    "format newer": (
        lambda data: (data / "FORMAT.json").write_text('{"format": "ragtrace-data", "version": 99}'),
        {"RTS-005": "fail"},
    ),
}


@pytest.mark.parametrize("name", DAMAGE, ids=lambda name: str(name).replace(" ", "-"))
def test_each_damage_is_found_by_its_checks_and_no_other(container: Container, name: str) -> None:
    change, wanted = DAMAGE[name]
    container.records.close()
    for ending in ("-wal", "-shm"):
        (container.settings.data_folder / f"records.sqlite3{ending}").unlink(missing_ok=True)
    change(container.settings.data_folder)
    assert not_passed(container) == wanted


def test_records_ahead_of_the_index_are_out_of_step(container: Container) -> None:
    container.records.apply([stored("new.txt", "새 글")], [])
    assert not_passed(container) == {"RTS-002": "fail"}


def test_documents_being_taken_in_are_no_finding(container: Container) -> None:
    container.records.apply([stored("new.txt", "새 글")], [])
    with container.data.lock():
        assert not_passed(container) == {}


def test_a_lock_held_for_long_without_a_commit_is_a_warning(
    container: Container, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = time.time() + 2 * 3600
    with container.data.lock():
        monkeypatch.setattr("ragtrace.adapters.data_inspection.time.time", lambda: later)
        assert not_passed(container) == {"RTS-008": "warn"}
        assert f"pid {os.getpid()}" in look(container)["RTS-008"].measured


def test_the_checks_do_not_keep_a_writer_out(container: Container) -> None:
    path = container.settings.data_folder / "write.lock"
    with container.data.lock():
        look(container)
    with path.open("r+") as stream:
        look(container)
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_another_file_s_lock_is_not_ours(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.touch()
    status = path.stat()
    place = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    table = (
        f"1: POSIX  ADVISORY  WRITE 11 {place} 0 EOF\n"
        f"2: FLOCK  ADVISORY  WRITE 12 {place}9 0 EOF\n2: -> FLOCK ADVISORY WRITE 13 {place} 0 EOF\nnonsense\n"
    )
    assert _holder(table, status) is None
    assert _holder(f"{table}3: FLOCK  ADVISORY  WRITE 14 {place} 0 EOF\n", status) == 14


def test_a_system_that_tells_no_locks_is_skipped(container: Container) -> None:
    data = DataInspection(container.settings.data_folder, LAYOUT, locks=Path("/nonexistent"))
    (container.settings.data_folder / "write.lock").touch()
    check = CHECKS[IDS.index("RTS-008")]
    assert examine(check, Subject(data, lambda: container.analyzer)).status == "skip"


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="needs root")
def test_a_stranger_s_file_in_the_data_is_named(container: Container) -> None:
    os.chown(container.settings.data_folder / "records.sqlite3", 65534, 65534)
    found = look(container)["RTS-004"]
    # SQLite gives its log to the owner of the database.
    assert found.status == "fail" and found.measured.startswith("records.sqlite3")


def test_little_space_warns_and_none_fails(container: Container, monkeypatch: pytest.MonkeyPatch) -> None:
    for free, status in ((1 << 30, "pass"), (100 << 20, "warn"), (1 << 20, "fail")):
        monkeypatch.setattr(DataInspection, "space", lambda self, free=free: (free, 1 << 40))
        assert look(container)["RTS-007"].status == status


class Dumb(WordAnalyzer):
    """Loses every word."""

    def analyze(self, texts: Any) -> list[tuple[str, ...]]:
        return [() for _ in texts]


def test_an_analyzer_that_finds_other_words_fails(container: Container) -> None:
    def found(analyzer: LexicalAnalyzer) -> Finding:
        check = next(check for check in CHECKS if check.id == "RTS-006")
        return examine(check, Subject(container.inspection, lambda: analyzer))

    assert found(WordAnalyzer()).status == "pass"
    assert (found(Dumb()).status, found(Dumb()).expected) == ("fail", "휴가")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (PermissionError(13, "no", "/x"), "unknown"),
        (NotReady(Text("가", "a")), "skip"),
        (RuntimeError("bad"), "error"),
    ],
)
def test_a_check_that_breaks_costs_its_own_finding_only(
    container: Container, error: Exception, status: str
) -> None:
    def broken(subject: Subject) -> Finding:
        raise error

    check = Check("RTS-999", Text("가", "a"), "low", broken)
    assert examine(check, Subject(container.inspection, lambda: container.analyzer)).status == status


def test_unchanged_records_are_not_read_again(container: Container, monkeypatch: pytest.MonkeyPatch) -> None:
    data = DataInspection(container.settings.data_folder, LAYOUT)
    first = data.records(1)
    monkeypatch.setattr(DataInspection, "_look_through", lambda self, seconds: pytest.fail("read again"))
    assert data.records(1) == first and first.complete


def test_a_look_that_takes_too_long_is_ended_and_says_so(container: Container) -> None:
    many = [stored(f"m{n}.txt", *(f"글 {n} {m} " * 50 for m in range(40))) for n in range(150)]
    container.records.apply(many, [])
    started = time.monotonic()
    facts = DataInspection(container.settings.data_folder, LAYOUT).records(0.0)
    assert (facts.damage, facts.complete) == ("", False)
    assert time.monotonic() - started < 5


def test_the_plugin_is_plain_data_under_its_entry_point_and_light_to_import() -> None:
    import tomllib

    project = Path(__file__).parents[2] / "service" / "pyproject.toml"
    groups = tomllib.loads(project.read_text("utf-8"))["project"]["entry-points"]
    assert groups["ragtrace.checks"] == {"service": "ragtrace.checks"}
    script = (
        "import json, sys\nfrom ragtrace.checks import CHECKS\n"
        "assert not {'sqlalchemy','tantivy','kiwipiepy','fastapi','yaml','sqlite3'} & set(sys.modules)\n"
        "print(json.dumps([{k: v for k, v in c.items() if k != 'run'} for c in CHECKS]))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    listed = json.loads(done.stdout)
    assert [each["id"] for each in listed] == IDS
    for each in listed:
        assert set(each) == {"id", "category", "title", "severity", "timeout_s"}
        assert set(each["title"]) == {"ko", "en"} and 0.1 <= each["timeout_s"] <= 60


def test_the_plugin_runs_every_check_on_an_installation(container: Container) -> None:
    home = container.settings.home
    (home / "config").mkdir()
    (home / "config" / "ragtrace.yaml").write_text("analyzer:\n  kind: whitespace\nserver:\n  port: 1\n")
    container.records.close()
    script = (
        "import json, sys, time\nfrom ragtrace.checks import CHECKS\ncontext = json.loads(sys.argv[1])\n"
        "print(json.dumps([c['run'](context) for c in CHECKS]))"
    )
    context = {
        "prefix": str(home),
        "generation": "",
        "config": str(home / "config" / "ragtrace.yaml"),
        "data": str(home / "data"),
        "host": "127.0.0.1",
        "port": 1,
    }

    def outcomes() -> list[dict[str, Any]]:
        words = [sys.executable, "-c", script, json.dumps(context)]
        done = subprocess.run(words, capture_output=True, text=True, check=True, env={**os.environ})
        found: list[dict[str, Any]] = json.loads(done.stdout)
        return found

    first = outcomes()
    assert [each["status"] for each in first] == ["pass"] * 8 + ["skip"] * 2
    for each in first:
        assert set(each) == {"status", "details", "measured", "expected", "cause"}
    with contextlib.closing(container.records):
        zeroed(next((home / "data" / "index" / LAYOUT).glob("*.term")))
    assert [each["status"] for each in outcomes()][1:3] == ["fail", "fail"]
    (home / "config" / "ragtrace.yaml").write_text("nonsense: 1\n")
    assert {each["status"] for each in outcomes()} == {"unknown"}
