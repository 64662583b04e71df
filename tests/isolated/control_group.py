"""A control group of its own for each isolated host, so that several can run on one machine."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep

from .tools import HarnessError

MOUNT = Path("/sys/fs/cgroup")
PROPAGATION = Path("/run/systemd/nspawn/propagate")


class ControlGroup:
    """The folders below every hierarchy that systemd uses; made by `create`, removed by `remove`."""

    def __init__(self, name: str, mount: Path = MOUNT) -> None:
        """Name the group; nothing is made yet."""
        self._name = name
        self._mount = mount

    @property
    def folders(self) -> list[Path]:
        """The group's folder in the unified tree, or in both trees of a hybrid layout."""
        if (self._mount / "cgroup.controllers").is_file():
            return [self._mount / self._name]
        return [
            tree / self._name for tree in (self._mount / "systemd", self._mount / "unified") if tree.is_dir()
        ]

    def create(self) -> list[str]:
        """Make the folders and return the command prefix that starts a program inside them."""
        for folder in self.folders:
            folder.mkdir(exist_ok=True)
        joins = "".join(f'echo $$ > "{folder}/cgroup.procs"; ' for folder in self.folders)
        return ["sh", "-ec", joins + 'exec "$@"', "join"]

    def processes(self) -> list[int]:
        """Return all processes in the group and below it."""
        lists = [path for folder in self.folders for path in folder.rglob("cgroup.procs")]
        return sorted({int(word) for path in lists for word in _read(path).split()})

    def kill(self) -> None:
        """Kill all of them, and with the first process of a host everything else in it."""
        deadline = monotonic() + 20
        while alive := self.processes():
            for pid in alive:
                _kill(pid)
            if monotonic() > deadline:
                raise HarnessError(f"processes of {self._name} outlive a kill: {alive}")
            sleep(0.05)

    def remove(self) -> None:
        """Remove the folders, innermost first; the kernel needs a moment after the last process."""
        deadline = monotonic() + 10
        for folder in self.folders:
            while folder.is_dir():
                try:
                    for inner in [*_innermost_first(folder), folder]:
                        inner.rmdir()
                except OSError:
                    if monotonic() > deadline:
                        raise
                    sleep(0.05)


def _read(path: Path) -> str:
    """Read a list of processes; a group that has just gone has none."""
    try:
        return path.read_text()
    except OSError:
        return ""


def _kill(pid: int) -> None:
    """Kill a process that may have ended already."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def clear_up(machine: str) -> None:
    """End an isolated host of this name, and remove what it leaves on this machine besides its root."""
    group = ControlGroup(group_name(machine))
    group.kill()
    group.remove()
    propagation = PROPAGATION / machine
    if propagation.is_dir():
        propagation.rmdir()


def group_name(machine: str) -> str:
    """Return the name of an isolated host's control group."""
    return f"ragtrace-{machine}"


def _innermost_first(folder: Path) -> Iterator[Path]:
    """Yield all folders below `folder`, children before their parents."""
    for child in sorted(folder.iterdir()):
        if child.is_dir():
            yield from _innermost_first(child)
            yield child
