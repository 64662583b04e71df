"""Build codes of dense vectors, a graph over them, and squeeze out what was deleted, in a process of its own.

The library's `optimize` keeps the interpreter's lock until it is through - minutes for a graph. So a child works on a copy that
nobody else uses, and the parent takes the copy over when it is done. A child whose parent has gone finishes or dies;
either way the copy is only ever used once it says it is complete.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from ragtrace.adapters.vectors import files
from ragtrace.adapters.vectors.payload import Build, VectorPlan
from ragtrace.errors import StorageProblem
from ragtrace.text import Text

BUILT = "built.json"
# Edges a node of the graph: the library's default, recall 1.0 on 100,000 clustered vectors (see libraries.md).
EDGES = 16


@dataclass
class Building:
    """A child at work on a folder."""

    folder: Path
    plan: VectorPlan
    process: subprocess.Popen[bytes]

    @classmethod
    def start(cls, folder: Path, plan: VectorPlan, build: Build) -> Building:
        """Start a child on a folder with a copied shard."""
        words = [sys.executable, "-m", "ragtrace.adapters.vectors.building", str(folder)]
        job = {**plan.plain(), "build": build}
        files.write_json(folder / "job.json", job)
        with open(folder / "build.log", "wb") as log:
            process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        return cls(folder, plan, process)

    def done(self) -> bool:
        """Say whether it is complete. Raises `StorageProblem` where the child failed."""
        code = self.process.poll()
        if code is None:
            return False
        if code == 0 and files.read_json(self.folder / BUILT):
            return True
        said = (self.folder / "build.log").read_bytes()[-2000:].decode("utf-8", "replace").strip()
        raise StorageProblem(
            Text("벡터 색인을 새로 짜지 못했습니다.", "The vector index could not be built beside itself."),
            where=f"{self.folder}: exit {code}: {said}"[:1000],
            state=Text("지금의 색인으로 계속 검색합니다.", "The present index goes on being searched."),
            hint=Text("메모리와 디스크 공간을 확인하십시오.", "Check memory and disk space."),
        )

    def stop(self) -> None:
        """End the child and drop what it made."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def main(folder: Path) -> int:
    """Optimise the shard of a folder. Called in the child."""
    import qdrant_edge as edge

    from ragtrace.adapters.vectors.qdrant_edge import shard_config, translated

    # The service answers questions meanwhile.
    os.nice(10)
    owner = files.take(folder / files.OWNER)
    job = files.read_json(folder / "job.json") or {}
    plan = VectorPlan(job["fingerprint"], job["dimension"], frozenset(job["legs"]))
    with translated(folder):
        build = job["build"]
        config = shard_config(
            plan,
            m=EDGES if build == "graph" else 0,
            codes=build != "plain",
            indexing_kb=1 if build != "plain" else None,
        )
        shard = edge.EdgeShard.load(str(folder / files.SHARD), config)
        shard.optimize()
        shard.flush()
        chunks = shard.count(edge.CountRequest(exact=True))
        shard.close()
        # Opened once more: what cannot be read again is not taken over.
        shard = edge.EdgeShard.load(str(folder / files.SHARD))
        if shard.count(edge.CountRequest(exact=True)) != chunks:
            raise files.damaged(folder, "other number of chunks after the build")
        shard.close()
    files.write_json(folder / BUILT, {"chunks": chunks})
    os.close(owner)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1])))
