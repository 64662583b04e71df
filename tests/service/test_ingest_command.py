"""`ragtrace ingest` and `ragtrace documents` as processes: reports, groups, watching, killed while children parse."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ragtrace.adapters.sqlite_records import SqliteRecords
from tests.service.parsers.pdf_writer import Pdf
from tests.service.support import write
from tests.service.test_cli import CLI, environment, home, result, run

__all__ = ["home"]

EXTRA = {"RAGTRACE_ANALYZER_KIND": "whitespace"}
FILES: dict[str, str | bytes] = {
    "휴가.md": "# 휴가\n\n3일 전까지 신청합니다.",
    "인사/급여.txt": "급여\n25일에 줍니다.",
    "깨짐.pdf": b"%PDF-1.7 nothing",
}


def titles(home: Path, *arguments: str) -> set[str]:
    listed = result(run(home, "documents", "list", "--json", *arguments, **EXTRA))
    return {each["path"] for each in listed["documents"]}


def test_each_files_outcome_is_reported_and_refused_files_are_listed(home: Path, tmp_path: Path) -> None:
    folder = write(tmp_path / "docs", {**FILES, "=cmd|x.txt": b"\0\1\2" * 99})
    done = run(home, "ingest", str(folder), "--report", str(tmp_path / "r.csv"), "--lang", "ko", **EXTRA)
    assert done.returncode == 1 and "깨짐.pdf" in done.stdout and "4/4개" in done.stderr
    assert (tmp_path / "r.csv").read_bytes().startswith(b"\xef\xbb\xbf")
    with (tmp_path / "r.csv").open(encoding="utf-8-sig", newline="") as stream:
        rows = {row["path"]: row for row in csv.DictReader(stream)}
    assert {path: row["status"] for path, row in rows.items()} == {
        "휴가.md": "added", "인사/급여.txt": "added", "깨짐.pdf": "failed", "'=cmd|x.txt": "failed",
    }  # fmt: skip
    assert rows["깨짐.pdf"]["reason"] and int(rows["휴가.md"]["bytes"]) > 9
    run(home, "ingest", str(folder), "--report", str(tmp_path / "r.jsonl"), **EXTRA)
    lines = [json.loads(line) for line in (tmp_path / "r.jsonl").read_text(encoding="utf-8").splitlines()]
    assert {line["path"]: line["status"] for line in lines}["휴가.md"] == "unchanged"
    refused = result(run(home, "documents", "list", "--refused", "--json", **EXTRA))
    assert [each["path"] for each in refused["refused"]] == ["=cmd|x.txt", "깨짐.pdf"]
    assert run(home, "ingest", str(folder), "--report", "/nonexistent/r", **EXTRA).returncode == 1


def test_a_partly_scanned_pdf_is_taken_in_with_a_warning_and_what_is_not_read_says_what_to_do(
    home: Path, tmp_path: Path
) -> None:
    scanned = Pdf(["여비 규정이다.", ""], picture=True).write()
    folder = write(
        tmp_path / "docs", {"일부.pdf": scanned, "전부.pdf": Pdf(["", ""], picture=True).write(), "옛.hml": "<HWPML/>"}
    )  # fmt: skip
    done = run(home, "ingest", str(folder), "--report", str(tmp_path / "r.csv"), "--lang", "ko", **EXTRA)
    assert "added     일부.pdf: 2쪽 가운데 1쪽에 글이 없습니다(스캔?)." in done.stdout
    assert "일부만 읽은 파일 1개" in done.stdout and "OCR" in done.stdout
    with (tmp_path / "r.csv").open(encoding="utf-8-sig", newline="") as stream:
        rows = {row["path"]: row["reason"] for row in csv.DictReader(stream)}
    assert "1쪽에 글이 없습니다" in rows["일부.pdf"] and "HWPX" in rows["옛.hml"]
    listed = run(home, "documents", "list", "--refused", "--lang", "en", **EXTRA).stdout
    assert "1 of 2 pages have no text (scanned?)" in listed and titles(home) == {"일부.pdf"}


def test_documents_are_removed_by_path_id_folder_and_group(home: Path, tmp_path: Path) -> None:
    folder = write(
        tmp_path / "docs", {f"{n}/{name}.txt": f"{name}\n글 {n}" for n in "ab" for name in ("하나", "둘")}
    )
    result(run(home, "ingest", str(folder), "--group", "인사", "--json", **EXTRA))
    extra = write(tmp_path / "more", {"셋.txt": "셋\n글 셋"})
    result(run(home, "ingest", str(extra), "--source", "더", "--json", **EXTRA))
    assert titles(home, "--group", "인사") == {"a/하나.txt", "a/둘.txt", "b/하나.txt", "b/둘.txt"}
    assert titles(home, "--source", "더") == {"셋.txt"}
    dry = result(run(home, "documents", "delete", "a/", "--dry-run", "--json", **EXTRA))
    assert (dry["removed"], len(dry["documents"])) == (0, 2)
    assert result(run(home, "documents", "delete", "a/", "--json", **EXTRA))["removed"] == 2
    one = next(each["id"] for each in result(run(home, "documents", "list", "--json", **EXTRA))["documents"])
    assert result(run(home, "documents", "delete", one[:12], "--json", **EXTRA))["removed"] == 1
    assert run(home, "documents", "delete", "없음.txt", **EXTRA).returncode == 2
    assert run(home, "documents", "delete", **EXTRA).returncode == 2
    result(run(home, "documents", "delete", "--source", "더", "--json", **EXTRA))
    assert len(titles(home)) == 1
    assert result(run(home, "index", "verify", "--json", **EXTRA))["ok"]
    assert result(run(home, "ingest", str(folder), "--json", **EXTRA))["counts"]["added"] == 3


@contextlib.contextmanager
def watching(home: Path, folder: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, str(CLI), "ingest", str(folder), "--watch", "--interval", "0.2", *arguments],
        env=environment(home, **EXTRA), text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if "Watching" in line:
                break
        yield process
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.1)


def reported(path: Path) -> set[tuple[str, str]]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return {(line["path"], line["status"]) for line in map(json.loads, lines)}


def known(home: Path, source: Path) -> dict[str, str]:
    records = SqliteRecords(home / "data" / "records.sqlite3")
    try:
        return {path: each.title for path, each in records.known(str(source)).items()}
    finally:
        records.close()


def test_a_watched_folder_is_followed_until_it_is_interrupted(home: Path, tmp_path: Path) -> None:
    folder = write(tmp_path / "docs", {"처음.txt": "처음\n있던 글", "사라질.txt": "사라질\n글"})
    with watching(home, folder, "--delete-missing", "--report", str(tmp_path / "r.jsonl")) as process:
        assert set(known(home, folder)) == {"처음.txt", "사라질.txt"}
        write(folder, {"새/글.txt": "새 글\n내용", "처음.txt": "바뀜\n다른 글"})
        (folder / "사라질.txt").unlink()
        until(lambda: reported(tmp_path / "r.jsonl") == {
            ("처음.txt", "added"), ("사라질.txt", "added"), ("처음.txt", "updated"), ("새/글.txt", "added"),
            ("사라질.txt", "removed"),
        })  # fmt: skip
        assert known(home, folder) == {"처음.txt": "바뀜", "새/글.txt": "새 글"}
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130


def test_a_file_being_copied_is_taken_in_whole(home: Path, tmp_path: Path) -> None:
    folder = write(tmp_path / "docs", {"처음.txt": "처음\n글"})
    with watching(home, folder, "--interval", "1.5", "--verbose") as process:
        with (folder / "큰.txt").open("w", encoding="utf-8") as stream:
            for number in range(8):
                stream.write(f"줄 {number}\n")
                stream.flush()
                time.sleep(0.3)
        until(lambda: "큰.txt" in known(home, folder))
        time.sleep(3)
        process.kill()
        assert process.stdout is not None
        assert process.stdout.read().count("큰.txt") == 1


def test_watching_waits_while_another_process_writes(home: Path, tmp_path: Path) -> None:
    import fcntl

    folder = write(tmp_path / "docs", {"처음.txt": "처음\n글"})
    with watching(home, folder) as process:
        with (home / "data" / "write.lock").open("w") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            write(folder, {"나중.txt": "나중\n글"})
            assert process.stdout is not None
            for line in process.stdout:
                if "RT-103" in line:
                    break
            assert "나중.txt" not in known(home, folder)
        until(lambda: "나중.txt" in known(home, folder))


@pytest.mark.parametrize("arguments", [["--watch", "--json"], ["--watch", "--interval", "0"]])
def test_wrong_use_of_watching_ends_with_two(home: Path, tmp_path: Path, arguments: list[str]) -> None:
    folder = write(tmp_path / "docs", {"a.txt": "글"})
    assert run(home, "ingest", str(folder), *arguments, **EXTRA).returncode == 2


@pytest.mark.parametrize("lines", [1, 3, 8])
def test_killed_while_children_parse_it_leaves_none_and_goes_on_afterwards(
    home: Path, tmp_path: Path, lines: int
) -> None:
    pages = {f"{n:03}.html": f"<title>쪽 {n}</title>" + f"<p>낱말{n} 글입니다.</p>" * 60 for n in range(200)}
    folder = write(tmp_path / "docs", pages)
    extra = {**EXTRA, "RAGTRACE_INGEST_BATCH_DOCUMENTS": "10", "RAGTRACE_INGEST_WORKERS": "2"}
    process = subprocess.Popen(
        [sys.executable, str(CLI), "ingest", str(folder)],
        env=environment(home, RAGTRACE_TEST_MARK=str(tmp_path), **extra),
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    for _ in range(lines):
        process.stderr.readline()
    process.kill()
    process.wait()
    process.stderr.close()
    until(lambda: not descendants(str(tmp_path)), 20)
    done = result(run(home, "ingest", str(folder), "--json", **extra))
    assert done["documents"] == 200 and done["counts"]["unchanged"] >= 10 * (lines - 1)
    assert done["counts"]["updated"] == 0
    assert result(run(home, "index", "verify", "--json", **extra))["ok"]


def descendants(mark: str) -> list[str]:
    """Return the processes that carry the mark in their environment."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and folder.name != str(os.getpid()):
            with contextlib.suppress(OSError):
                if f"RAGTRACE_TEST_MARK={mark}".encode() in (folder / "environ").read_bytes():
                    found.append(folder.name)
    return found
