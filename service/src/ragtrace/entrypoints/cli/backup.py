"""`ragtrace backup` and `ragtrace restore`."""

from __future__ import annotations

import argparse
from pathlib import Path

from ragtrace.bootstrap import Container
from ragtrace.entrypoints.cli.commands import refuse_while_running
from ragtrace.entrypoints.cli.console import Console
from ragtrace.text import Text


def backup(container: Container, arguments: argparse.Namespace, console: Console) -> int:
    """Write the whole data folder to a file, also while the service runs."""
    made = container.backup(Path(arguments.file).absolute())
    documents, chunks = made["documents"], made["chunks"]
    console.say(
        Text(
            f"백업했습니다: 문서 {documents}개, 조각 {chunks}개, {made['bytes']:,}바이트. {made['file']}",
            f"Backed up {documents} documents, {chunks} chunks, {made['bytes']:,} bytes: {made['file']}",
        )
    )
    console.data(made)
    return 0


def restore(container: Container, arguments: argparse.Namespace, console: Console) -> int:
    """Put a backup in place of the data; what was there lies aside. Killed at any instant, the next run decides."""
    refuse_while_running(container)
    back = container.data.restore(Path(arguments.file).absolute())
    documents, chunks, made_at = back["documents"], back["chunks"], back["made_at"]
    console.say(
        Text(
            f"되돌렸습니다: 문서 {documents}개, 조각 {chunks}개 ({made_at}).",
            f"Restored {documents} documents, {chunks} chunks, as of {made_at}.",
        )
    )
    if back["replaced"]:
        console.say(
            Text(
                f"이전 데이터: {back['replaced']} (필요 없으면 지우십시오)",
                f"The earlier data: {back['replaced']} (delete it when it is not needed)",
            )
        )
    if back["old_format"]:
        console.say(Text("이제 실행하십시오: ragtrace migrate", "Now run: ragtrace migrate"))
    console.data(back)
    return 0
