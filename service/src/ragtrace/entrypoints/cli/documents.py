"""`ragtrace documents list` and `ragtrace documents delete`."""

from __future__ import annotations

import argparse
import dataclasses

from ragtrace.bootstrap import Container
from ragtrace.entrypoints.cli import vectors
from ragtrace.entrypoints.cli.console import Console
from ragtrace.errors import InvalidRequest
from ragtrace.text import Text


def documents_list(container: Container, arguments: argparse.Namespace, console: Console) -> int:
    """List the documents that are kept, or the files that were refused."""
    from ragtrace.application.removal import Choice

    if arguments.refused:
        return _list_refused(container, arguments, console)
    every = container.records.documents()
    chosen = Choice(source=arguments.source, group=arguments.group).among(every)[: arguments.limit]
    for each in chosen:
        group = f"  [{each.group}]" if each.group else ""
        console.say(
            f"{each.id[:12]}  {each.chunk_count:4}  {each.date or '-':10}  {each.path}  {each.title}{group}"
        )
    console.say(Text(f"문서 {len(every)}개 중 {len(chosen)}개", f"{len(chosen)} of {len(every)} documents"))
    console.data({"total": len(every), "documents": [dataclasses.asdict(each) for each in chosen]})
    return 0


def _list_refused(container: Container, arguments: argparse.Namespace, console: Console) -> int:
    refused = container.records.refused(arguments.source)
    shown = refused[: arguments.limit]
    for each in shown:
        console.say(f"{each.status:8}  {each.at[:10]}  {each.path}: {each.reason.to(console.lang)}")
    console.say(
        Text(
            f"받아들이지 않았거나 일부만 읽은 파일 {len(refused)}개 중 {len(shown)}개",
            f"{len(shown)} of {len(refused)} files not taken in, or only in part",
        )
    )
    console.data(
        {
            "total": len(refused),
            "refused": [
                {**dataclasses.asdict(each), "reason": each.reason.to(console.lang)} for each in shown
            ],
        }
    )
    return 0


def documents_delete(container: Container, arguments: argparse.Namespace, console: Console) -> int:
    """Remove documents by id, path or folder, or all of a source or group."""
    from ragtrace.application.removal import Choice

    choice = Choice(tuple(arguments.targets), arguments.source, arguments.group)
    if choice == Choice():
        raise InvalidRequest(
            Text("무엇을 지울지 적어 주십시오.", "Say what to remove."),
            state=Text("아무것도 지우지 않았습니다.", "Nothing was removed."),
            hint=Text(
                "식별자, 경로, '폴더/', --source 또는 --group",
                "An id, a path, a 'folder/', --source or --group",
            ),
        )
    chosen = choice.among(container.records.documents())
    made: dict[str, object] = {}
    if chosen and not arguments.dry_run:

        def progress(done: int, total: int) -> None:
            console.talk(Text(f"문서 {done}/{total}", f"documents {done}/{total}"))

        with container.data.lock():
            container.mend()
            # Again, now that nobody else can change them.
            chosen = choice.among(container.records.documents())
            container.removal.run(chosen, progress)
        made = vectors.follow(container, console)
    for each in chosen:
        console.say(f"{each.id[:12]}  {each.path}  {each.title}")
    if arguments.dry_run:
        console.say(
            Text(f"지울 문서 {len(chosen)}개(지우지 않음)", f"{len(chosen)} documents would be removed")
        )
    else:
        console.say(
            Text(
                f"문서 {len(chosen)}개를 지웠습니다. 파일이 폴더에 남아 있으면 다음 ingest에서 다시 들어옵니다.",
                f"Removed {len(chosen)} documents. Files still in their folder come back with the next ingest.",
            )
        )
    console.data(
        {
            "removed": 0 if arguments.dry_run else len(chosen),
            "documents": [dataclasses.asdict(each) for each in chosen],
            **made,
        }
    )
    return 0
