"""Walk an installation and tell permissions, owners and kinds of files; links are never followed."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path
from typing import Iterator, NamedTuple


class Entry(NamedTuple):
    """One file, folder or link: path and ``lstat`` facts."""

    path: Path
    mode: int
    uid: int
    size: int

    @property
    def is_link(self) -> bool:
        """Tell whether it is a symbolic link, whose own mode means nothing."""
        return stat.S_ISLNK(self.mode)

    @property
    def permissions(self) -> int:
        """Return the permission bits."""
        return stat.S_IMODE(self.mode)

    @property
    def world_writable(self) -> bool:
        """Tell whether anybody may write; a sticky folder counts as well."""
        return not self.is_link and bool(self.mode & stat.S_IWOTH)


def walk(root: Path) -> Iterator[Entry]:
    """Yield *root* and everything below it. What goes away meanwhile, as temporary files do, is passed over.

    Raises:
        OSError: a folder cannot be read; a part that was not seen is not a clean part.
    """
    pending = [root]
    while pending:
        path = pending.pop()
        try:
            facts = os.lstat(path)
        except FileNotFoundError:
            if path == root:
                raise
            continue
        yield Entry(path, facts.st_mode, facts.st_uid, facts.st_size)
        if stat.S_ISDIR(facts.st_mode):
            with contextlib.suppress(FileNotFoundError), os.scandir(path) as entries:
                pending.extend(path / entry.name for entry in entries)
