"""Make a backup of the data folder, and put one back: the order of the steps, and what is refused."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from ragtrace.adapters import archive, data_copy, data_format
from ragtrace.errors import BackupProblem, FormatProblem
from ragtrace.text import Text


def make(
    path: Path, folder: Path, lock: Callable[[], AbstractContextManager[None]], facts: Mapping[str, Any]
) -> dict[str, Any]:
    """Write the data of `folder` to the new file `path`; `lock` is the write lock, held only while it is copied.

    Returns `facts` and the numbers of files and bytes. Raises `BackupProblem`, `BusyProblem`.
    """
    if path.exists():
        raise _refused(Text("같은 이름의 파일이 있습니다.", "A file has that name already."), path)
    if folder.absolute().resolve() in path.resolve().parents:
        raise _refused(
            Text("백업을 데이터 폴더 안에 둘 수 없습니다.", "A backup cannot lie inside the data folder."),
            path,
        )
    with lock():
        staged = data_copy.stage(folder)
    try:
        data_copy.check(staged, folder)
        made = archive.write(path, staged, {"data": data_format.VERSION, **facts})
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    return {"file": str(path), **facts, **made}


def put_back(path: Path, folder: Path) -> dict[str, Any]:
    """Put the data of a backup in place of those of `folder`, which nobody else has open; the write lock is held.

    Returns the backup's facts, the number of `files`, where the earlier data lie (`replaced`), and whether a migration
    has to follow (`old_format`). Raises `BackupProblem`, `FormatProblem`; then nothing has changed.
    """
    with archive.opened(path) as (header, opened):
        _require_format(path, header.get("data"))
        target = data_copy.begin(folder)
        try:
            count = archive.extract(path, opened, header, target)
            data_copy.check(target, path)
        except BaseException:
            shutil.rmtree(target.parent, ignore_errors=True)
            raise
    data_copy.commit(folder)
    data_copy.finish(folder)
    aside = folder / data_copy.REPLACED
    return {
        "files": count,
        "documents": header.get("documents"),
        "chunks": header.get("chunks"),
        "made_at": header.get("made_at"),
        "replaced": str(aside) if aside.is_dir() and any(aside.iterdir()) else "",
        "old_format": header.get("data") != data_format.VERSION,
    }


def _require_format(path: Path, version: object) -> None:
    if type(version) is not int or not 1 <= version <= data_format.VERSION:
        raise FormatProblem(
            Text(
                f"백업의 데이터 형식 {version}을(를) 이 판은 읽지 못합니다(이 판: {data_format.VERSION}).",
                f"This release does not read the backup's data format {version} (its own: {data_format.VERSION}).",
            ),
            where=str(path),
            state=Text("아무것도 바뀌지 않았습니다.", "Nothing was changed."),
            hint=Text("백업을 만든 판을 설치하십시오.", "Install the release that made the backup."),
        )


def _refused(summary: Text, path: Path) -> BackupProblem:
    return BackupProblem(
        summary,
        where=str(path),
        state=Text("아무것도 쓰지 않았습니다.", "Nothing was written."),
        hint=Text("다른 이름을 주십시오.", "Give another name."),
    )
