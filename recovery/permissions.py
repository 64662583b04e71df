"""Owners and permissions put right, file by file, through open files: a link put in the place of one is not followed."""

from __future__ import annotations

import os
import stat
import sys
from typing import Callable, Iterable, List, Optional, Tuple

from recovery.action import Done
from recovery.engine import Means
from validator.host import files

# Not inside `data` or `config`: those are the service's.
SEALED = ("generations", "state", "trust", "store", "current.json")
Change = Tuple[Optional[int], int]


def fix_configuration(means: Means) -> Done:
    """Close ``config`` and everything in it to others: ``.env`` for its owner only."""
    return _each(files.walk(means.subject.prefix / "config"), _private)


def _private(entry: files.Entry) -> Change:
    return None, 0o600 if entry.path.name == ".env" else entry.permissions & ~0o022


def close_installation(means: Means) -> Done:
    """Take the right to write away from others, and give files of the releases back to who installed them."""
    prefix = means.subject.prefix
    entries: List[files.Entry] = []
    for name in SEALED:
        if os.path.lexists(prefix / name):
            entries.extend(files.walk(prefix / name))
    root = os.lstat(prefix)
    entries.append(files.Entry(prefix, root.st_mode, root.st_uid, root.st_size))
    owners = {0, root.st_uid}
    sealed = prefix / "generations"

    def wanted(entry: files.Entry) -> Change:
        strange = entry.uid not in owners and sealed in entry.path.parents
        return root.st_uid if strange else None, entry.permissions & ~stat.S_IWOTH

    return _each(entries, wanted)


def _each(entries: Iterable[files.Entry], wanted: Callable[[files.Entry], Change]) -> Done:
    """Set owner and permissions of everything that has others; what fails is named and does not stop the rest."""
    changed = 0
    failed: List[str] = []
    for entry in list(entries):
        owner, permissions = wanted(entry)
        if entry.is_link or (owner is None and permissions == entry.permissions):
            continue
        try:
            _set(entry, owner, permissions)
            changed += 1
        except OSError as error:
            failed.append(f"{entry.path.name}: {error.strerror}")
    told = f"{changed} changed"
    return Done(not failed, "; ".join([told, *failed[:5]]))


def _set(entry: files.Entry, owner: Optional[int], permissions: int) -> None:
    if sys.platform == "win32":
        os.chmod(entry.path, permissions)
        return
    descriptor = os.open(entry.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        if owner is not None:
            os.fchown(descriptor, owner, -1)
        os.fchmod(descriptor, permissions)
    finally:
        os.close(descriptor)
