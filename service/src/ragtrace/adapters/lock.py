"""The write lock of the data folder: a kernel lock, gone with the process that held it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ragtrace.errors import BusyProblem, StorageProblem
from ragtrace.text import Text


@contextmanager
def write_lock(path: Path) -> Iterator[None]:
    """Hold the lock for the block. Raises `BusyProblem` at once when another process holds it."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    except OSError as error:
        raise StorageProblem(
            Text("데이터 폴더에 쓸 수 없습니다.", "The data folder cannot be written to."), where=str(path)
        ) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BusyProblem(
                Text("다른 프로세스가 문서를 바꾸는 중입니다.", "Another process is changing the documents."),
                where=str(path),
                state=Text("아무것도 바뀌지 않았습니다.", "Nothing was changed."),
                hint=Text("그 작업이 끝난 뒤 다시 실행하십시오.", "Run it again when that has ended."),
            ) from error
        yield
    finally:
        os.close(descriptor)
