"""Compare a generation with its RECEIPT.json: every path, kind, size, SHA-256 and mode."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path
from typing import Any, Dict, Iterator, List, NamedTuple, Tuple

from bundle.hashing import hash_files
from validator import limits
from validator.subject import Unreadable, checksum_of, read_json_object

RECEIPT = "RECEIPT.json"
Entries = Dict[str, Dict[str, Any]]


class Differences(NamedTuple):
    """What is not as sealed, as relative paths; ``files`` is the number of sealed files."""

    files: int
    missing: Tuple[str, ...]
    changed: Tuple[str, ...]
    modes: Tuple[str, ...]
    extra: Tuple[str, ...]

    @property
    def total(self) -> int:
        """Return how many paths differ."""
        return len(self.missing) + len(self.changed) + len(self.modes) + len(self.extra)


def read(generation: Path) -> Entries:
    """Return the receipt's entries by relative path.

    Raises:
        Unreadable: missing, damaged, or not of the known shape.
    """
    path = generation / RECEIPT
    document = read_json_object(path, limits.MANIFEST_BYTES)
    if document.get("checksum") != checksum_of(document):
        raise Unreadable(f"{path}: its checksum does not match its content")
    try:
        entries: Entries = {str(entry["path"]): dict(entry) for entry in document["entries"]}
    except (KeyError, TypeError, ValueError) as error:
        raise Unreadable(f"{path}: unknown shape: {error}") from error
    return entries


def compare(generation: Path, unread: Tuple[str, ...] = ()) -> Differences:
    """Read every sealed file again (several threads) and look for paths that nobody sealed.

    Of files in the folders *unread* only kind, size and mode are compared.
    """
    entries = read(generation)
    present = dict(_walk(generation))
    changed: List[str] = []
    modes: List[str] = []
    waiting: Dict[Path, str] = {}
    for name in sorted(set(entries) & set(present)):
        entry, facts = entries[name], present[name]
        if not _same_kind(generation / name, entry, facts.st_mode):
            changed.append(name)
        elif "target" not in entry:
            if sys.platform != "win32" and stat.S_IMODE(facts.st_mode) != int(str(entry["mode"]), 8):
                modes.append(name)
            if "sha256" in entry and name.partition("/")[0] in unread:
                if facts.st_size != entry["size"]:
                    changed.append(name)
            elif "sha256" in entry:
                waiting[generation / name] = name
    for path, size, digest in hash_files(waiting):
        entry = entries[waiting[path]]
        if (size, digest) != (entry["size"], entry["sha256"]):
            changed.append(waiting[path])
    return Differences(
        sum("sha256" in entry for entry in entries.values()),
        tuple(sorted(set(entries) - set(present))),
        tuple(sorted(changed)),
        tuple(modes),
        tuple(sorted(set(present) - set(entries))),
    )


def _same_kind(path: Path, entry: Dict[str, Any], mode: int) -> bool:
    if "target" in entry:
        return stat.S_ISLNK(mode) and os.readlink(path) == entry["target"]
    return stat.S_ISREG(mode) if "sha256" in entry else stat.S_ISDIR(mode)


def _walk(root: Path) -> Iterator[Tuple[str, os.stat_result]]:
    """Yield everything below *root* but the receipt itself; links are not followed."""
    pending = [root]
    while pending:
        with os.scandir(pending.pop()) as found:
            for entry in found:
                path = Path(entry.path)
                if path != root / RECEIPT:
                    yield path.relative_to(root).as_posix(), entry.stat(follow_symlinks=False)
                if entry.is_dir(follow_symlinks=False):
                    pending.append(path)
