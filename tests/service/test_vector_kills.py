"""A shard that is killed while it writes: what its mark speaks of is there, and the rest can be done again.

`RAGTRACE_TEST_KILLS=200` kills more often.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from ragtrace.adapters.vectors.qdrant_edge import EdgeVectors
from ragtrace.application.ports import OUTPUTS, IndexMark, VectorEntry
from tests.service.vector_support import entry, plan

KILLS = int(os.environ.get("RAGTRACE_TEST_KILLS", "4"))
DOCUMENTS = 40


def touched(step: int) -> list[int]:
    """Return the documents that a step of the history replaces: the same each time it is asked for."""
    chance = random.Random(step)
    return sorted({chance.randrange(DOCUMENTS) for _ in range(5)})


def chunks(document: int, step: int) -> list[VectorEntry]:
    """Return what a step makes of a document; now and then nothing is left of it."""
    chance = random.Random(document * 1000 + step)
    return [
        entry(f"d{document}", f"{document:08x}{step:08x}{number:016x}", chance.randrange(10**6))
        for number in range(chance.randrange(0, 9))
    ]


def after(step: int) -> list[VectorEntry]:
    """Return every chunk that is there after a step."""
    latest = {document: each for each in range(1, step + 1) for document in touched(each)}
    return [chunk for document, each in latest.items() for chunk in chunks(document, each)]


def take(index: EdgeVectors, step: int) -> None:
    """Carry one step out."""
    added = [chunk for document in touched(step) for chunk in chunks(document, step)]
    index.update([f"d{document}" for document in touched(step)], added, IndexMark(step, "model-1", "r"))


def live(folder: Path) -> None:
    """Write step after step until the process is killed. Run in a child."""
    index = EdgeVectors(folder, plan())
    mark = index.mark()
    step = mark.sequence if mark else 0
    print("ready", flush=True)
    while True:
        step += 1
        take(index, step)


def test_killed_while_it_writes_the_mark_is_never_ahead_of_what_is_there(tmp_path: Path) -> None:
    chance = random.Random(1)
    code = "import sys; from pathlib import Path; from tests.service.test_vector_kills import live; live(Path(sys.argv[1]))"
    reached = 0
    for number in range(KILLS):
        child = subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path)],
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
        )
        with child:
            assert child.stdout is not None and child.stdout.readline() == b"ready\n"
            time.sleep(chance.uniform(0.0, 0.4))
            child.send_signal(signal.SIGKILL)
        index = EdgeVectors(tmp_path, plan())
        mark = index.mark()
        step = (mark.sequence if mark else 0) + 1
        assert step > reached
        # What was cut short is done again, as its owner would after reading the mark.
        take(index, step)
        reached = step
        wanted = after(step)
        assert sorted(index.chunk_ids()) == sorted(each.chunk_id for each in wanted), number
        assert index.size() == len(wanted)
        for each in chance.sample(wanted, min(15, len(wanted))):
            for leg in OUTPUTS:
                best = index.search(each.embedding, leg, 3)
                own = next((hit for hit in best if hit.chunk_id == each.chunk_id), None)
                assert own is not None and own.score >= best[0].score - 1e-3, (number, leg)
        index.close()
