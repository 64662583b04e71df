"""Who uses the cache now: every command that opens it holds a kernel lock on a file of its own.

The file's name says which process it is; a dead process holds no lock, so its file is swept away by the next
comer. Whoever deletes from the cache holds the gate meanwhile: nobody comes in, and nobody may be inside.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bundle.errors import BusyError
from bundle.text import Text

from . import kernel_lock

# The entries of this very process, told apart by file: the pids of two containers may be the same.
_OWN: set[Path] = set()


@dataclass(frozen=True)
class User:
    """A process that uses the cache: its number and since when (seconds since 1970)."""

    pid: int
    since: float

    def text(self) -> Text:
        """Return the user as one line."""
        clock = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self.since))
        return Text(f"프로세스 {self.pid} ({clock}부터)", f"process {self.pid} (since {clock})")


class Register:
    """The users of the cache at `root`."""

    def __init__(self, root: Path) -> None:
        """Open the register; nobody is entered by that."""
        self._root = root
        self._folder = root / "users"
        self._folder.mkdir(exist_ok=True)
        self._gate = root / "gate.lock"

    def enter(self) -> None:
        """Enter this process until it ends or the register is let go; waits while somebody tidies the cache."""
        with kernel_lock.held(self._gate):
            # Whoever works here is entered: alone, everything in the work folder is a killed build's.
            if not self.others() and not any(path.parent == self._folder for path in _OWN):
                _sweep(self._root / "work")
            path = self._folder / f"{os.getpid()}-{time.monotonic_ns()}.lock"
            descriptor = kernel_lock.take(path, wait=False)
            if descriptor is not None:
                _OWN.add(path)
                weakref.finalize(self, _leave, path, descriptor, os.getpid())

    def others(self) -> list[User]:
        """Return the other processes that use the cache; the files of dead ones are removed."""
        found = []
        for path in sorted(self._folder.glob("*.lock")):
            if path in _OWN:
                continue
            try:
                pid, since = int(path.name.split("-")[0]), path.stat().st_mtime
                descriptor = kernel_lock.take(path, wait=False)
            except (FileNotFoundError, ValueError):
                continue
            if descriptor is None:
                found.append(User(pid, since))
            else:
                kernel_lock.give_back(path, descriptor)
        return found

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Keep everybody else out, to delete things.

        Raises:
            BusyError: somebody uses the cache, or deletes from it; the processes are named.
        """
        descriptor = kernel_lock.take(self._gate, wait=False)
        users = self.others() if descriptor is not None else []
        if descriptor is None or users:
            if descriptor is not None:
                kernel_lock.give_back(self._gate, descriptor)
            raise BusyError(
                Text("다른 실행이 캐시를 쓰고 있습니다", "another run is using the cache"),
                where=str(self._root),
                details=[user.text() for user in users],
                state=Text("아무것도 지우지 않았습니다", "nothing was deleted"),
                hint=Text("끝난 뒤에 다시 실행하십시오", "run this again when it has finished"),
            )
        try:
            yield
        finally:
            kernel_lock.give_back(self._gate, descriptor)


def _leave(path: Path, descriptor: int, pid: int) -> None:
    if os.getpid() == pid:
        _OWN.discard(path)
        kernel_lock.give_back(path, descriptor)


def _sweep(folder: Path) -> None:
    """Remove what killed builds left in the work folder."""
    for path in folder.iterdir():
        with contextlib.suppress(OSError):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
