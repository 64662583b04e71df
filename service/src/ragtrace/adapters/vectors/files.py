"""Files of a generation of the vector index: what it is, its mark, its locks, and copies that keep holes."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ragtrace.adapters.durable import replace_file
from ragtrace.application.ports import IndexMark
from ragtrace.errors import BusyProblem, IndexDamage, StorageProblem
from ragtrace.text import Text

GENERATION, MARK, SHARD = "GENERATION.json", "mark.json", "shard"
# Held as long as a process has the generation open; held for each change, and by whoever copies its files.
OWNER, HOLD = "owner.lock", "hold.lock"
_HOLD_S = 120.0
_PIECE = 1 << 20


def write_json(path: Path, document: Mapping[str, Any]) -> None:
    """Replace a small file in one durable step."""
    try:
        replace_file(path, json.dumps(document, ensure_ascii=False).encode() + b"\n")
    except OSError as error:
        raise unusable(path, error) from error


def read_json(path: Path) -> dict[str, Any] | None:
    """Return what a small file says; None where it is missing or says nothing that could be understood."""
    try:
        document = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValueError, RecursionError):
        return None
    except OSError as error:
        raise unusable(path, error) from error
    return document if isinstance(document, dict) else None


def read_mark(folder: Path) -> IndexMark | None:
    """Return a generation's mark; anybody may look, no lock is needed."""
    stored = read_json(folder / MARK)
    try:
        return None if stored is None else IndexMark(**stored["mark"])
    except (KeyError, TypeError):
        return None


def take(path: Path, *, wait_s: float = 0.0) -> int:
    """Return a descriptor that holds the lock. Raises `BusyProblem` when somebody else holds it for so long."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    except OSError as error:
        raise unusable(path, error) from error
    deadline = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return descriptor
        except BlockingIOError as error:
            if time.monotonic() >= deadline:
                os.close(descriptor)
                raise BusyProblem(
                    Text(
                        "다른 프로세스가 벡터 색인을 갖고 있습니다.",
                        "Another process has the vector index.",
                    ),
                    where=str(path),
                    state=Text("아무것도 바뀌지 않았습니다.", "Nothing was changed."),
                    hint=Text(
                        "서비스가 실행 중이면 서비스가 기록을 따라 벡터를 만듭니다.",
                        "A running service makes the vectors itself, from the records.",
                    ),
                ) from error
            time.sleep(0.01)


class Wish:
    """How a process that stays (the service) asks one that only passes by (a command) for the index: a file's time."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "wish"
        self._since = 0

    @property
    def made(self) -> bool:
        """Say whether somebody has asked since `begin`."""
        try:
            return self._path.stat().st_mtime_ns > self._since
        except FileNotFoundError:
            return False

    def begin(self) -> None:
        """Note when this process became the owner."""
        self._path.touch()
        self._since = self._path.stat().st_mtime_ns

    def make(self) -> None:
        """Ask the present owner."""
        self._path.touch()


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold the files of a generation still."""
    descriptor = take(folder / HOLD, wait_s=_HOLD_S)
    try:
        yield
    finally:
        os.close(descriptor)


def is_owned(folder: Path) -> bool:
    """Say whether a process has the generation open."""
    try:
        os.close(take(folder / OWNER))
    except BusyProblem:
        return True
    return False


def copy_tree(source: Path, target: Path) -> int:
    """Copy folders and regular files, holes as holes; return the bytes written. Raises `StorageProblem`.

    A shard's files are up to ten times larger than what is in them.
    """
    written = 0
    try:
        for root, _, names in os.walk(source):
            place = target / Path(root).relative_to(source)
            place.mkdir(parents=True, exist_ok=True, mode=0o750)
            for name in names:
                written += copy_sparse(Path(root) / name, place / name)
    except OSError as error:
        raise unusable(target, error) from error
    return written


def copy_sparse(source: Path, target: Path) -> int:
    """Copy one file, holes as holes; return the bytes written."""
    written = 0
    with open(source, "rb") as read, open(target, "wb") as write:
        size = os.fstat(read.fileno()).st_size
        at = 0
        while at < size:
            try:
                begin = os.lseek(read.fileno(), at, os.SEEK_DATA)
            except OSError as error:
                if error.errno == errno.ENXIO:
                    break
                raise
            end = os.lseek(read.fileno(), begin, os.SEEK_HOLE)
            read.seek(begin)
            write.seek(begin)
            while begin < end:
                piece = read.read(min(_PIECE, end - begin))
                if not piece:
                    break
                write.write(piece)
                written += len(piece)
                begin += len(piece)
            at = end
        write.truncate(size)
    shutil.copystat(source, target)
    return written


def damaged(folder: Path, what: str) -> IndexDamage:
    """Return the error of vectors that cannot be read."""
    return IndexDamage(
        Text("벡터 색인이 손상되었습니다.", "The vector index is damaged."),
        where=f"{folder}: {what}"[:500],
        state=Text("문서 기록은 그대로입니다.", "The records of the documents are untouched."),
        hint=Text(
            "서비스를 다시 시작하면 기록에서 다시 만듭니다.",
            "A restart of the service makes it anew from the records.",
        ),
    )


def unusable(path: Path, error: BaseException) -> StorageProblem:
    """Return the error of files that cannot be used for a reason outside of them."""
    return StorageProblem(
        Text("벡터 색인을 쓸 수 없습니다.", "The vector index cannot be used."),
        where=f"{path}: {error}"[:500],
        state=Text("문서 기록은 그대로입니다.", "The records of the documents are untouched."),
        hint=Text("권한과 디스크 공간을 확인하십시오.", "Check permissions and disk space."),
    )
