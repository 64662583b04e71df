"""What is damaged: releases against their receipts, the store against its names. Looks, changes nothing."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Dict, List, Mapping, Optional, Set, Tuple

from bundle.hashing import hash_files, sha256_file

from . import receipt, sealed, store
from .environment import python_of
from .paths import Prefix
from .pointer import Pointer
from .receipt import Receipt

OnBytes = Optional[Callable[[int], None]]


@dataclass(frozen=True)
class Survey:
    """Every difference that was found, as short lines, and the objects of the store that are intact.

    `releases` holds only those with a difference; `objects` are names in the store whose bytes are others.
    """

    releases: Mapping[str, Tuple[str, ...]]
    objects: Tuple[str, ...]
    intact: Set[str]


def survey(prefix: Prefix, pointer: Pointer, on_bytes: OnBytes = None) -> Survey:
    """Read the store and every kept release once; a file that is both is read once, too."""
    intact, damaged, files = _store(prefix, on_bytes)
    found = {name: tuple(_release(prefix, name, files, on_bytes)) for name in pointer.kept}
    if not found[pointer.generation]:
        known = receipt.read(prefix.generation(pointer.generation))
        if known.manifest != pointer.manifest:
            found[pointer.generation] = (f"another manifest: {receipt.NAME}",)
    return Survey({name: lines for name, lines in found.items() if lines}, tuple(damaged), intact)


def size(prefix: Prefix, pointer: Pointer) -> int:
    """Return about how many bytes a survey reads."""
    total = sum(path.lstat().st_size for path in store.objects(prefix))
    for name in pointer.kept:
        known = read_receipt(prefix, name)
        entries = known.entries if known is not None else ()
        total += sum(entry.size for entry in entries if not entry.path.startswith("models/"))
    return total


def read_receipt(prefix: Prefix, name: str) -> Optional[Receipt]:
    """Return a release's receipt, or None where it is damaged or gone."""
    try:
        return receipt.read(prefix.generation(name))
    except (OSError, sealed.Damaged):
        return None


def _store(prefix: Prefix, on_bytes: OnBytes) -> Tuple[Set[str], List[str], Dict[Tuple[int, int], str]]:
    intact: Set[str] = set()
    damaged: List[str] = []
    files: Dict[Tuple[int, int], str] = {}
    paths = sorted(store.objects(prefix), key=lambda path: -path.lstat().st_size)
    for path, _, outcome in hash_files(paths, on_bytes=on_bytes):
        if outcome == path.name:
            status = path.lstat()
            intact.add(path.name)
            files[status.st_dev, status.st_ino] = path.name
        else:
            damaged.append(path.name)
    return intact, sorted(damaged), files


def _release(prefix: Prefix, name: str, files: Mapping[Tuple[int, int], str], on_bytes: OnBytes) -> List[str]:
    """Return every way in which a release is not what its receipt says, or cannot run."""
    folder = prefix.generation(name)
    try:
        known = receipt.read(folder)
        problems = receipt.differences(folder, known, skip=("models",), on_bytes=on_bytes)
    except (OSError, sealed.Damaged) as error:
        return [f"unreadable: {receipt.NAME}: {error}"]
    shaped = {line.partition(": ")[2] for line in problems}
    for entry in known.entries:
        if not entry.is_file or not entry.path.startswith("models/") or entry.path in shaped:
            continue
        path = folder / entry.path
        status = path.lstat()
        if files.get((status.st_dev, status.st_ino)) != entry.sha256 and not _same(path, entry, on_bytes):
            problems.append(f"changed: {entry.path}")
    python = python_of(folder)
    inner = python.relative_to(folder).as_posix()
    if os.path.lexists(python) and not python.exists():
        # The receipt has the link as it is; what it leads to belongs to the host.
        problems.append(f"leads nowhere: {inner} -> {os.path.realpath(python)}")
    return sorted(problems)


def _same(path: Path, entry: receipt.Entry, on_bytes: OnBytes) -> bool:
    try:
        return sha256_file(path, on_bytes) == (entry.size, entry.sha256)
    except OSError:
        return False
