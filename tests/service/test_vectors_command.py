"""Vectors as real processes make, follow, prepare, verify and rebuild them, with a tiny BGE-M3."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.service.embedding import folders
from tests.service.loopback import request
from tests.service.support import write
from tests.service.test_cli import CLI, environment, free_port, result, run, service

FILES = {
    "a.txt": "서버 점검\n서버 점검은 매월 첫 월요일에 합니다.",
    "b.txt": "휴가\n휴가 신청은 사흘 전까지 합니다.",
    "c.txt": "회의\n다음 회의는 금요일입니다.",
}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    (home / "config").mkdir(parents=True)
    folders.bge_m3(home / "models" / "tiny")
    return home


def settings(model: str = "tiny", **more: str) -> dict[str, str]:
    return {
        "RAGTRACE_ANALYZER_KIND": "whitespace",
        "RAGTRACE_EMBEDDING_MODEL": f"models/{model}",
        "RAGTRACE_EMBEDDING_THREADS": "1",
        **more,
    }


def taken(home: Path, **more: str) -> Any:
    docs = write(home.parent / "docs", FILES)
    return result(run(home, "ingest", str(docs), "--json", **settings(**more)))


def waited(condition: Callable[[], Any], seconds: float = 60) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.2)
    return found


def told(port: int) -> str:
    return str(request(port, "GET", "/readyz").json()["parts"]["vectors"]["detail"])


def test_a_command_makes_the_vectors_where_no_service_runs(home: Path) -> None:
    assert taken(home)["vectors"] == {"by": "command", "documents": 3, "chunks": 3}
    assert taken(home)["vectors"]["documents"] == 0
    found = result(run(home, "index", "verify", "--json", **settings()))
    assert found["ok"] and found["in_step"]
    compared = found["vectors"]
    assert (compared["behind"], compared["indexed"], compared["missing"], compared["surplus"]) == (0, 3, 0, 0)
    assert (compared["asked"], compared["found"]) == (3, 3)
    assert result(run(home, "status", "--json", **settings()))["vectors_behind"] == 0


def test_without_a_model_nothing_is_said_of_vectors(home: Path) -> None:
    plain = {"RAGTRACE_ANALYZER_KIND": "whitespace"}
    docs = write(home.parent / "docs", FILES)
    assert "vectors" not in result(run(home, "ingest", str(docs), "--json", **plain))
    assert "vectors" not in result(run(home, "index", "verify", "--json", **plain))
    assert not (home / "data" / "vectors").exists()


def test_the_service_owns_the_vectors_and_follows_what_a_command_takes_in(home: Path) -> None:
    port = free_port()
    with service(home, port, **settings()):
        waited(lambda: told(port) == "0 chunks")
        assert taken(home)["vectors"] == {"by": "service"}
        waited(lambda: told(port) == "3 chunks")
        # Beside the service, a copy of its files is compared.
        found = result(run(home, "index", "verify", "--json", **settings()))
        assert found["vectors"]["indexed"] == 3 and found["vectors"]["found"] == 3
        assert not list((home / "data" / "vectors").glob("copy-*"))
        # A command that only asks does so by words.
        assert run(home, "ask", "서버 점검", **settings()).returncode == 0
    again = result(run(home, "index", "verify", "--json", **settings()))
    assert again["ok"] and again["vectors"]["behind"] == 0


def test_another_model_is_prepared_beside_the_service_and_a_restart_has_it_at_once(home: Path) -> None:
    folders.config(folders.bge_m3(home / "models" / "other"), layer_norm_eps=1e-4)
    taken(home)
    port = free_port()
    with service(home, port, **settings()):
        done = result(run(home, "index", "prepare", "--model", "models/other", "--json", **settings()))
        assert (done["vectors"]["chunks"], done["vectors_behind"]) == (3, 0)
    generations = sorted(each.name for each in (home / "data" / "vectors").glob("g-*"))
    assert generations == ["g-000001", "g-000002"]
    status = result(run(home, "status", "--json", **settings("other")))
    assert status["vectors_behind"] == 0
    with service(home, port, **settings("other")):
        # Complete, so the old model's vectors go.
        waited(lambda: not (home / "data" / "vectors" / "g-000001").exists())
    assert result(run(home, "index", "verify", "--json", **settings("other")))["vectors"]["found"] == 3


def test_a_rebuild_of_the_vectors_makes_them_anew(home: Path) -> None:
    taken(home)
    mark = home / "data" / "vectors" / "g-000001" / "mark.json"
    document = json.loads(mark.read_text())
    mark.write_text(json.dumps({**document, "mark": {**document["mark"], "sequence": 0}}))
    done = run(home, "index", "verify", "--part", "vectors", "--json", **settings())
    facts = json.loads(done.stdout)
    # Following mends what is only behind.
    assert done.returncode == 1 and (facts["vectors"]["behind"], facts["to_rebuild"]) == (3, [])
    made = result(run(home, "index", "rebuild", "--part", "vectors", "--json", **settings()))
    assert made["vectors"] == {"by": "command", "documents": 3, "chunks": 3}
    assert result(run(home, "index", "verify", "--json", **settings()))["ok"]


def test_where_only_words_are_damaged_the_vectors_may_stay(home: Path) -> None:
    taken(home)
    for path in (home / "data" / "index").rglob("*.store"):
        path.write_bytes(path.read_bytes()[:-1])
    done = run(home, "index", "verify", "--json", **settings())
    assert done.returncode == 1 and json.loads(done.stdout)["to_rebuild"] == ["words"]
    assert "index rebuild --part words" in run(home, "index", "verify", **settings()).stdout
    assert "vectors" not in result(run(home, "index", "rebuild", "--part", "words", "--json", **settings()))
    assert result(run(home, "index", "verify", "--json", **settings()))["ok"]


def test_vectors_of_a_damaged_shard_are_made_anew(home: Path) -> None:
    taken(home)
    for path in (home / "data" / "vectors" / "g-000001" / "shard" / "segments").rglob("segment.json"):
        path.write_bytes(b"\0")
    assert taken(home)["vectors"] == {"by": "command", "documents": 3, "chunks": 3}
    assert result(run(home, "index", "verify", "--json", **settings()))["ok"]


@pytest.mark.parametrize("pause", [0.0, 0.15, 0.4])
def test_killed_while_it_follows_the_next_run_finishes(home: Path, pause: float) -> None:
    many = {
        f"{n:03}.txt": f"글 {n}\n" + "\n".join(f"문장 {n} {m} 입니다." for m in range(20)) for n in range(150)
    }
    docs = write(home.parent / "many", many)
    process = subprocess.Popen(
        [sys.executable, str(CLI), "ingest", str(docs)],
        env=environment(home, **settings()),
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("vectors: documents"):
            break
    time.sleep(pause)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stderr.close()
    again = result(run(home, "ingest", str(docs), "--json", **settings()))
    assert again["vectors"]["by"] == "command" and again["vectors"]["documents"] < 150
    found = result(run(home, "index", "verify", "--json", **settings()))
    assert found["ok"] and found["vectors"]["indexed"] == found["chunks"]
