"""`store/sha256/`: model files by content. Releases hold hard links to them, so an upgrade copies no weights."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Callable, Iterable, Optional

from bundle.hashing import copy_hashed, sha256_file
from bundle.manifest import FileEntry

from .filesystem import link_file, make_directory, remove_empty, remove_file
from .paths import Prefix

# One mode for all: hard links share it.
MODE = 0o644
OnBytes = Optional[Callable[[int], None]]


def object_path(prefix: Prefix, sha256: str) -> Path:
    """Return where the content with this digest lies."""
    return prefix.store / sha256[:2] / sha256


def put(prefix: Prefix, source: Path, entry: FileEntry, on_bytes: OnBytes = None) -> Path:
    """Make sure that the content is in the store, intact, and return its path.

    What is there already is read and compared; a damaged object is replaced under its name, so releases
    that hold the damaged bytes keep what they had.

    Raises:
        IntegrityError: the source's bytes are not what the manifest says.
    """
    path = object_path(prefix, entry.sha256)
    if _intact(path, entry, on_bytes):
        return path
    for folder in (prefix.root / "store", prefix.store, path.parent):
        make_directory(folder)
    temporary = path.with_name(f".{path.name}.new")
    remove_file(temporary)
    copy_hashed(source, temporary, MODE, (entry.size, entry.sha256), on_bytes)
    os.replace(temporary, path)
    return path


def _intact(path: Path, entry: FileEntry, on_bytes: OnBytes) -> bool:
    try:
        return sha256_file(path, on_bytes) == (entry.size, entry.sha256)
    except OSError:
        return False


def place(stored: Path, destination: Path, entry: FileEntry) -> None:
    """Give stored content a name inside a generation: a hard link, or a copy where there are none."""
    if not link_file(stored, destination):
        copy_hashed(stored, destination, MODE, (entry.size, entry.sha256))


def objects(prefix: Prefix) -> Iterable[Path]:
    """Yield everything in the store, leftovers of killed runs included."""
    if prefix.store.is_dir():
        for folder in sorted(prefix.store.iterdir()):
            if folder.is_dir() and not folder.is_symlink():
                yield from sorted(folder.iterdir())


def collect(prefix: Prefix, wanted: set[str]) -> None:
    """Remove content whose digest is not among `wanted`, and leftovers."""
    for path in list(objects(prefix)):
        if path.name not in wanted:
            remove_file(path)
            remove_empty(path.parent)
