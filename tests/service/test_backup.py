"""Backup while serving, restore in one step that no kill cuts in two, and refusal of what is foreign or damaged."""

from __future__ import annotations

import argparse
import gzip
import io
import json
import os
import random
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ragtrace.adapters import archive, data_copy
from ragtrace.bootstrap import Container
from ragtrace.entrypoints.cli import backup
from ragtrace.entrypoints.cli.console import Console
from ragtrace.errors import BackupProblem, StorageProblem
from ragtrace.settings import ServerSettings, Settings
from tests.service.embedding import folders
from tests.service.support import write
from tests.service.test_cli import CLI, environment, free_port, result, run, service
from tests.service.test_vectors_command import FILES, settings, told, waited

PLAIN = {"RAGTRACE_ANALYZER_KIND": "whitespace"}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    (home / "config").mkdir(parents=True)
    return home


def filled(home: Path, **how: str) -> Path:
    docs = write(home.parent / "docs", FILES)
    result(run(home, "ingest", str(docs), "--json", **(how or PLAIN)))
    return home.parent / "backup.tar.gz"


def tree(folder: Path) -> dict[str, bytes]:
    """Return every file that matters, SQLite's side files and locks left out."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and not path.name.endswith((".lock", "-wal", "-shm", "wish"))
        and not path.is_relative_to(folder / ".replaced")
    }


def test_a_backup_made_while_serving_is_put_back_with_words_and_vectors(home: Path) -> None:
    folders.bge_m3(home / "models" / "tiny")
    file = filled(home, **settings())
    port = free_port()
    with service(home, port, **settings()):
        waited(lambda: told(port) == "3 chunks")
        made = result(run(home, "backup", str(file), "--json", **settings()))
        assert (made["documents"], made["chunks"]) == (3, 3) and made["bytes"] == file.stat().st_size
        assert told(port) == "3 chunks"
        refused = run(home, "restore", str(file), RAGTRACE_SERVER_PORT=str(port), **settings())
        assert refused.returncode == 1 and "RT-103" in refused.stderr
    assert file.stat().st_mode & 0o777 == 0o600 and not list((home / "data").glob(".backup-*"))
    # Sparse files stay small: the shard's files are 32 MiB each.
    assert made["bytes"] < 1 << 20
    write(home.parent / "docs", {"d.txt": "나중\n나중에 온 글"})
    result(run(home, "ingest", str(home.parent / "docs"), "--json", **settings()))
    back = result(run(home, "restore", str(file), "--json", **settings()))
    assert (back["documents"], back["replaced"]) == (3, str(home / "data" / ".replaced"))
    found = result(run(home, "index", "verify", "--json", **settings()))
    assert found["ok"] and found["documents"] == 3
    assert found["vectors"]["behind"] == 0 and found["vectors"]["found"] == 3
    used = sum(path.stat().st_blocks * 512 for path in (home / "data" / "vectors").rglob("*"))
    assert used < 4 << 20, "the holes were filled"
    # What was there before lies aside, whole.
    (home / "data").rename(home / "restored")
    (home / "restored" / ".replaced").rename(home / "data")
    assert result(run(home, "index", "verify", "--json", **settings()))["documents"] == 4


def test_a_backup_goes_to_another_installation(home: Path, tmp_path: Path) -> None:
    file = filled(home)
    result(run(home, "backup", str(file), "--json", **PLAIN))
    other = tmp_path / "other"
    (other / "config").mkdir(parents=True)
    back = result(run(other, "restore", str(file), "--json", **PLAIN))
    assert (back["documents"], back["replaced"]) == (3, "")
    assert result(run(other, "index", "verify", "--json", **PLAIN))["ok"]
    assert "월요일" in result(run(other, "ask", "서버 점검은", "--json", **PLAIN))["answer"]


def test_a_backup_waits_for_nobody_and_overwrites_nothing(home: Path) -> None:
    file = filled(home)
    file.write_bytes(b"mine")
    done = run(home, "backup", str(file), **PLAIN)
    assert done.returncode == 1 and "RT-123" in done.stderr and file.read_bytes() == b"mine"
    inside = run(home, "backup", str(home / "data" / "b.tar.gz"), **PLAIN)
    assert inside.returncode == 1 and "RT-123" in inside.stderr
    nowhere = run(home, "backup", str(home / "nowhere" / "b"), **PLAIN)
    assert nowhere.returncode == 1 and "Traceback" not in nowhere.stderr
    import fcntl

    with (home / "data" / "write.lock").open("r+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        busy = run(home, "backup", str(home / "b"), **PLAIN)
    assert busy.returncode == 1 and "RT-103" in busy.stderr
    assert not list((home / "data").glob(".backup-*")) and not (home / "b").exists()


def test_damaged_records_are_not_backed_up(home: Path) -> None:
    file = filled(home)
    path = home / "data" / "records.sqlite3"
    for side in ("-wal", "-shm"):
        path.with_name(path.name + side).unlink(missing_ok=True)
    data = bytearray(path.read_bytes())
    data[8192:12288] = os.urandom(4096)
    path.write_bytes(data)
    done = run(home, "backup", str(file), **PLAIN)
    assert done.returncode == 1 and "RT-12" in done.stderr and not file.exists()


def altered(file: Path, change: Callable[[list[tuple[tarfile.TarInfo, bytes]]], object]) -> Path:
    """Write the archive again with other members."""
    members = []
    with tarfile.open(file) as old:
        for each in old:
            source = old.extractfile(each)
            members.append((each, source.read() if source else b""))
    change(members)
    target = file.with_name("altered.tar.gz")
    with tarfile.open(target, "w:gz") as new:
        for each, data in members:
            each.size = len(data) if each.isreg() else 0
            new.addfile(each, io.BytesIO(data))
    return target


def header(members: list[tuple[tarfile.TarInfo, bytes]], **changes: Any) -> None:
    members[0] = (members[0][0], json.dumps({**json.loads(members[0][1]), **changes}).encode())


def named(members: list[tuple[tarfile.TarInfo, bytes]], name: str) -> None:
    members[1][0].name = name


def kind(members: list[tuple[tarfile.TarInfo, bytes]], of: bytes) -> None:
    member = members[1][0]
    member.type, member.linkname = of, "/etc/passwd"


ATTACKS: dict[str, Callable[[list[tuple[tarfile.TarInfo, bytes]]], object]] = {
    "a byte differs": lambda m: m.__setitem__(1, (m[1][0], b"X" + m[1][1][1:])),
    "a file is missing": lambda m: m.pop(1),
    "a file is added": lambda m: m.insert(1, (tarfile.TarInfo("data/more"), b"more")),
    "a file stands twice": lambda m: m.insert(2, m[1]),
    "the checksums are missing": lambda m: m.pop(),
    "the header is missing": lambda m: m.pop(0),
    "a path climbs": lambda m: named(m, "data/../../evil"),
    "a path is absolute": lambda m: named(m, "/evil"),
    "a path is no data": lambda m: named(m, "config/ragtrace.yaml"),
    "a name has a backslash": lambda m: named(m, "data\\..\\evil"),
    "a symbolic link": lambda m: kind(m, tarfile.SYMTYPE),
    "a hard link": lambda m: kind(m, tarfile.LNKTYPE),
    "a device": lambda m: kind(m, tarfile.CHRTYPE),
    "a folder": lambda m: kind(m, tarfile.DIRTYPE),
    "another product": lambda m: header(m, format="somebody"),
    "another version": lambda m: header(m, version=2),
    "newer data": lambda m: header(m, data=99),
    "no data format": lambda m: header(m, data="1"),
    "more bytes than said": lambda m: header(m, bytes=10),
    "the records are no database": lambda m: [
        m.__setitem__(n, (each, b"no")) for n, (each, _) in enumerate(m) if each.name.endswith("ds.sqlite3")
    ],
}


def test_what_is_foreign_or_damaged_is_refused_and_nothing_changes(home: Path) -> None:
    file = filled(home)
    result(run(home, "backup", str(file), "--json", **PLAIN))
    before = tree(home / "data")
    container = Container(Settings(home, server=ServerSettings(port=free_port())))
    whole = file.read_bytes()
    cases = {name: altered(file, change).read_bytes() for name, change in ATTACKS.items()}
    cases |= {
        "empty": b"",
        "no archive": b"hello",
        "a gzip of nothing": gzip.compress(b""),
        "cut in half": whole[: len(whole) // 2],
        "a flipped bit": whole[:3000] + bytes([whole[3000] ^ 1]) + whole[3001:],
    }
    for name, data in cases.items():
        bad = write(home.parent, {"bad.tar.gz": data}) / "bad.tar.gz"
        with pytest.raises(StorageProblem) as caught:
            backup.restore(container, argparse.Namespace(file=str(bad)), Console("en", False))
        assert caught.value.reference in ("RT-121", "RT-123"), name
        assert tree(home / "data") == before, name
        assert not (home / "data" / ".restore").exists(), name
    missing = run(home, "restore", str(home / "none"), **PLAIN)
    assert missing.returncode == 1 and "Traceback" not in missing.stderr
    assert not list(home.parent.rglob("evil"))


class Killed(BaseException):
    """The process died."""


def restoring(folder: Path) -> dict[str, dict[str, bytes]]:
    """Make data, and a restore that is ready to be put in place; return what either looks like."""
    old = {"FORMAT.json": b"old", "records.sqlite3": b"old", "index/a": b"old", "only-old/x": b"x"}
    new = {"FORMAT.json": b"new", "records.sqlite3": b"new", "index/a": b"new", "only-new/y": b"y"}
    write(folder, old)
    (folder / "write.lock").touch()
    write(data_copy.begin(folder), new)
    return {"old": old, "new": new}


@pytest.fixture
def mutations(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Let the n-th mutating call of the file system be the last; [0] counts down, below zero nothing dies."""
    left = [-1]

    def dying(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            if left[0] == 0:
                raise Killed
            left[0] -= 1
            return real(*arguments, **options)

        return call

    for name in ("rename", "replace", "unlink", "mkdir", "rmdir"):
        monkeypatch.setattr(os, name, dying(getattr(os, name)))
    yield left
    left[0] = -1


def test_killed_at_every_step_of_a_restore_the_data_are_the_old_ones_or_the_new_ones(
    tmp_path: Path, mutations: list[int]
) -> None:
    outcomes = []
    for step in range(60):
        folder = tmp_path / str(step)
        wanted = restoring(folder)
        mutations[0] = step
        died = False
        try:
            data_copy.commit(folder)
            data_copy.finish(folder)
        except Killed:
            died = True
        mutations[0] = -1
        if data_copy.is_pending(folder):
            data_copy.finish(folder)
        kept = {
            str(path.relative_to(folder)): path.read_bytes()
            for path in folder.rglob("*")
            if path.is_file()
            and path.relative_to(folder).parts[0] not in (".restore", ".replaced", "write.lock")
        }
        assert kept in (wanted["old"], wanted["new"]), step
        outcomes.append(kept == wanted["new"])
        if outcomes[-1]:
            aside = tree(folder / ".replaced")
            assert aside == wanted["old"], step
        if not died:
            break
    assert outcomes == sorted(outcomes) and outcomes[0] is False and outcomes[-1] and step > 8


def test_a_restore_that_was_cut_short_is_finished_before_anything_is_opened(home: Path) -> None:
    file = filled(home)
    result(run(home, "backup", str(file), "--json", **PLAIN))
    write(home.parent / "docs", {"d.txt": "나중\n나중에 온 글"})
    result(run(home, "ingest", str(home.parent / "docs"), "--json", **PLAIN))
    folder = home / "data"
    with archive.opened(file) as (head, opened):
        archive.extract(file, opened, head, data_copy.begin(folder))
    data_copy.commit(folder)
    assert result(run(home, "status", "--json", **PLAIN))["documents"] == 3
    assert not (folder / ".restore").exists()
    assert result(run(home, "index", "verify", "--json", **PLAIN))["ok"]


@pytest.mark.parametrize("seed", range(3))
def test_killed_at_any_moment_backup_and_restore_leave_whole_data(home: Path, seed: int) -> None:
    file = filled(home)
    result(run(home, "backup", str(file), "--json", **PLAIN))
    chance = random.Random(seed)
    for number, words in enumerate([("backup", str(home.parent / "k.tar.gz")), ("restore", str(file))] * 2):
        process = subprocess.Popen(
            [sys.executable, str(CLI), *words],
            env=environment(home, **PLAIN),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(chance.uniform(0.3, 1.5))
        process.kill()
        process.wait()
        (home.parent / "k.tar.gz").unlink(missing_ok=True)
        found = result(run(home, "index", "verify", "--json", **PLAIN))
        assert found["ok"] and found["documents"] == 3, number
    result(run(home, "backup", str(home.parent / "last.tar.gz"), "--json", **PLAIN))
    assert not list((home / "data").glob(".backup-*"))


def test_a_full_disk_is_said_and_leaves_no_half_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write(tmp_path / "root", {"a": b"x" * 1000})
    monkeypatch.setattr(os, "fsync", _no_space)
    with pytest.raises(BackupProblem, match="cannot be written"):
        archive.write(tmp_path / "b.tar.gz", root, {})
    assert [each.name for each in tmp_path.iterdir()] == ["root"]
    with pytest.raises(StorageProblem):
        data_copy.stage(tmp_path / "nowhere")
    shutil.rmtree(root)


def _no_space(_: int) -> None:
    raise OSError(28, "No space left on device")
