"""Everything that may lie below a prefix; whatever else is there was not put there by us."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Iterator

from . import receipt, sealed
from .paths import Prefix
from .state import complete_generations

_TOP = {"current.json", "current", "generations", "store", "data", "config", "trust", "state"}
_STATE = {"lock", "journal.jsonl", "audit.jsonl", "reserve.bin", "service.json", "service.lock"}
_TRUST = {"allowed_signers", "accepted.json"}


def undeclared(prefix: Prefix) -> list[str]:
    """Return the paths that nothing accounts for, relative to the prefix. `data/` and `config/` belong to
    the service and the operator: what lies in them is theirs."""
    return sorted(set(_undeclared(prefix)))


def _undeclared(prefix: Prefix) -> Iterator[str]:
    root = prefix.root
    yield from _others(root, root, _TOP)
    yield from _others(root, prefix.state, _STATE)
    yield from _others(root, prefix.trust, _TRUST)
    yield from _others(root, prefix.generations, set(complete_generations(prefix)))
    used: set[str] = set()
    for name in complete_generations(prefix):
        folder = prefix.generation(name)
        try:
            known = receipt.read(folder)
        except (OSError, sealed.Damaged):
            yield f"generations/{name}/{receipt.NAME}"
            continue
        paths = {entry.path for entry in known.entries}
        used.update(entry.sha256 for entry in known.entries if entry.path.startswith("models/"))
        for path, _, _ in receipt.walk(folder):
            if path not in paths and path != receipt.NAME:
                yield f"generations/{name}/{path}"
    for folder_name in _names(prefix.store):
        yield from _others(root, prefix.store / folder_name, used)


def _others(root: Path, folder: Path, known: set[str]) -> Iterator[str]:
    for name in _names(folder):
        if name not in known:
            yield (folder / name).relative_to(root).as_posix()


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return []
