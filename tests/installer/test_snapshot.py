"""A snapshot is exact, and it is put back exactly - whatever lies in the data, and wherever a kill strikes."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bundle.errors import RecoveryNeededError
from installer import inventory, snapshot, treecopy
from installer.dataformat import PASSING
from installer.paths import Prefix, generation_name
from installer.pointer import Pointer
from installer.snapshot import Note

ONE, TWO = (generation_name(n, f"{n:02x}" * 32) for n in (1, 2))
TRANSACTION = "0123456789abcdef"
NAME = snapshot.name_for(ONE, TRANSACTION)
ROOT = os.geteuid() == 0
OLD, NEW = Pointer(ONE, "01" * 32, 1), Pointer(TWO, "02" * 32, 2, (ONE,))


def picture(folder: Path, skip: frozenset[str] = PASSING) -> dict[str, tuple[Any, ...]]:
    """Return everything a restore has to bring back, read without the code under test."""
    found: dict[str, tuple[Any, ...]] = {".": owner(folder.lstat())}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        status = path.lstat()
        if name.split("/")[0] in skip:
            continue
        if path.is_symlink():
            found[name] = ("link", os.readlink(path), status.st_uid, status.st_gid)
        elif path.is_dir():
            found[name] = ("folder", *owner(status))
        else:
            found[name] = (path.read_bytes(), status.st_mtime_ns, *owner(status))
    return found


def owner(status: os.stat_result) -> tuple[int, int, int]:
    return stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid


@pytest.fixture
def prefix(tmp_path: Path) -> Prefix:
    """An installation whose data hold everything that can be in the way."""
    made = Prefix(tmp_path / "설치 위치")
    for folder in (made.state, made.data / "documents" / "빈 폴더", made.data / "index", made.logs):
        folder.mkdir(parents=True)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"not ours")
    data = made.data
    (data / "records.sqlite3").write_bytes(os.urandom(200_000))
    (data / "documents" / "휴가.md").write_bytes("휴가 규정".encode())
    (data / "documents" / "empty").write_bytes(b"")
    os.link(data / "documents" / "휴가.md", data / "index" / "second name")
    os.link(outside / "secret", data / "index" / "foreign name")
    (data / "documents" / "link").symlink_to(outside)
    (data / "dangling").symlink_to("/nowhere/at all")
    (data / "tool").write_bytes(b"#!/bin/sh\n")
    (data / "tool").chmod(0o750)
    (data / "sealed").mkdir()
    (data / "sealed" / "file").write_bytes(b"in a folder that may not be written to")
    (data / "sealed").chmod(0o550)
    with open(os.fsencode(data) + b"/no \xff unicode", "wb") as stream:
        stream.write(b"odd name")
    (made.logs / "service.log").write_bytes(b"a log\n")
    if ROOT:
        os.chown(data, 12345, 12346)
        os.chown(data / "records.sqlite3", 12345, 12346)
        os.chown(data / "documents", 12345, 0)
        os.chown(data / "dangling", 12345, 12346, follow_symlinks=False)
        os.chown(data / "tool", 12345, 12346)
        (data / "tool").chmod(0o4750)
    data.chmod(0o750)
    return made


def note_of(phase: str = "changing") -> Note:
    return Note(TRANSACTION, TWO, NAME, phase)


def take(prefix: Prefix) -> snapshot.Snapshot:
    return snapshot.take(prefix, NAME, 1, TRANSACTION)


def spoil(prefix: Prefix) -> None:
    """Change the data as a migration that went wrong would."""
    data = prefix.data
    with open(data / "records.sqlite3", "r+b") as stream:
        stream.write(b"changed in place")
    (data / "tool").unlink()
    (data / "sealed").chmod(0o700)
    shutil.rmtree(data / "sealed")
    (data / "sealed").write_bytes(b"a file now")
    (data / "documents" / "new").write_bytes(b"x" * 10_000)
    (data / "dangling").unlink()
    (data / "dangling").mkdir()
    (data / "extra").mkdir()
    (data / "extra" / "deep").mkdir()
    (data / "extra" / "deep" / "er").write_bytes(b"")
    (prefix.logs / "service.log").write_bytes(b"a log\nand more\n")


def recover(prefix: Prefix, pointer: Pointer | None = OLD) -> list[str]:
    return [text.en for text in snapshot.recover(prefix, pointer, lambda: None)]


def put_back(prefix: Prefix) -> None:
    note = snapshot.read_note(prefix)
    assert note is not None
    snapshot.put_back(prefix, note)


def changed(prefix: Prefix, phase: str = "changing") -> dict[str, tuple[Any, ...]]:
    """Take a snapshot, note that data are being changed, change them; return how they were."""
    before = picture(prefix.data)
    take(prefix)
    snapshot.write_note(prefix, note_of(), phase)
    spoil(prefix)
    assert picture(prefix.data) != before
    return before


def test_what_is_put_back_is_exactly_what_was_taken(prefix: Prefix, tmp_path: Path) -> None:
    before = changed(prefix)
    put_back(prefix)
    assert picture(prefix.data) == before
    assert (prefix.logs / "service.log").read_bytes() == b"a log\nand more\n", "logs tell what happened"
    assert picture(tmp_path / "outside")["secret"][0] == b"not ours"
    assert not prefix.snapshots.exists()
    assert not prefix.data_note.exists()


def test_taking_changes_nothing_and_the_copy_shares_nothing(prefix: Prefix) -> None:
    before = picture(prefix.data)
    taken = take(prefix)
    assert picture(prefix.data) == before
    tree = prefix.snapshots / NAME / "tree"
    copied = picture(tree)
    assert {name: found for name, found in copied.items() if name != "."} == {
        name: found for name, found in before.items() if name != "."
    }
    spoil(prefix)
    assert picture(tree) == copied
    assert taken.bytes == sum(len(found[0]) for found in before.values() if isinstance(found[0], bytes))
    assert snapshot.read(prefix, NAME) == taken
    assert owner(prefix.snapshots.lstat())[0] == 0o700, "documents are in there"


def test_a_snapshot_is_declared_and_a_leftover_is_not(prefix: Prefix) -> None:
    take(prefix)
    assert not [path for path in inventory.undeclared(prefix) if path.startswith("snapshots")]
    (prefix.snapshots / NAME / "SNAPSHOT.json").unlink()
    assert f"snapshots/{NAME}" in inventory.undeclared(prefix)
    recover(prefix)
    assert not prefix.snapshots.exists()


def test_a_socket_is_found_beforehand_and_not_copied(prefix: Prefix) -> None:
    here = os.getcwd()
    os.chdir(prefix.data / "index")
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind("socket")
    finally:
        os.chdir(here)
    assert treecopy.measure(prefix.data, PASSING)[2] == "index/socket"
    with pytest.raises(OSError, match="neither file"):
        take(prefix)


def test_data_that_somebody_still_writes_to_are_no_snapshot(
    prefix: Prefix, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = treecopy.copy_tree

    def meanwhile(*arguments: Any) -> Any:
        copied = real(*arguments)
        (prefix.data / "documents" / "another").write_bytes(b"?")
        return copied

    monkeypatch.setattr(treecopy, "copy_tree", meanwhile)
    with pytest.raises(snapshot.Moving):
        take(prefix)
    assert snapshot.read(prefix, NAME) is None


def test_a_link_that_appears_while_root_reads_is_not_followed(prefix: Prefix, tmp_path: Path) -> None:
    folder = prefix.data / "documents"
    shutil.rmtree(folder)
    folder.symlink_to(tmp_path / "outside")
    taken = take(prefix)
    assert not any(entry.path.endswith("secret") for entry in taken.entries)
    with pytest.raises(OSError):
        treecopy.copy_tree(folder, tmp_path)


@pytest.mark.parametrize("damage", ("bytes", "missing", "extra", "mode", "record", "gone"))
def test_a_damaged_snapshot_is_not_put_back_and_the_data_stay(prefix: Prefix, damage: str) -> None:
    changed(prefix)
    after = picture(prefix.data)
    tree, record = prefix.snapshots / NAME / "tree", prefix.snapshots / NAME / "SNAPSHOT.json"
    if damage == "bytes":
        with open(tree / "records.sqlite3", "r+b") as stream:
            stream.seek(100_000)
            stream.write(b"!")
    elif damage == "missing":
        (tree / "documents" / "empty").unlink()
    elif damage == "extra":
        (tree / "more").write_bytes(b"")
    elif damage == "mode":
        (tree / "tool").chmod(0o777)
    elif damage == "record":
        record.write_bytes(record.read_bytes().replace(b"tool", b"fool"))
    else:
        shutil.rmtree(prefix.snapshots)
    for _ in range(2):
        with pytest.raises(RecoveryNeededError) as refused:
            recover(prefix)
        assert refused.value.exit_code == 14
        assert picture(prefix.data) == after


def test_a_release_that_was_accepted_keeps_its_data(prefix: Prefix) -> None:
    changed(prefix, "changed")
    after = picture(prefix.data)
    recover(prefix, NEW)
    assert picture(prefix.data) == after
    assert not prefix.data_note.exists()
    assert [one.name for one in snapshot.kept(prefix)] == [NAME]
    assert recover(prefix, NEW) == [], "idempotent"


def test_a_migration_that_did_not_end_goes_back_even_for_the_release_it_was_for(prefix: Prefix) -> None:
    before = changed(prefix, "changing")
    recover(prefix, NEW)
    assert picture(prefix.data) == before


def test_data_that_were_not_touched_yet_stay(prefix: Prefix) -> None:
    before = picture(prefix.data)
    take(prefix)
    snapshot.write_note(prefix, note_of(), "begun")
    (prefix.snapshots / NAME / "SNAPSHOT.json").unlink()
    assert recover(prefix) == ["the data had not been changed"]
    assert picture(prefix.data) == before
    assert not prefix.snapshots.exists()
    assert not prefix.data_note.exists()


def test_newer_data_that_were_served_are_kept_when_a_kill_sends_them_back(prefix: Prefix) -> None:
    before = changed(prefix, "changed")
    (prefix.data / "documents" / "weeks of work").write_bytes(b"not to be lost")
    after = picture(prefix.data)
    recover(prefix, OLD)
    assert picture(prefix.data) == before
    (kept,) = snapshot.kept(prefix)
    assert kept.generation == TWO
    found = picture(prefix.snapshots / kept.name / "tree")
    assert found["documents/weeks of work"] == after["documents/weeks of work"]


def test_the_running_service_is_stopped_before_its_data_go_back(prefix: Prefix) -> None:
    before = changed(prefix)
    spoilt = picture(prefix.data)
    seen: list[bool] = []
    snapshot.recover(prefix, OLD, lambda: seen.append(picture(prefix.data) == spoilt))
    assert seen == [True]
    assert picture(prefix.data) == before


def test_only_the_newest_snapshot_of_each_kept_release_stays(prefix: Prefix) -> None:
    three = generation_name(3, "03" * 32)
    wanted = []
    for generation, transaction in ((ONE, "a" * 8), (ONE, "b" * 8), (three, "c" * 8), ("", "d" * 8)):
        wanted.append(snapshot.take(prefix, snapshot.name_for(generation, transaction), 1, transaction).name)
    assert snapshot.collect(prefix, NEW) == sorted({*wanted} - {wanted[1]})
    assert [one.name for one in snapshot.kept(prefix)] == [wanted[1]]
    rebuilt = Pointer(f"{ONE}-r1", "01" * 32, 1)
    assert snapshot.collect(prefix, rebuilt) == [], "a repaired release keeps the snapshots of the release"
    assert snapshot.collect(prefix, Pointer(three, "03" * 32, 3)) == [wanted[1]]
    assert not prefix.snapshots.exists()


def test_a_name_from_elsewhere_never_becomes_a_path(prefix: Prefix) -> None:
    for name in ("../data.aaaaaaaa", "none", f"{ONE}./etc", f"/etc.{'a' * 8}", ""):
        with pytest.raises(ValueError, match="not a snapshot's name"):
            snapshot.folder_of(prefix, name)


def test_what_would_be_lost_is_counted(prefix: Prefix) -> None:
    taken = take(prefix)
    assert "0 file(s) changed" in snapshot.losses(prefix, taken).en
    spoil(prefix)
    # records and sealed changed, documents/new and extra/deep/er came, tool and sealed/file went
    assert treecopy.changes(prefix.data, taken.entries, PASSING)[0] == 6


# Kills. The work is done in a child, which ends like by SIGKILL before its n-th change of the disk.


def killed_at(count: int, work: Callable[[], object]) -> bool:
    """Do the work in a child that dies before its change number `count`; return False where it got to its end."""
    child = os.fork()
    if child == 0:
        try:
            _die_at(count)
            work()
        except BaseException:
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return True
    assert os.WEXITSTATUS(status) == 0, "the work failed"
    return False


EVENTS = {"os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.chmod", "os.chown", "os.utime", "os.symlink"}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def _die_at(count: int) -> None:
    remaining = [count]
    real_write = os.write

    def strike() -> None:
        remaining[0] -= 1
        if remaining[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event in EVENTS or (event == "open" and arguments[2] and arguments[2] & WRITING):
            strike()

    def write(descriptor: int, data: Any) -> int:
        strike()
        return real_write(descriptor, data)

    os.write = write
    sys.addaudithook(hook)


def every_kill(prefix: Prefix, work: Callable[[], object], prepare: Callable[[], object]) -> Iterator[int]:
    """Yield after each kill of `work`, one change later every time; `prepare` makes a fresh start."""
    count = 1
    while True:
        prepare()
        if not killed_at(count, work):
            return
        yield count
        count += 1


@pytest.fixture
def fresh(prefix: Prefix, tmp_path: Path) -> Callable[[], None]:
    """Bring the whole installation back to what it is now, from a copy."""
    kept = tmp_path / "kept"
    subprocess.run(["cp", "-a", str(prefix.root), str(kept)], check=True)

    def again() -> None:
        treecopy.clear(tmp_path, ("kept", "outside"))
        subprocess.run(["cp", "-a", str(kept), str(prefix.root)], check=True)

    return again


def test_a_kill_while_taking_leaves_the_data_alone(prefix: Prefix, fresh: Callable[[], None]) -> None:
    before = picture(prefix.data)

    def work() -> None:
        snapshot.write_note(prefix, note_of(), "begun")
        take(prefix)

    points = 0
    for _ in every_kill(prefix, work, fresh):
        points += 1
        assert picture(prefix.data) == before
        recover(prefix)
        assert picture(prefix.data) == before
        assert not prefix.snapshots.exists()
        assert not prefix.data_note.exists()
        assert recover(prefix) == []
    assert points > 40


@pytest.mark.parametrize("moving", (True, False), ids=("moved", "copied"))
def test_a_kill_while_putting_back_is_finished_by_the_next_three_runs(
    prefix: Prefix, fresh: Callable[[], None], monkeypatch: pytest.MonkeyPatch, moving: bool
) -> None:
    if not moving:
        # As if snapshots and data lay on different file systems.
        def refuse(source: Path, goal: Path) -> None:
            raise OSError(18, "Invalid cross-device link", str(source))

        monkeypatch.setattr(snapshot, "_move", refuse)
    state: dict[str, Any] = {}

    def prepare() -> None:
        fresh()
        state["before"] = changed(prefix)

    def again() -> None:
        recover(prefix)

    points = 0
    for points in every_kill(prefix, again, prepare):
        # The second and the third run are killed too, at other places.
        killed_at(1 + points % 7, again)
        killed_at(1 + points % 11, again)
        again()
        assert picture(prefix.data) == state["before"], f"killed at {points}"
        assert not prefix.snapshots.exists()
        assert not prefix.data_note.exists()
        assert recover(prefix) == []
    assert points > 30


@pytest.mark.skipif(not ROOT, reason="mounts a file system")
def test_a_full_disk_does_not_stand_in_the_way_of_putting_back(prefix: Prefix, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(small)], check=True)
    try:
        subprocess.run(["cp", "-a", str(prefix.root), str(small / "r")], check=True)
        there = Prefix(small / "r")
        before = changed(there)
        filler = os.open(there.data / "filler", os.O_WRONLY | os.O_CREAT)
        with pytest.raises(OSError, match="No space left"):
            while True:
                os.write(filler, b"x" * 65536)
        os.close(filler)
        note = snapshot.read_note(there)
        assert note is not None
        with open(there.state / "reserve.bin", "wb"):
            pass
        os.truncate(there.data / "filler", (there.data / "filler").stat().st_size - 8192)
        snapshot.put_back(there, note)
        assert picture(there.data) == before
    finally:
        subprocess.run(["umount", str(small)], check=True)


@pytest.mark.skipif(not ROOT, reason="mounts a file system")
def test_data_on_a_disk_of_their_own_come_back_too(prefix: Prefix, tmp_path: Path) -> None:
    own = tmp_path / "disk"
    subprocess.run(["cp", "-a", str(prefix.data), str(own)], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "none", str(prefix.data)], check=True)
    try:
        subprocess.run(["cp", "-a", f"{own}/.", str(prefix.data)], check=True)
        before = changed(prefix)
        put_back(prefix)
        assert picture(prefix.data) == before
    finally:
        subprocess.run(["umount", str(prefix.data)], check=True)


@pytest.mark.skipif(not ROOT, reason="becomes another user")
def test_a_user_who_is_not_root_puts_back_folders_that_may_not_be_written_to() -> None:
    place = Path(tempfile.mkdtemp())
    try:
        prefix = Prefix(place / "r")
        for folder in (prefix.state, prefix.logs, prefix.data / "sealed" / "inner"):
            folder.mkdir(parents=True)
        (prefix.data / "sealed" / "inner" / "file").write_bytes(b"bytes")
        (prefix.data / "sealed" / "inner").chmod(0o550)
        (prefix.data / "sealed").chmod(0o550)
        subprocess.run(["chown", "-R", "65534:65534", str(place)], check=True)
        before = picture(prefix.data)

        def work() -> None:
            os.setgroups([])
            os.setresgid(65534, 65534, 65534)
            os.setresuid(65534, 65534, 65534)
            take(prefix)
            snapshot.write_note(prefix, note_of(), "changing")
            (prefix.data / "sealed").rename(prefix.data / "moved")
            put_back(prefix)

        assert killed_at(10**9, work) is False
        assert picture(prefix.data) == before
    finally:
        shutil.rmtree(place)
