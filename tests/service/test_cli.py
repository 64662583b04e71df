"""The command line as real processes: from the source tree, killed, as root, beside a running service."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ragtrace.adapters.sqlite_records import SqliteRecords
from ragtrace.adapters.tantivy_index import TantivyIndex
from ragtrace.adapters.whitespace import WhitespaceAnalyzer
from ragtrace.application.reconcile import bring_in_step, in_step
from tests.service.loopback import request
from tests.service.support import write

CLI = Path(__file__).parents[2] / "service" / "cli.py"
FILES = {
    "휴가.md": "# 휴가 규정\n\n## 신청\n휴가 신청은 사용 3일 전까지 합니다. 팀장이 승인합니다.\n",
    "sub/서버.html": "<title>서버 점검</title><h1>점검</h1><p>서버 점검은 매월 첫 월요일에 합니다.</p>",
    "회의_20250304.txt": "회의록\n다음 회의는 금요일입니다.",
}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home" / "config").mkdir(parents=True, exist_ok=True)
    return tmp_path / "home"


def environment(home: Path, **extra: str) -> dict[str, str]:
    kept = {
        key: value for key, value in os.environ.items() if not key.startswith(("RAGTRACE_S", "RAGTRACE_HOME"))
    }
    return {**kept, "RAGTRACE_HOME": str(home), "RAGTRACE_LANG": "en", **extra}


def run(home: Path, *arguments: str, **extra: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(CLI), *arguments], env=environment(home, **extra), text=True, capture_output=True,
        timeout=120, check=False,
    )  # fmt: skip


def result(done: subprocess.CompletedProcess[str]) -> Any:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_help_needs_no_configuration_and_loads_no_heavy_part(tmp_path: Path) -> None:
    script = (
        "import sys; from ragtrace.entrypoints.cli.main import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "assert not {'fastapi','kiwipiepy','sqlalchemy','tantivy','yaml','numpy'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    for command in ("serve", "ingest", "ask", "documents", "status", "config"):
        assert command in done.stdout


def test_documents_go_in_and_questions_come_back_with_sources(home: Path, tmp_path: Path) -> None:
    folder = write(tmp_path / "docs", FILES)
    first = result(run(home, "ingest", str(folder), "--json"))
    assert (first["counts"]["added"], first["documents"]) == (3, 3)
    assert result(run(home, "ingest", str(folder), "--json"))["counts"]["unchanged"] == 3
    asked = result(run(home, "ask", "휴가는 며칠 전까지 신청하나요?", "--json"))
    assert "3일 전까지" in asked["answer"] and asked["answer"].count("[1]")
    assert (asked["sources"][0]["path"], asked["sources"][0]["section"]) == ("휴가.md", ["휴가 규정", "신청"])
    listed = result(run(home, "documents", "list", "--json"))
    assert {each["path"]: each["date"] for each in listed["documents"]}["회의_20250304.txt"] == "2025-03-04"
    stated = result(run(home, "status", "--json", RAGTRACE_SERVER_PORT=str(free_port())))
    assert stated["index_in_step"] and stated["service"] == "not running"
    assert not result(run(home, "ask", "김치찌개 끓이는 법", "--json"))["supported"]


def test_a_question_before_any_document_says_that_there_are_none(home: Path) -> None:
    for words in (["ask", "휴가는?"], ["search", "휴가"]):
        done = run(home, *words, RAGTRACE_ANALYZER_KIND="whitespace")
        assert done.returncode == 0 and "ragtrace ingest" in done.stderr and str(home) in done.stderr


def test_a_failed_file_makes_the_exit_code_one_and_is_named(home: Path, tmp_path: Path) -> None:
    folder = write(tmp_path / "docs", {**FILES, "bad.txt": b"\0\1\2" * 99})
    done = run(home, "ingest", str(folder), "--lang", "ko")
    assert done.returncode == 1 and "bad.txt" in done.stdout and "이진" in done.stdout
    assert len(result(run(home, "documents", "list", "--json"))["documents"]) == 3


@pytest.mark.parametrize(
    "arguments",
    [
        ["ingest", "/nonexistent"],
        ["nonsense"],
        ["ask"],
        ["ask", "?", "--top", "0"],
        ["--config", "/none", "status"],
    ],
)
def test_wrong_use_ends_with_two(home: Path, arguments: list[str]) -> None:
    assert run(home, *arguments).returncode == 2


def test_a_second_writer_is_refused_and_nothing_changes(home: Path, tmp_path: Path) -> None:
    folder = write(tmp_path / "docs", FILES)
    (home / "data").mkdir()
    with (home / "data" / "write.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        done = run(home, "ingest", str(folder), RAGTRACE_ANALYZER_KIND="whitespace")
    assert done.returncode == 1 and "RT-103" in done.stderr


@pytest.mark.parametrize("round_", range(3))
def test_killed_in_the_middle_of_taking_documents_in_it_goes_on_afterwards(
    home: Path, tmp_path: Path, round_: int
) -> None:
    folder = write(
        tmp_path / "docs", {f"{n:03}.txt": f"문서 {n}\n" + f"낱말{n} 글입니다.\n" * 40 for n in range(240)}
    )
    extra = {"RAGTRACE_ANALYZER_KIND": "whitespace", "RAGTRACE_INGEST_BATCH_DOCUMENTS": "5"}
    process = subprocess.Popen(
        [sys.executable, str(CLI), "ingest", str(folder)],
        env=environment(home, **extra),
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    for _ in range(3 + 7 * round_):
        process.stderr.readline()
    process.kill()
    process.wait()
    process.stderr.close()
    records, index = SqliteRecords(home / "data" / "records.sqlite3"), TantivyIndex(home / "data" / "index")
    assert 0 < records.counts()[0] < 240
    bring_in_step(records, index, WhitespaceAnalyzer())
    assert in_step(records, index, WhitespaceAnalyzer()) and index.size() == records.counts()[1]
    records.close()
    done = result(run(home, "ingest", str(folder), "--json", **extra))
    assert done["documents"] == 240 and done["counts"]["unchanged"] > 0
    assert result(run(home, "status", "--json", **extra))["index_in_step"]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextlib.contextmanager
def service(home: Path, port: int, **extra: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, str(CLI), "serve"], text=True, stderr=subprocess.PIPE,
        env=environment(home, RAGTRACE_SERVER_PORT=str(port), RAGTRACE_GENERATION="000001-a", **extra),
    )  # fmt: skip
    try:
        assert process.stderr is not None
        for line in process.stderr:
            if '"ready"' in line:
                break
        yield process
    finally:
        process.kill()
        process.wait()
        if process.stderr is not None:
            process.stderr.close()


def test_the_service_answers_sees_new_documents_without_a_restart_and_stops_on_sigterm(
    home: Path, tmp_path: Path
) -> None:
    folder, port = write(tmp_path / "docs", FILES), free_port()
    question = json.dumps({"qry_contents": "서버 점검은 언제 합니까?"}).encode()
    with service(home, port) as process:
        assert request(port, "GET", "/readyz").status == 200
        assert request(port, "POST", "/query", question).json()["detail"] == "no_evidence"
        assert result(run(home, "ingest", str(folder), "--json"))["documents"] == 3
        answer = request(port, "POST", "/query", question).json()
        assert "매월 첫 월요일" in answer["data_list"][-1]["rsp_data"]
        assert answer["data_list"][0]["file_name"] == "sub/서버.html"
        assert result(run(home, "status", "--json", RAGTRACE_SERVER_PORT=str(port)))["service"] == "ready"
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


def test_a_port_in_use_is_one_clear_error(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = run(home, "serve", RAGTRACE_SERVER_PORT=str(taken.getsockname()[1]))
    assert done.returncode == 1 and "RT-130" in done.stderr and "RAGTRACE_SERVER_PORT" in done.stderr
    assert "Traceback" not in done.stderr


def test_records_of_a_newer_release_keep_the_service_from_starting(home: Path, tmp_path: Path) -> None:
    result(run(home, "status", "--json"))
    import sqlite3

    with contextlib.closing(sqlite3.connect(home / "data" / "records.sqlite3")) as database:
        database.execute("UPDATE meta SET value = '99' WHERE key = 'schema'")
        database.commit()
    done = run(home, "serve", RAGTRACE_SERVER_PORT=str(free_port()))
    assert done.returncode == 1 and "schema 99" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_root_becomes_the_owner_of_the_data_before_touching_it() -> None:
    with tempfile.TemporaryDirectory() as place:
        top = Path(place)
        folder = write(top / "docs", {**FILES, "secret.txt": "root only"})
        data = top / "home" / "data"
        data.mkdir(parents=True)
        os.chown(data, 65534, 65534)
        for path in [top, *top.rglob("*")]:
            path.chmod(0o755 if path.is_dir() else 0o644)
        (folder / "secret.txt").chmod(0o600)
        done = run(top / "home", "ingest", str(folder), RAGTRACE_ANALYZER_KIND="whitespace")
        assert done.returncode == 1, done.stderr
        assert "secret.txt: The user 'nobody' may not read it." in done.stdout
        assert {each.stat().st_uid for each in data.rglob("*")} == {65534}
        assert "3 documents" in done.stdout


def test_interrupted_ingest_ends_with_130(home: Path, tmp_path: Path) -> None:
    folder = write(tmp_path / "docs", {f"{n:04}.txt": f"글 {n}" for n in range(1500)})
    process = subprocess.Popen(
        [sys.executable, str(CLI), "ingest", str(folder)], stderr=subprocess.PIPE, text=True,
        env=environment(home, RAGTRACE_ANALYZER_KIND="whitespace", RAGTRACE_INGEST_BATCH_DOCUMENTS="1"),
    )  # fmt: skip
    assert process.stderr is not None
    process.stderr.readline()
    process.send_signal(signal.SIGINT)
    said = process.stderr.read()
    assert process.wait(30) == 130 and "Traceback" not in said
    process.stderr.close()
