"""A control group of its own for each isolated host, so that several can run on one machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep

MOUNT = Path("/sys/fs/cgroup")


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


def _innermost_first(folder: Path) -> Iterator[Path]:
    """Yield all folders below `folder`, children before their parents."""
    for child in sorted(folder.iterdir()):
        if child.is_dir():
            yield from _innermost_first(child)
            yield child
