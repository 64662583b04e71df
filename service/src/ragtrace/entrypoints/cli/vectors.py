"""What the commands do about vectors: follow the records where nobody else does, and say how far they are."""

from __future__ import annotations

from typing import Any

from ragtrace.bootstrap import Container
from ragtrace.entrypoints.cli.console import Console
from ragtrace.errors import BusyProblem
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


def facts(container: Container) -> dict[str, Any]:
    """Return what `status` says of vectors; nothing where no model is configured."""
    index = container.vectors
    if index is None:
        return {}
    from ragtrace.application.following import behind

    return {"vectors_behind": behind(container.records, index, container.follower.model)}
