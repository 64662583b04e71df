"""`ragtrace backup` and `ragtrace restore`."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from ragtrace import __version__
from ragtrace.adapters import archive, data_copy, data_format
from ragtrace.bootstrap import Container
from ragtrace.entrypoints.cli.commands import refuse_while_running
from ragtrace.entrypoints.cli.console import Console
from ragtrace.errors import BackupProblem, FormatProblem
from ragtrace.text import Text


def backup(container: Container, arguments: argparse.Namespace, console: Console) -> int:
    """Write the whole data folder to a file, also while the service runs."""
    path, folder = Path(arguments.file).absolute(), container.settings.data_folder
    if path.exists():
        raise _refused(Text("같은 이름의 파일이 있습니다.", "A file has that name already."), path)
    if folder.absolute().resolve() in path.resolve().parents:
        raise _refused(
            Text("백업을 데이터 폴더 안에 둘 수 없습니다.", "A backup cannot lie inside the data folder."),
            path,
        )
    documents, chunks = container.records.counts()
    with container.lock():
        staged = data_copy.stage(folder)
    try:
        data_copy.check(staged, folder)
        header = {
            "product": __version__,
            "data": data_format.VERSION,
            "made_at": container.clock.now().isoformat(timespec="seconds"),
            "documents": documents,
            "chunks": chunks,
            "vectors": container.settings.vectors.store,
        }
        made = archive.write(path, staged, header)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    console.say(
        Text(
            f"백업했습니다: 문서 {documents}개, 조각 {chunks}개, {made['bytes']:,}바이트. {path}",
            f"Backed up {documents} documents, {chunks} chunks, {made['bytes']:,} bytes: {path}",
        )
    )
    console.data({"file": str(path), "documents": documents, "chunks": chunks, **made})
    return 0


def restore(container: Container, arguments: argparse.Namespace, console: Console) -> int:
    """Put a backup in place of the data; what was there lies aside. Killed at any instant, the next run decides."""
    path, folder = Path(arguments.file).absolute(), container.settings.data_folder
    refuse_while_running(container)
    with container.exclusive():
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
    kept = aside.is_dir() and any(aside.iterdir())
    documents, chunks = header.get("documents"), header.get("chunks")
    console.say(
        Text(
            f"되돌렸습니다: 문서 {documents}개, 조각 {chunks}개 ({header.get('made_at')}).",
            f"Restored {documents} documents, {chunks} chunks, as of {header.get('made_at')}.",
        )
    )
    if kept:
        console.say(
            Text(
                f"이전 데이터: {aside} (필요 없으면 지우십시오)",
                f"The earlier data: {aside} (delete it when it is not needed)",
            )
        )
    if header.get("data") != data_format.VERSION:
        console.say(Text("이제 실행하십시오: ragtrace migrate", "Now run: ragtrace migrate"))
    console.data(
        {
            "files": count,
            "documents": documents,
            "chunks": chunks,
            "made_at": header.get("made_at"),
            "replaced": str(aside) if kept else "",
        }
    )
    return 0


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
