"""The embedded vector index: one generation is searched while another is made beside it. See docs/adr/0033."""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from ragtrace.adapters.vectors import files
from ragtrace.adapters.vectors.building import Building
from ragtrace.adapters.vectors.generations import Generations, remove, stored
from ragtrace.adapters.vectors.payload import BUILDS, Build, VectorPlan, not_usable, require_query
from ragtrace.adapters.vectors.qdrant_edge import Closed, EdgeVectors
from ragtrace.application.ports import Embedding, Hit, IndexMark, Output, VectorEntry, VectorIndex
from ragtrace.domain.scope import EVERYTHING, Scope
from ragtrace.errors import BusyProblem, IndexDamage, StorageProblem

LOG = logging.getLogger("ragtrace")
_T = TypeVar("_T")
# Comparing a question with fewer vectors than these takes about 2 ms; from there on their codes are compared first.
CODES_FROM = 10_000
# A build is made again when a third of the chunks came after it; space of deleted chunks is taken back from half on.
_NEW_SHARE, _DEAD_SHARE, _DEAD_LEAST = 1 / 3, 0.5, 1000


class EmbeddedVectors:
    """All generations below a folder; this process owns the one for its model once `acquire` has returned."""

    def __init__(self, folder: Path, plan: VectorPlan, exact_limit: int) -> None:
        self.folder, self.plan = folder, plan
        self._generations = Generations(folder, plan)
        self._exact_limit = exact_limit
        self._lock = threading.Lock()
        self._live: EdgeVectors | None = None
        self._building: Building | None = None
        self._failed_at = -1
        self._wish = files.Wish(folder)

    @property
    def legs(self) -> frozenset[Output]:
        """Return what can be searched by."""
        return self.plan.legs

    @property
    def owned(self) -> bool:
        """Say whether this process has the index."""
        return self._live is not None

    @property
    def usable(self) -> bool:
        """Say whether this process has the index and every chunk has been in it once."""
        live = self._live
        return live is not None and live.usable

    @property
    def building(self) -> bool:
        """Say whether a child is at work beside the live index."""
        return self._building is not None

    @property
    def wished(self) -> bool:
        """Say whether another process has asked for it since this one has it."""
        return self._wish.made

    def acquire(self, *, insist: bool = False) -> None:
        """Take the generation for the model, the newest of several; make one where there is none.

        A damaged one is set aside: the records have all it takes to make it anew.

        Raises:
            BusyProblem: another process has it.
        """
        with self._lock:
            if self._live is not None:
                return
            with self._generations.choosing():
                try:
                    self._live = self._opened()
                    self._wish.begin()
                except BusyProblem:
                    if insist:
                        self._wish.make()
                    raise

    def mark(self) -> IndexMark | None:
        """Return the mark; also where another process has the index."""
        live = self._live
        if live is not None:
            return live.mark()
        chosen = self._generations.mine()
        return files.read_mark(chosen) if chosen else None

    def update(self, removed: Iterable[str], added: Sequence[VectorEntry], mark: IndexMark) -> None:
        """Remove, add and mark."""
        self._owned().update(removed, added, mark)

    def clear(self) -> None:
        """Make the index empty and unmarked."""
        self._owned().clear()

    def size(self) -> int:
        """Return the number of chunks."""
        return self._call(lambda live: live.size())

    def count(self, scope: Scope) -> int:
        """Return the number of chunks inside `scope`."""
        return self._call(lambda live: live.count(scope))

    def chunk_ids(self) -> Iterator[str]:
        """Yield the id of every chunk."""
        yield from self._owned().chunk_ids()

    def search(self, query: Embedding, leg: Output, limit: int, scope: Scope = EVERYTHING) -> list[Hit]:
        """Return the best chunks inside `scope`, best first."""
        if self._live is None:
            require_query(self.plan, query, leg)
            raise not_usable()
        return self._call(lambda live: live.search(query, leg, limit, scope))

    def close(self) -> None:
        """Give the index back; a build that has begun is dropped."""
        with self._lock:
            building, self._building = self._building, None
            live, self._live = self._live, None
        if building is not None:
            building.stop()
        if live is not None:
            live.close()

    def maintain(self, follow: Callable[[VectorIndex], object]) -> None:
        """Do a step of what is done beside the live index: begin, watch or end a build; remove what nobody needs.

        Call it again and again, when the index is in step. `follow` brings an index in step with the records.
        """
        live = self._owned()
        if not live.usable:
            return
        if self._building is None:
            self._generations.tidy(live.folder)
            wanted = self._wanted(live)
            if wanted is not None:
                self._begin(live, wanted)
            return
        try:
            if not self._building.done():
                return
            self._take_over(live, follow)
        except StorageProblem:
            # Tried again when the index has another size; until then it is searched as it is.
            self._failed_at = live.size()
            self._building.stop()
            raise
        finally:
            if self._building is not None and self._building.process.poll() is not None:
                self._building = None

    def copy(self) -> EdgeVectors:
        """Return a copy that this process owns and `drop` removes, whoever owns the original.

        Raises:
            StorageProblem: there is nothing to copy, or no space for it.
        """
        return EdgeVectors(self._generations.copied(), self.plan)

    def discard(self) -> None:
        """Remove every generation, whatever model it is for, and begin anew; for `index rebuild`."""
        self.close()
        with self._generations.choosing():
            self._generations.remove_all()
        self.acquire()

    def _opened(self) -> EdgeVectors:
        chosen = self._generations.mine()
        if chosen is not None:
            try:
                return EdgeVectors(chosen, self.plan)
            except IndexDamage as problem:
                LOG.warning("set damaged vectors aside: %s", problem.where)
                self._generations.set_aside(chosen)
        return EdgeVectors(self._generations.begun(), self.plan)

    def _wanted(self, live: EdgeVectors) -> Build | None:
        """Say what is to be built, None for nothing."""
        size = live.size()
        if size == self._failed_at:
            return None
        dead = live.dead > max(_DEAD_LEAST, _DEAD_SHARE * size)
        fitting = self._fitting(size)
        if fitting == "plain":
            return fitting if dead else None
        more = BUILDS.index(fitting) > BUILDS.index(live.build)
        return fitting if dead or more or size - live.indexed > _NEW_SHARE * size else None

    def _fitting(self, size: int) -> Build:
        if "dense" not in self.plan.legs:
            return "plain"
        return "graph" if size > self._exact_limit else "codes" if size > CODES_FROM else "plain"

    def _begin(self, live: EdgeVectors, build: Build) -> None:
        needed = 3 * stored(live.folder)
        if shutil.disk_usage(self.folder).free < needed:
            LOG.warning("no space to build the vector index beside itself: %d bytes are needed", needed)
            self._failed_at = live.size()
            return
        folder = self._generations.place_to_build()
        live.copy_to(folder)
        self._building = Building.start(folder, self.plan, build)
        LOG.info("building the vector index beside itself: %d chunks, %s", live.size(), build)

    def _take_over(self, live: EdgeVectors, follow: Callable[[VectorIndex], object]) -> None:
        assert self._building is not None
        folder = self._building.folder
        job = files.read_json(folder / "job.json") or {}
        built = files.read_json(folder / "built.json") or {}
        for name in ("job.json", "built.json", "build.log"):
            (folder / name).unlink(missing_ok=True)
        build = job.get("build", "plain")
        indexed = 0 if build == "plain" else int(built.get("chunks", 0))
        files.write_json(folder / files.GENERATION, {**self.plan.plain(), "build": build, "indexed": indexed})
        with self._generations.choosing():
            beside = EdgeVectors(self._generations.place(folder), self.plan)
        try:
            # What has changed since the copy was made.
            follow(beside)
        except BaseException:
            beside.close()
            raise
        with self._lock:
            self._live = beside
        live.close()
        self._building = None
        LOG.info("took over the built vector index: %d chunks", beside.size())
        self._generations.tidy(beside.folder)

    def _owned(self) -> EdgeVectors:
        if self._live is None:
            self.acquire()
        live = self._live
        if live is None:
            raise not_usable()
        return live

    def _call(self, ask: Callable[[EdgeVectors], _T]) -> _T:
        while True:
            try:
                return ask(self._owned())
            except Closed:
                # Another generation took its place between two lines.
                continue


def drop(copy: EdgeVectors) -> None:
    """Remove a copy."""
    copy.close()
    remove(copy.folder)
