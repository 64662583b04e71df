"""The embedded vector index: generations in folders, one of which is searched while another is made beside it.

A generation is made for one model (`VectorPlan`); its folder has a number, and gets its name when it may be used. Which
one is searched follows from the model alone: the highest number made for it. So a change of the model begins a new
generation beside the old one, and going back before it is complete finds the old one as it was; only when a
generation is complete do the lower ones go. See docs/adr/0033.
"""

from __future__ import annotations

import logging
import os
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from ragtrace.adapters.vectors import files
from ragtrace.adapters.vectors.building import Building
from ragtrace.adapters.vectors.payload import VectorPlan, not_usable, require_query
from ragtrace.adapters.vectors.qdrant_edge import Closed, EdgeVectors
from ragtrace.application.ports import Embedding, Hit, IndexMark, Output, VectorEntry, VectorIndex
from ragtrace.domain.scope import EVERYTHING, Scope
from ragtrace.errors import BusyProblem, IndexDamage, StorageProblem

LOG = logging.getLogger("ragtrace")
_T = TypeVar("_T")
_PREFIX, _BUILDING, _BROKEN = "g-", "building-", "broken"
_COPY = "copy-"
# A graph is made again when a third of the chunks came after it; space of deleted chunks is taken back from half on.
_NEW_SHARE, _DEAD_SHARE, _DEAD_LEAST = 1 / 3, 0.5, 1000


class EmbeddedVectors:
    """All generations below a folder; this process owns the one for its model once `acquire` has returned."""

    def __init__(self, folder: Path, plan: VectorPlan, exact_limit: int) -> None:
        self.folder, self.plan = folder, plan
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
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o750)
            guard = files.take(self.folder / "choose.lock", wait_s=10)
            try:
                self._live = self._opened()
                self._wish.begin()
            except BusyProblem:
                if insist:
                    self._wish.make()
                raise
            finally:
                os.close(guard)

    def mark(self) -> IndexMark | None:
        """Return the mark; also where another process has the index."""
        live = self._live
        if live is not None:
            return live.mark()
        chosen = self.chosen()
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
            self._tidy(live)
            wanted = self._wanted(live)
            if wanted is not None:
                self._begin(live, graph=wanted)
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
        for old in self.folder.glob(f"{_COPY}*"):
            if not files.is_owned(old):
                _remove(old)
        chosen = self.chosen()
        if chosen is None or files.read_mark(chosen) is None:
            raise files.unusable(self.folder, ValueError("no vectors yet"))
        if shutil.disk_usage(self.folder).free < 2 * _stored(chosen):
            raise files.unusable(self.folder, OSError("no space for a copy"))
        folder = self.folder / f"{_COPY}{os.getpid()}"
        _remove(folder)
        folder.mkdir(mode=0o750)
        with files.held(chosen):
            files.copy_tree(chosen / files.SHARD, folder / files.SHARD)
            for name in (files.MARK, files.GENERATION):
                shutil.copy2(chosen / name, folder / name)
        return EdgeVectors(folder, self.plan)

    def chosen(self) -> Path | None:
        """Return the generation that is searched with this model."""
        mine = [path for _, path in self._generations() if self._is_mine(path)]
        return mine[-1] if mine else None

    def discard(self) -> None:
        """Remove every generation, whatever model it is for, and begin anew; for `index rebuild`."""
        self.close()
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o750)
        guard = files.take(self.folder / "choose.lock", wait_s=10)
        try:
            every = [path for path in sorted(self.folder.iterdir()) if path.is_dir()]
            busy = next((path for path in every if files.is_owned(path)), None)
            if busy is not None:
                os.close(files.take(busy / files.OWNER))
            for path in every:
                _remove(path)
        finally:
            os.close(guard)
        self.acquire()

    def _opened(self) -> EdgeVectors:
        chosen = self.chosen()
        if chosen is not None:
            try:
                return EdgeVectors(chosen, self.plan)
            except IndexDamage as problem:
                LOG.warning("set damaged vectors aside: %s", problem.where)
                _remove(self.folder / _BROKEN)
                os.replace(chosen, self.folder / _BROKEN)
        return EdgeVectors(self._place(self._begun()), self.plan)

    def _begun(self) -> Path:
        """Make the folder of an empty generation, not yet under its name."""
        folder = self.folder / f"{_BUILDING}{os.getpid()}-new"
        _remove(folder)
        folder.mkdir(mode=0o750)
        files.write_json(folder / files.GENERATION, self.plan.plain())
        return folder

    def _place(self, folder: Path) -> Path:
        """Give a generation the next number."""
        numbers = [number for number, _ in self._generations()]
        target = self.folder / f"{_PREFIX}{max(numbers, default=0) + 1:06d}"
        try:
            os.rename(folder, target)
            files.sync_folder(self.folder)
        except OSError as error:
            raise files.unusable(target, error) from error
        return target

    def _generations(self) -> list[tuple[int, Path]]:
        """Return numbers and folders, ascending."""
        found = []
        with suppress(FileNotFoundError):
            for path in self.folder.iterdir():
                digits = path.name.removeprefix(_PREFIX)
                if path.name.startswith(_PREFIX) and digits.isdigit():
                    found.append((int(digits), path))
        return sorted(found)

    def _is_mine(self, path: Path) -> bool:
        stored = files.read_json(path / files.GENERATION) or {}
        wanted = self.plan.plain()
        return {key: stored.get(key) for key in wanted} == wanted

    def _wanted(self, live: EdgeVectors) -> bool | None:
        """Say what is to be built: True a graph, False only smaller files, None nothing."""
        size = live.size()
        if size == self._failed_at:
            return None
        dead = live.dead > max(_DEAD_LEAST, _DEAD_SHARE * size)
        if size > self._exact_limit and "dense" in self.plan.legs:
            return True if dead or size - live.indexed > _NEW_SHARE * size else None
        return False if dead else None

    def _begin(self, live: EdgeVectors, *, graph: bool) -> None:
        folder = self.folder / f"{_BUILDING}{os.getpid()}"
        _remove(folder)
        needed = 3 * _stored(live.folder)
        if shutil.disk_usage(self.folder).free < needed:
            LOG.warning("no space to build the vector index beside itself: %d bytes are needed", needed)
            self._failed_at = live.size()
            return
        folder.mkdir(mode=0o750)
        live.copy_to(folder)
        self._building = Building.start(folder, self.plan, graph=graph)
        LOG.info("building the vector index beside itself: %d chunks, graph %s", live.size(), graph)

    def _take_over(self, live: EdgeVectors, follow: Callable[[VectorIndex], object]) -> None:
        assert self._building is not None
        folder = self._building.folder
        job = files.read_json(folder / "job.json") or {}
        built = files.read_json(folder / "built.json") or {}
        for name in ("job.json", "built.json", "build.log"):
            (folder / name).unlink(missing_ok=True)
        indexed = int(built.get("chunks", 0)) if job.get("graph") else 0
        files.write_json(folder / files.GENERATION, {**self.plan.plain(), "indexed": indexed})
        beside = EdgeVectors(self._place(folder), self.plan)
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
        self._tidy(beside)

    def _tidy(self, live: EdgeVectors) -> None:
        """Remove lower generations and abandoned builds that no process has open."""
        number = int(live.folder.name.removeprefix(_PREFIX))
        old = [path for each, path in self._generations() if each < number]
        for path in (*old, *self.folder.glob(f"{_BUILDING}*")):
            if not files.is_owned(path):
                LOG.info("remove %s", path)
                _remove(path)

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
    _remove(copy.folder)


def _remove(path: Path) -> None:
    try:
        shutil.rmtree(path)
    except FileNotFoundError:
        return
    except OSError as error:
        raise files.unusable(path, error) from error


def _stored(folder: Path) -> int:
    """Return the bytes that files take on the disk, holes left out."""
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())
