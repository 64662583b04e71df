"""What the commands do about vectors: follow the records where nobody else does, and say how far they are."""

from __future__ import annotations

import argparse
import dataclasses
from typing import Any

from ragtrace.bootstrap import Container
from ragtrace.entrypoints.cli.console import Console
from ragtrace.errors import BusyProblem, ModelProblem
from ragtrace.text import Text


def follow(container: Container, console: Console) -> dict[str, Any]:
    """Bring the vectors in step, unless there are none or a running service does it; return what was done as JSON.

    The write lock is not held: a model may take hours, and nobody's documents have to wait for it.
    """
    index = container.vectors
    if index is None:
        return {}
    try:
        index.acquire()
    except BusyProblem:
        console.talk(
            Text(
                "실행 중인 서비스가 벡터를 이어서 만듭니다.",
                "The running service goes on to make the vectors.",
            )
        )
        return {"vectors": {"by": "service"}}

    def progress(done: int, total: int) -> None:
        console.talk(Text(f"벡터: 문서 {done}/{total}", f"vectors: documents {done}/{total}"))

    try:
        taken = container.follower.follow(index, progress, lambda: index.wished)
        if index.wished:
            console.talk(
                Text(
                    "서비스가 시작되어 벡터를 넘겨주었습니다.",
                    "A service has started and takes the vectors over.",
                )
            )
        return {"vectors": {"by": "command", "documents": taken, "chunks": index.size()}}
    finally:
        index.close()


def prepare(container: Container, arguments: argparse.Namespace, console: Console) -> int:
    """Make the vectors of another model beside those being searched; a start with that model then has them at once."""
    settings = container.settings
    chosen = dataclasses.replace(settings.embedding, model=arguments.model)
    other = Container(dataclasses.replace(settings, embedding=chosen))
    try:
        done = follow(other, console)
        if done.get("vectors", {}).get("by") != "command":
            raise BusyProblem(
                Text(
                    "이 모델의 벡터를 이미 다른 프로세스가 만듭니다.",
                    "Another process makes this model's vectors.",
                )
            )
        left = facts(other)["vectors_behind"]
    finally:
        other.close()
    console.say(
        Text(
            f"벡터 {done['vectors']['chunks']}개를 준비했습니다. embedding.model을 바꾸고 서비스를 다시 시작하십시오.",
            f"{done['vectors']['chunks']} vectors are prepared. Change embedding.model and restart the service.",
        )
    )
    console.data({**done, "vectors_behind": left, "model": arguments.model})
    return 0 if left == 0 else 1


def facts(container: Container) -> dict[str, Any]:
    """Return what `status` says of vectors; nothing where no model is configured."""
    try:
        index = container.vectors
    except ModelProblem as problem:
        # The records and the index of words are told all the same.
        return {"vectors_behind": None, "vectors": f"{problem.reference}: {problem.summary.en}"}
    if index is None:
        return {}
    from ragtrace.application.following import behind

    return {"vectors_behind": behind(container.records, index, container.follower.model)}


def verify(container: Container) -> tuple[dict[str, Any], list[Text]]:
    """Compare vectors and records; beside their owner a copy of the files is looked at. Return JSON and what is wrong."""
    index = container.vectors
    if index is None:
        return {}, []
    from ragtrace.application.vector_verification import verify_vectors

    model = container.follower.model
    try:
        index.acquire()
    except BusyProblem:
        with container.vectors_beside_their_owner() as copy:
            found = verify_vectors(container.records, copy, model, followed=True)
    else:
        try:
            found = verify_vectors(container.records, index, model)
        finally:
            index.close()
    facts = dataclasses.asdict(found)
    del facts["problems"]
    return {"vectors": facts}, list(found.problems)


def rebuild(container: Container, console: Console) -> dict[str, Any]:
    """Give up all vectors and make them anew; killed at any instant, the next run or start goes on where it was."""
    index = container.vectors
    if index is None:
        return {}
    index.acquire()
    mark = index.mark()
    if mark is None or mark.sequence >= 0:
        index.discard()
    return follow(container, console)
