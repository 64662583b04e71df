"""Compare a generation with its RECEIPT.json: every path, size, SHA-256 and mode."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path
from typing import Any, Dict, Iterator, List, NamedTuple, Tuple

from bundle.hashing import hash_files
from validator import limits
from validator.subject import read_json_object

RECEIPT = "RECEIPT.json"


class Differences(NamedTuple):
    """What is not as sealed, as paths relative to the generation; ``count`` is the number of sealed files."""

    count: int
    missing: Tuple[str, ...]
    changed: Tuple[str, ...]
    modes: Tuple[str, ...]
    extra: Tuple[str, ...]

    @property
    def any(self) -> bool:
        """Tell whether anything differs."""
        return bool(self.missing or self.changed or self.modes or self.extra)


def read(generation: Path) -> Dict[str, Dict[str, Any]]:
    """Return the receipt's entries by relative path.

    Raises:
        Unreadable: missing or damaged.
        KeyError, TypeError: not of the known shape.
    """
    document = read_json_object(generation / RECEIPT, limits.MANIFEST_BYTES)
    return {str(entry["path"]): dict(entry) for entry in document["files"]}


def compare(generation: Path) -> Differences:
    """Read every sealed file again (several threads) and look for files that nobody sealed."""
    entries = read(generation)
    present = set(_files(generation)) - {RECEIPT}
    missing = sorted(set(entries) - present)
    wrong: List[str] = []
    modes: List[str] = []
    plain = []
    for name in sorted(set(entries) & present):
        facts = os.lstat(generation / name)
        if stat.S_ISLNK(facts.st_mode):
            if not _same_link(generation / name, entries[name]):
                wrong.append(name)
            continue
        plain.append(generation / name)
        wanted = entries[name].get("mode")
        if sys.platform != "win32" and wanted is not None and stat.S_IMODE(facts.st_mode) != _mode(wanted):
            modes.append(name)
    for path, size, digest in hash_files(plain):
        name = path.relative_to(generation).as_posix()
        if (size, digest) != (entries[name]["size"], entries[name]["sha256"]):
            wrong.append(name)
    extra = sorted(present - set(entries))
    return Differences(len(entries), tuple(missing), tuple(sorted(wrong)), tuple(modes), tuple(extra))


def _mode(value: Any) -> int:
    return int(value, 8) if isinstance(value, str) else int(value)


def _same_link(path: Path, entry: Dict[str, Any]) -> bool:
    target = entry.get("target", entry.get("link"))
    return target is None or os.readlink(path) == target


def _files(root: Path) -> Iterator[str]:
    """Yield everything below *root* that is not a folder, links not followed."""
    for folder, folders, names in os.walk(root):
        links = [name for name in folders if os.path.islink(os.path.join(folder, name))]
        for name in names + links:
            yield (Path(folder) / name).relative_to(root).as_posix()
