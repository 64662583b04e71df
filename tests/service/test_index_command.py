"""`ragtrace index verify` and `ragtrace index rebuild` as real processes."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ragtrace.adapters.tantivy_index import TantivyIndex
from ragtrace.application.ports import IndexMark
from tests.service.support import entry, write
from tests.service.test_cli import CLI, environment, free_port, result, run, service
from tests.service.test_damage import DAMAGES, WORDS, cut, index_of

MANY = 1500


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    (home / "config").mkdir(parents=True)
    return home


def filled(home: Path, count: int = 30) -> Path:
    files = {f"{n:04}.txt": f"글 {n}\n" + f"말{n} 문장입니다. " * 20 for n in range(count)}
    folder = write(home.parent / "docs", files)
    assert result(run(home, "ingest", str(folder), "--json", **WORDS))["documents"] == count
    return home


def test_a_complete_index_is_said_to_be_complete(home: Path) -> None:
    filled(home)
    found = result(run(home, "index", "verify", "--json", **WORDS))
    assert (found["ok"], found["in_step"], found["documents"], found["indexed"]) == (True, True, 30, 30)
    assert (found["missing"], found["surplus"], found["problems"]) == (0, 0, [])
    assert found["search"] == {"asked": 30, "found": 30}
    assert "complete" in run(home, "index", "verify", **WORDS).stdout


def test_an_empty_installation_is_complete(home: Path) -> None:
    assert result(run(home, "index", "rebuild", "--json", **WORDS))["ok"]
    assert result(run(home, "index", "verify", "--json", **WORDS))["documents"] == 0


def test_missing_and_surplus_chunks_are_counted(home: Path) -> None:
    filled(home)
    index = TantivyIndex(home / "data" / "index")
    mark = index.mark()
    assert isinstance(mark, IndexMark)
    gone = result(run(home, "documents", "list", "--json", **WORDS))["documents"][3]["id"]
    index.update([gone], [entry("strange", "s1", "말3"), entry("strange", "s2", "말4")], mark)
    done = run(home, "index", "verify", "--json", **WORDS)
    found = json.loads(done.stdout)
    assert done.returncode == 1 and found["in_step"]
    assert (found["missing"], found["surplus"], found["search"]["found"]) == (1, 2, 29)
    assert len(found["problems"]) == 3
    assert "색인에 없는 조각: 1개" in run(home, "index", "verify", "--lang", "ko", **WORDS).stdout


def test_a_damaged_index_is_named_and_rebuilt(home: Path) -> None:
    filled(home)
    DAMAGES["the store is zeroed"](index_of(home))
    done = run(home, "index", "verify", "--json", **WORDS)
    assert done.returncode == 1 and "footer" in json.loads(done.stdout)["damaged"][0]
    rebuilt = run(home, "index", "rebuild", "--json", **WORDS)
    assert result(rebuilt)["indexed"] == 30 and "documents 30/30" in rebuilt.stderr
    assert result(run(home, "index", "verify", "--json", **WORDS))["ok"]


def test_an_index_of_nobody_is_rebuilt_too(home: Path) -> None:
    filled(home)
    before = set(os.listdir(index_of(home)))
    assert result(run(home, "index", "rebuild", "--json", **WORDS))["taken"] == 30
    segments = {name for name in os.listdir(index_of(home)) if name.endswith(".store")}
    assert segments and not segments & before


def test_damaged_records_are_never_traded_for_an_index(home: Path) -> None:
    filled(home)
    before = sorted(os.listdir(index_of(home)))
    cut(home / "data" / "records.sqlite3")
    done = run(home, "index", "rebuild", **WORDS)
    assert done.returncode == 1 and "RT-120" in done.stderr and "Traceback" not in done.stderr
    assert sorted(os.listdir(index_of(home))) == before


def test_beside_a_running_service_it_refuses_and_says_how_to_stop_it(home: Path) -> None:
    filled(home)
    port = free_port()
    with service(home, port, **WORDS):
        done = run(home, "index", "rebuild", RAGTRACE_SERVER_PORT=str(port), **WORDS)
        assert done.returncode == 1 and "RT-103" in done.stderr and "install.py --stop" in done.stderr
        assert result(run(home, "index", "verify", "--json", **WORDS))["ok"]


def test_a_held_lock_refuses_the_rebuild_and_not_the_look(home: Path) -> None:
    filled(home)
    with (home / "data" / "write.lock").open("r+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        done = run(home, "index", "rebuild", **WORDS)
        assert done.returncode == 1 and "RT-103" in done.stderr
        assert result(run(home, "index", "verify", "--json", **WORDS))["ok"]
        (index_of(home) / "meta.json").rename(home / "meta.json")
        assert run(home, "index", "verify", **WORDS).returncode == 1


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
@pytest.mark.parametrize("follower", ["rebuild", "status"])
def test_an_interrupted_rebuild_goes_on_where_it_was(home: Path, number: int, follower: str) -> None:
    filled(home, MANY)
    process = subprocess.Popen(
        [sys.executable, str(CLI), "index", "rebuild"],
        env=environment(home, **WORDS),
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    assert process.stderr.readline() == f"documents 300/{MANY}\n"
    process.send_signal(number)
    said = process.stderr.read()
    assert process.wait(60) == (130 if number == signal.SIGINT else -9) and "Traceback" not in said
    process.stderr.close()
    assert not result(run(home, "status", "--json", **WORDS))["index_in_step"]
    if follower == "rebuild":
        again = result(run(home, "index", "rebuild", "--json", **WORDS))
        assert again["resumed"] and 0 < again["taken"] <= MANY - 300 and again["indexed"] == MANY
    else:
        # Any command that needs the index finishes it, as the start of the service does.
        assert result(run(home, "ask", "말7 무엇?", "--json", **WORDS))["supported"]
    found = result(run(home, "index", "verify", "--json", **WORDS))
    assert (found["ok"], found["indexed"]) == (True, MANY)


def test_help_is_in_both_languages(home: Path) -> None:
    for lang, word in (("ko", "다시 만듦"), ("en", "make the index anew")):
        assert word in run(home, "index", "--help", "--lang", lang).stdout
