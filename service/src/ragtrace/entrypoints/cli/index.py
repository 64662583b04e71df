"""`ragtrace index verify` and `ragtrace index rebuild`."""

from __future__ import annotations

import argparse

from ragtrace.bootstrap import Container
from ragtrace.entrypoints.cli import vectors
from ragtrace.entrypoints.cli.commands import refuse_while_running
from ragtrace.entrypoints.cli.console import Console
from ragtrace.errors import BusyProblem, StorageProblem
from ragtrace.text import Text


def index_verify(container: Container, arguments: argparse.Namespace, console: Console) -> int:
    """Compare index and records; 0 complete, 1 not. Nothing is changed and nobody is kept waiting."""
    from ragtrace.application.verification import verify

    records = container.records.counts()
    facts = container.inspection.index(600)
    damaged = list(facts.damaged) if arguments.part != "vectors" else []
    problems: list[Text] = []
    document: dict[str, object] = {}
    if arguments.part == "vectors":
        pass
    elif damaged:
        problems = [Text("색인 파일이 손상되었습니다.", "Files of the index are damaged.")]
        document = {"in_step": False, "indexed": 0, "missing": None, "surplus": None}
    else:
        found = verify(container.records, container.index, container.analyzer)
        if not found.complete and container.inspection.is_written():
            raise BusyProblem(
                Text(
                    "지금 문서를 바꾸는 중이라 비교할 수 없습니다.", "Documents are being changed right now."
                ),
                hint=Text("그 작업이 끝난 뒤 다시 실행하십시오.", "Run it again when that has ended."),
            )
        problems = list(found.problems)
        document = {
            "in_step": found.in_step,
            "indexed": found.indexed,
            "missing": found.missing,
            "surplus": found.surplus,
            "search": {"asked": found.asked, "found": found.found},
        }
    wrong = ["words"] if problems else []
    part = " --part words" if problems else " --part vectors"
    if arguments.part != "words":
        compared, of_vectors = vectors.verify(container)
        document.update(compared)
        if problems and of_vectors:
            part = ""
        problems += of_vectors
        if compared and compared["vectors"]["damaged"]:
            wrong.append("vectors")
    for name in damaged:
        console.say(f"- {name}")
    for problem in problems:
        console.say(problem)
    if problems:
        console.say(
            Text(
                f"다시 만들기: 서비스를 멈춘 뒤 ragtrace index rebuild{part}",
                f"To make it anew: stop the service, then ragtrace index rebuild{part}",
            )
        )
    else:
        console.say(
            Text(
                f"색인이 온전합니다: 문서 {records[0]}개, 조각 {records[1]}개.",
                f"The index is complete: {records[0]} documents, {records[1]} chunks.",
            )
        )
    console.data(
        {
            "ok": not problems,
            "documents": records[0],
            "chunks": records[1],
            **document,
            "damaged": damaged,
            "to_rebuild": wrong,
            "problems": [problem.to(console.lang) for problem in problems],
        }
    )
    return 1 if problems else 0


def index_prepare(container: Container, arguments: argparse.Namespace, console: Console) -> int:
    """Make another model's vectors beside those in use."""
    return vectors.prepare(container, arguments, console)


def index_rebuild(container: Container, arguments: argparse.Namespace, console: Console) -> int:
    """Make the index anew from the records. Killed at any instant, the next start or the next run finishes it."""
    from ragtrace.application.reconcile import bring_in_step, interrupted

    refuse_while_running(container)
    with container.data.lock():
        # The records first: an index must not be given up for records that cannot give another.
        damage = container.inspection.records(600).damage
        if damage:
            raise StorageProblem(
                Text("기록 데이터베이스가 손상되었습니다.", "The records database is damaged."),
                where=f"{container.settings.data_folder}: {damage}",
                state=Text("색인을 건드리지 않았습니다.", "The index was not touched."),
                hint=Text("먼저 스냅숏이나 백업을 되돌리십시오.", "Put a snapshot or a backup back first."),
            )
        words = arguments.part != "vectors"
        mended = words and container.mend()
        going_on = (
            words and not mended and interrupted(container.records, container.index, container.analyzer)
        )
        if words and not mended and not going_on:
            container.discard_index()

        def progress(done: int, total: int) -> None:
            console.talk(Text(f"문서 {done}/{total}", f"documents {done}/{total}"))

        done = bring_in_step(container.records, container.index, container.analyzer, progress)
    made = vectors.rebuild(container, console) if arguments.part != "words" else {}
    documents, chunks = container.records.counts()
    indexed = container.index.size()
    console.say(
        Text(
            f"색인을 다시 만들었습니다: 문서 {documents}개, 조각 {indexed}개.",
            f"The index was made anew: {documents} documents, {indexed} chunks.",
        )
    )
    console.data(
        {
            "ok": indexed == chunks,
            "documents": documents,
            "chunks": chunks,
            "indexed": indexed,
            "taken": done.documents,
            "resumed": going_on,
            **made,
        }
    )
    return 0 if indexed == chunks else 1
