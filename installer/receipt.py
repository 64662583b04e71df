"""RECEIPT.json: every path of a generation with size, SHA-256 and mode; the last file written to it."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Iterator, Mapping, Optional

from bundle.atomic import fsync_files, write_atomic
from bundle.hashing import hash_files

from . import sealed

NAME = "RECEIPT.json"


@dataclass(frozen=True)
class Entry:
    """One path: a file (size, digest), a link (target) or a folder; `mode` are permission bits."""

    path: str
    mode: int
    size: int = 0
    sha256: str = ""
    target: Optional[str] = None

    @property
    def is_file(self) -> bool:
        """Whether it is a regular file."""
        return bool(self.sha256)

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder."""
        return not self.sha256 and self.target is None


@dataclass(frozen=True)
class Receipt:
    """What a complete generation consists of."""

    generation: str
    manifest: str
    sequence: int
    version: str
    created: str
    entries: tuple[Entry, ...]


def exists(folder: Path) -> bool:
    """Return whether the generation was finished."""
    try:
        return stat.S_ISREG((folder / NAME).lstat().st_mode)
    except OSError:
        return False


def walk(folder: Path, prefix: str = "") -> Iterator[tuple[str, os.stat_result, str]]:
    """Yield relative POSIX path, status and link target of everything below, links not followed."""
    with os.scandir(folder) as listing:
        entries = sorted(listing, key=lambda entry: entry.name)
    for entry in entries:
        path = prefix + entry.name
        status = entry.stat(follow_symlinks=False)
        yield path, status, os.readlink(entry.path) if stat.S_ISLNK(status.st_mode) else ""
        if stat.S_ISDIR(status.st_mode):
            yield from walk(Path(entry.path), path + "/")


def take(
    folder: Path,
    known: Mapping[str, str] = {},
    on_bytes: Optional[Callable[[int], None]] = None,
    *,
    durable: bool = False,
) -> list[Entry]:
    """Read a generation back from disk and return what is there; with `durable`, also synchronise all of it.

    Args:
        folder: the generation.
        known: digests of files that were read from disk a moment ago in this run (the model store).
        on_bytes: called with the number of bytes after each piece.

    Raises:
        OSError: something cannot be read, or is neither file, folder nor link.
    """
    entries: dict[str, Entry] = {}
    waiting: dict[Path, str] = {}
    for path, status, target in walk(folder):
        mode = stat.S_IMODE(status.st_mode)
        if path == NAME:
            continue
        if stat.S_ISREG(status.st_mode):
            entries[path] = Entry(path, mode, status.st_size, known.get(path, ""))
            if path not in known:
                waiting[folder / path] = path
        elif stat.S_ISLNK(status.st_mode):
            entries[path] = Entry(path, 0o777, target=target)
        elif stat.S_ISDIR(status.st_mode):
            entries[path] = Entry(path, mode)
        else:
            raise OSError(f"neither file, folder nor link: {folder / path}")
    # Largest first, so that the last thread to finish holds a small file.
    ordered = sorted(waiting, key=lambda place: -entries[waiting[place]].size)
    for found, size, outcome in hash_files(ordered, on_bytes=on_bytes, durable=durable):
        if isinstance(outcome, OSError):
            raise outcome
        path = waiting[found]
        entries[path] = Entry(path, entries[path].mode, size, outcome)
    if durable:
        # Files first, then the folders that name them.
        fsync_files([folder, *(folder / path for path, entry in entries.items() if entry.is_folder)])
    return [entries[path] for path in sorted(entries)]


def write(folder: Path, receipt: Receipt) -> None:
    """Write the receipt, which makes the generation a complete one."""
    document = {
        "format": 1,
        "generation": receipt.generation,
        "manifest": receipt.manifest,
        "sequence": receipt.sequence,
        "version": receipt.version,
        "created": receipt.created,
        "entries": [_encode(entry) for entry in receipt.entries],
    }
    write_atomic(folder / NAME, sealed.seal(document), 0o644)


def _encode(entry: Entry) -> dict[str, Any]:
    document: dict[str, Any] = {"path": entry.path, "mode": f"{entry.mode:04o}"}
    if entry.target is not None:
        document["target"] = entry.target
    elif entry.is_file:
        document.update(size=entry.size, sha256=entry.sha256)
    return document


def read(folder: Path) -> Receipt:
    """Read a generation's receipt.

    Raises:
        sealed.Damaged: it is not what was written.
        OSError: it cannot be read.
    """
    document = sealed.unseal((folder / NAME).read_bytes())
    try:
        return Receipt(
            generation=str(document["generation"]),
            manifest=str(document["manifest"]),
            sequence=int(document["sequence"]),
            version=str(document["version"]),
            created=str(document["created"]),
            entries=tuple(_decode(item) for item in document["entries"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise sealed.Damaged(f"field missing: {error}") from error


def _decode(item: Mapping[str, Any]) -> Entry:
    return Entry(
        path=str(item["path"]),
        mode=int(item["mode"], 8),
        size=int(item.get("size", 0)),
        sha256=str(item.get("sha256", "")),
        target=item.get("target"),
    )


def differences(
    folder: Path,
    receipt: Receipt,
    *,
    deep: bool = True,
    skip: tuple[str, ...] = (),
    on_bytes: Optional[Callable[[int], None]] = None,
) -> list[str]:
    """Return every way in which a generation differs from its receipt, as short lines.

    Args:
        folder: the generation.
        receipt: what it should be.
        deep: compare every byte; else only names, kinds, sizes and modes.
        skip: first path components whose bytes are not compared (names and sizes are).
        on_bytes: called with the number of bytes after each piece.
    """
    expected = {entry.path: entry for entry in receipt.entries}
    problems = []
    waiting: dict[Path, Entry] = {}
    for path, status, target in walk(folder):
        if path == NAME:
            continue
        entry = expected.pop(path, None)
        if entry is None:
            problems.append(f"undeclared: {path}")
            continue
        problem = _shape(entry, status, target)
        if problem:
            problems.append(f"{problem}: {path}")
        elif deep and entry.is_file and path.split("/")[0] not in skip:
            waiting[folder / path] = entry
    problems += [f"missing: {path}" for path in expected]
    for found, _, outcome in hash_files(waiting, on_bytes=on_bytes):
        if outcome != waiting[found].sha256:
            problems.append(f"changed: {waiting[found].path}")
    return sorted(problems)


def _shape(entry: Entry, status: os.stat_result, target: str) -> str:
    if entry.target is not None:
        return "" if target == entry.target else "link differs"
    wanted = stat.S_IFREG if entry.is_file else stat.S_IFDIR
    if stat.S_IFMT(status.st_mode) != wanted:
        return "kind differs"
    if entry.is_file and status.st_size != entry.size:
        return "size differs"
    return "" if stat.S_IMODE(status.st_mode) == entry.mode else "mode differs"
