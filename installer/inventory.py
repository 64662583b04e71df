"""Everything that may lie below a prefix; whatever else is there was not put there by us."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Iterator

from bundle import chainlog

from . import receipt, sealed, snapshot, store
from .generations import used_digests
from .paths import Prefix
from .state import complete_generations

TOP = {
    "current.json",
    "current",
    "current.txt",
    "generations",
    "store",
    "data",
    "snapshots",
    "config",
    "trust",
    "state",
}
STATE = {
    "lock",
    "journal.jsonl",
    "audit.jsonl",
    "reserve.bin",
    "service.json",
    "service.lock",
    "task.xml",
    "recovery.json",
    "uninstall.json",
    "incoming.json",
    "validator-history.jsonl",
}
TRUST = {"allowed_signers", "accepted.json", "records.json", "advisories.json"}


def undeclared(prefix: Prefix) -> list[str]:
    """Return the paths that nothing accounts for, relative to the prefix. `data/` and `config/` belong to
    the service and the operator: what lies in them is theirs."""
    return sorted(set(_undeclared(prefix)))


def _undeclared(prefix: Prefix) -> Iterator[str]:
    root = prefix.root
    yield from _others(root, root, TOP)
    audit = {name for name in names(prefix.state) if chainlog.owns(name)}
    yield from _others(root, prefix.state, STATE | audit)
    yield from _others(root, prefix.trust, TRUST)
    yield from _others(root, prefix.generations, set(complete_generations(prefix)))
    yield from _others(root, prefix.snapshots, {one.name for one in snapshot.kept(prefix)})
    used = used_digests(prefix) | store.pending(prefix)
    for name in complete_generations(prefix):
        folder = prefix.generation(name)
        try:
            known = receipt.read(folder)
        except (OSError, sealed.Damaged):
            yield f"generations/{name}/{receipt.NAME}"
            continue
        paths = {entry.path for entry in known.entries}
        for path, _, _ in receipt.walk(folder):
            if path not in paths and path != receipt.NAME:
                yield f"generations/{name}/{path}"
    for folder_name in names(prefix.store):
        yield from _others(root, prefix.store / folder_name, used)


def _others(root: Path, folder: Path, known: set[str]) -> Iterator[str]:
    for name in names(folder):
        if name not in known:
            yield (folder / name).relative_to(root).as_posix()


def names(folder: Path) -> list[str]:
    """Return the names in a folder; none where it is missing or may not be read."""
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return []
