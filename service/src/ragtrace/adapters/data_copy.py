"""Copy the data folder while it is in use, and put a copy back in one step that a kill cannot cut in two.

The copy is taken with the write lock held: records by SQLite's own backup, the index of words by links (its files are
written once), vectors generation by generation while each is held still. The copy may hold vectors that are behind the
records, never ones that are ahead: they are copied first, and follow the records wherever they are put back.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from ragtrace.adapters import data_format
from ragtrace.adapters.durable import sync_folder
from ragtrace.adapters.vectors import files
from ragtrace.adapters.vectors.generations import copy_generation, numbered
from ragtrace.errors import BackupProblem
from ragtrace.text import Text

# What is being copied, what is being put back, and what was there before.
STAGING, RESTORING, REPLACED = ".backup-", ".restore", ".replaced"
_READY = "READY.json"
_LOCK = "write.lock"
_VECTORS, _INDEX = "vectors", "index"
_PASSING = (_LOCK, RESTORING, REPLACED)
_SIDES = ("-wal", "-shm", "-journal")


def stage(folder: Path) -> Path:
    """Copy what is worth keeping to a folder beside it, and return that; the write lock is held.

    Raises:
        BackupProblem: the records are damaged, or there is no space.
    """
    for old in folder.glob(f"{STAGING}*"):
        shutil.rmtree(old)
    target = folder / f"{STAGING}{os.getpid()}"
    try:
        target.mkdir(mode=0o750)
        _vectors(folder / _VECTORS, target / _VECTORS)
        for each in sorted(folder.iterdir()):
            if each.name in (*_PASSING, _VECTORS) or each.name.startswith("."):
                continue
            if each.is_dir() and not each.is_symlink():
                _tree(each, target / each.name, link=each.name == _INDEX)
            elif each.is_file():
                _file(each, target / each.name, link=False)
    except (OSError, sqlite3.Error) as error:
        with suppress(OSError):
            shutil.rmtree(target)
        raise BackupProblem(
            Text("데이터를 복사할 수 없습니다.", "The data cannot be copied."),
            where=f"{folder}: {error}",
            state=Text("데이터는 그대로입니다.", "The data is untouched."),
            hint=Text("권한과 디스크 공간을 확인하십시오.", "Check permissions and disk space."),
        ) from error
    return target


def check(folder: Path, path: Path) -> None:
    """Look through the copied or restored records. Raises `BackupProblem` where they are damaged; `path` is what to name."""
    records = folder / data_format.RECORDS
    try:
        with closing(sqlite3.connect(f"{records.absolute().as_uri()}?mode=ro", uri=True)) as database:
            found = [str(row[0]) for row in database.execute("PRAGMA quick_check(3)")]
    except sqlite3.Error as error:
        found = [str(error)]
    if found != ["ok"]:
        raise BackupProblem(
            Text("기록 데이터베이스가 손상되었습니다.", "The records database is damaged."),
            where=f"{path}: {'; '.join(found)[:300]}",
            state=Text("아무것도 바뀌지 않았습니다.", "Nothing was changed."),
            hint=Text("더 이른 백업을 되돌리십시오.", "Put an earlier backup back."),
        )


def commit(folder: Path) -> None:
    """Say that what lies in the staging folder is complete: from here on it will be put in place, kill or not."""
    staging = folder / RESTORING
    shutil.rmtree(folder / REPLACED, ignore_errors=True)
    document = {
        "old": sorted(each.name for each in folder.iterdir() if _counts(each.name)),
        "new": sorted(each.name for each in (staging / "new").iterdir()),
    }
    sync_folder(staging / "new")
    files.write_json(staging / _READY, document)


def is_pending(folder: Path) -> bool:
    """Say whether a restore was begun that has to be finished before anything is opened."""
    return (folder / RESTORING / _READY).exists()


def finish(folder: Path) -> None:
    """Put what was committed in place, and what was there aside; done twice or cut short, it ends the same.

    The write lock is held and nobody has the data open.
    """
    staging, aside = folder / RESTORING, folder / REPLACED
    try:
        document = json.loads((staging / _READY).read_bytes())
        aside.mkdir(exist_ok=True, mode=0o750)
        for name in document["old"]:
            # Once it lies aside, what has its name in the folder is the new one.
            if os.path.lexists(folder / name) and not os.path.lexists(aside / name):
                os.rename(folder / name, aside / name)
        sync_folder(aside)
        for name in document["new"]:
            if os.path.lexists(staging / "new" / name):
                os.rename(staging / "new" / name, folder / name)
        sync_folder(folder)
        os.unlink(staging / _READY)
        sync_folder(staging)
        shutil.rmtree(staging)
    except (OSError, ValueError, KeyError) as error:
        raise BackupProblem(
            Text("되돌리기를 끝낼 수 없습니다.", "The restore cannot be finished."),
            where=f"{folder}: {error}",
            state=Text(
                "이전 데이터는 .replaced 폴더에 있습니다.", "The earlier data lies in the folder .replaced."
            ),
            hint=Text(
                "권한과 디스크 공간을 확인하고 다시 실행하면 이어집니다.",
                "Check permissions and disk space; the next run goes on.",
            ),
        ) from error


def begin(folder: Path) -> Path:
    """Return the empty folder that a backup is unpacked to; what an interrupted attempt left is removed."""
    staging = folder / RESTORING
    shutil.rmtree(staging, ignore_errors=True)
    (staging / "new").mkdir(parents=True, mode=0o750)
    return staging / "new"


def _counts(name: str) -> bool:
    return name not in _PASSING and not name.startswith(STAGING)


def _vectors(source: Path, target: Path) -> None:
    """Copy the generations that have a mark; what is being built, or is broken, is no loss."""
    for _, each in numbered(source):
        if files.read_mark(each) is not None:
            copy_generation(each, target / each.name)


def _tree(source: Path, target: Path, *, link: bool) -> None:
    for root, folders, names in os.walk(source):
        folders[:] = [name for name in folders if not name.endswith(".broken")]
        place = target / Path(root).relative_to(source)
        place.mkdir(parents=True, exist_ok=True, mode=0o750)
        for name in names:
            _file(Path(root) / name, place / name, link=link)


def _file(source: Path, target: Path, *, link: bool) -> None:
    if source.is_symlink() or source.name.endswith((".lock", *_SIDES)):
        return
    if source.suffix == ".sqlite3":
        with (
            closing(
                sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True, timeout=30)
            ) as database,
            closing(sqlite3.connect(target)) as copy,
        ):
            database.backup(copy)
        return
    if link:
        with suppress(OSError):
            os.link(source, target)
            return
    files.copy_sparse(source, target)
