"""The folders of the embedded vectors: generations by number, what is being built, what lies aside.

A generation is made for one model (`VectorPlan`); its folder has a number, and gets its name when it may be used. Which
one is searched follows from the model alone: the highest number made for it. So a change of the model begins a new
generation beside the old one, and going back before it is complete finds the old one as it was; only when a
generation is complete do the lower ones go. See docs/adr/0033.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ragtrace.adapters.durable import sync_folder
from ragtrace.adapters.vectors import files
from ragtrace.adapters.vectors.payload import VectorPlan

LOG = logging.getLogger("ragtrace")
_PREFIX, _BUILDING, _COPY, _BROKEN = "g-", "building-", "copy-", "broken"


@dataclass(frozen=True)
class Generations:
    """All that lies below `folder`; those that are mine were made for `plan`."""

    folder: Path
    plan: VectorPlan

    @contextmanager
    def choosing(self) -> Iterator[None]:
        """Keep other processes from choosing, beginning and removing generations meanwhile."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o750)
        guard = files.take(self.folder / "choose.lock", wait_s=10)
        try:
            yield
        finally:
            os.close(guard)

    def mine(self) -> Path | None:
        """Return the generation that is searched: the newest that was made for the plan."""
        mine = [path for _, path in numbered(self.folder) if self._is_mine(path)]
        return mine[-1] if mine else None

    def begun(self) -> Path:
        """Make an empty generation and return it."""
        folder = self.place_to_build("-new")
        files.write_json(folder / files.GENERATION, self.plan.plain())
        return self.place(folder)

    def place_to_build(self, mark: str = "") -> Path:
        """Make an empty folder of this process's own, not yet under a generation's name."""
        folder = self.folder / f"{_BUILDING}{os.getpid()}{mark}"
        remove(folder)
        folder.mkdir(mode=0o750)
        return folder

    def place(self, folder: Path) -> Path:
        """Give a generation that was built the next number."""
        numbers = [number for number, _ in numbered(self.folder)]
        target = self.folder / f"{_PREFIX}{max(numbers, default=0) + 1:06d}"
        try:
            os.rename(folder, target)
            sync_folder(self.folder)
        except OSError as error:
            raise files.unusable(target, error) from error
        return target

    def set_aside(self, path: Path) -> None:
        """Keep a damaged generation where nobody looks for one."""
        remove(self.folder / _BROKEN)
        os.replace(path, self.folder / _BROKEN)

    def copied(self) -> Path:
        """Copy the generation that is searched, whoever owns it; copies that nobody has open any more go.

        Raises:
            StorageProblem: there is nothing to copy, or no space for it.
        """
        for old in self.folder.glob(f"{_COPY}*"):
            if not files.is_owned(old):
                remove(old)
        chosen = self.mine()
        if chosen is None or files.read_mark(chosen) is None:
            raise files.unusable(self.folder, ValueError("no vectors yet"))
        if shutil.disk_usage(self.folder).free < 2 * stored(chosen):
            raise files.unusable(self.folder, OSError("no space for a copy"))
        folder = self.folder / f"{_COPY}{os.getpid()}"
        remove(folder)
        folder.mkdir(mode=0o750)
        copy_generation(chosen, folder)
        return folder

    def tidy(self, live: Path) -> None:
        """Remove generations lower than `live` and abandoned builds that no process has open."""
        if not self._left_over(live):
            return
        # What another process makes has no owner until it has its name.
        with self.choosing():
            for path in self._left_over(live):
                if not files.is_owned(path):
                    LOG.info("remove %s", path)
                    remove(path)

    def remove_all(self) -> None:
        """Remove everything, whatever model it is for. Raises `BusyProblem` where a process has any of it open."""
        every = [path for path in sorted(self.folder.iterdir()) if path.is_dir()]
        for path in every:
            os.close(files.take(path / files.OWNER))
        for path in every:
            remove(path)

    def _left_over(self, live: Path) -> list[Path]:
        number = int(live.name.removeprefix(_PREFIX))
        old = [path for each, path in numbered(self.folder) if each < number]
        return [*old, *self.folder.glob(f"{_BUILDING}*")]

    def _is_mine(self, path: Path) -> bool:
        kept = files.read_json(path / files.GENERATION) or {}
        wanted = self.plan.plain()
        return {key: kept.get(key) for key in wanted} == wanted


def numbered(folder: Path) -> list[tuple[int, Path]]:
    """Return the generations below a folder with their numbers, ascending, whatever model they are for."""
    found = []
    with suppress(FileNotFoundError):
        for path in folder.iterdir():
            digits = path.name.removeprefix(_PREFIX)
            if path.name.startswith(_PREFIX) and digits.isdigit():
                found.append((int(digits), path))
    return sorted(found)


def copy_generation(source: Path, target: Path) -> None:
    """Copy shard, mark and plan while the generation is held still. Raises `StorageProblem`, `OSError`."""
    with files.held(source):
        files.copy_tree(source / files.SHARD, target / files.SHARD)
        for name in (files.GENERATION, files.MARK):
            files.copy_sparse(source / name, target / name)


def remove(path: Path) -> None:
    """Remove a folder, if it is there. Raises `StorageProblem`."""
    try:
        shutil.rmtree(path)
    except FileNotFoundError:
        return
    except OSError as error:
        raise files.unusable(path, error) from error


def stored(folder: Path) -> int:
    """Return the bytes that files take on the disk, holes left out."""
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())
