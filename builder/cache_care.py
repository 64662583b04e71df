"""Caring for the cache: what is in it, whether it is still what it says, and what may go. Decide first, then delete."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bundle.hashing import hash_files

from .cache import Cache

OnBytes = Callable[[int], None]
_DAY_S = 24 * 3600
# What a cached file is, told by its first bytes: names in the cache are digests.
_KINDS = (
    (b"PK\x03\x04", "wheel"),
    (b"\x1f\x8b", "source"),
    (b"BZh", "source"),
    (b"\xfd7zXZ", "source"),
    (b"GGUF", "model"),
)
# A safetensors file begins with the length of its JSON header.
_SAFETENSORS = slice(8, 10)
KINDS = ("wheel", "source", "model", "other", "unfinished", "record", "scratch", "tool")


@dataclass(frozen=True)
class Item:
    """One file or scratch folder of the cache: its kind of `KINDS`, bytes, and when it was last used."""

    path: Path
    kind: str
    size: int
    used: float


@dataclass(frozen=True)
class PruneOrder:
    """What may go, beside litter: unused for so many days, beyond so many bytes, unfinished downloads."""

    older_than_days: float | None = None
    max_bytes: int | None = None
    partials: bool = False


@dataclass(frozen=True)
class PrunePlan:
    """What goes: cached files (least recently used first), unfinished downloads, and what killed builds left."""

    files: tuple[Item, ...]
    partials: tuple[Item, ...]
    litter: tuple[Item, ...]

    def items(self) -> tuple[Item, ...]:
        """Return everything that goes."""
        return (*self.files, *self.partials, *self.litter)

    def size(self) -> int:
        """Return how many bytes that frees."""
        return sum(item.size for item in self.items())


def survey(cache: Cache) -> list[Item]:
    """Return everything in the cache, by kind and path."""
    items = [*_files(cache), *_partials(cache), *_records(cache), *_scratch(cache)]
    items += [_item(path, "tool") for path in (cache.root / "tools").rglob("*") if path.is_file()]
    return sorted(items, key=lambda item: (KINDS.index(item.kind), item.path))


def poisoned(cache: Cache, on_bytes: OnBytes) -> list[Path]:
    """Hash every cached file and return those that are not what their names say, or cannot be read."""
    items = sorted(_files(cache), key=lambda item: -item.size)
    outcomes = hash_files((item.path for item in items), on_bytes=on_bytes)
    return sorted(path for path, _, digest in outcomes if digest != path.name and os.path.lexists(path))


def plan_prune(cache: Cache, order: PruneOrder, now: float) -> PrunePlan:
    """Decide what goes; deletes nothing. Litter always goes: nobody uses the cache while it is pruned."""
    files = sorted(_files(cache), key=lambda item: (item.used, item.path))
    going = []
    if order.older_than_days is not None:
        going = [item for item in files if item.used < now - order.older_than_days * _DAY_S]
    if order.max_bytes is not None:
        left = sum(item.size for item in files) - sum(item.size for item in going)
        for item in files[len(going) :]:
            if left <= order.max_bytes:
                break
            going.append(item)
            left -= item.size
    partials = list(_partials(cache)) if order.partials else []
    gone = {item.path.name for item in going}
    orphans = [item for item in _records(cache) if _is_orphan(cache, item.path, gone)]
    return PrunePlan(tuple(going), tuple(partials), (*orphans, *_scratch(cache)))


def apply(plan: PrunePlan) -> None:
    """Delete what the plan names; links are removed, never followed."""
    for item in plan.items():
        if item.path.is_dir() and not item.path.is_symlink():
            shutil.rmtree(item.path)
        else:
            item.path.unlink(missing_ok=True)


def _files(cache: Cache) -> Iterator[Item]:
    for path in sorted((cache.root / "files").glob("*/*")):
        yield _item(path, _kind(path))


def _partials(cache: Cache) -> Iterator[Item]:
    for path in sorted((cache.root / "partial").iterdir()):
        if path.suffix != ".lock":
            yield _item(path, "unfinished")


def _records(cache: Cache) -> Iterator[Item]:
    for path in sorted((cache.root / "built").iterdir()):
        yield _item(path, "record")


def _scratch(cache: Cache) -> Iterator[Item]:
    """Yield work folders and lock files: while nobody uses the cache, all of them are left from killed builds."""
    left = [*(cache.root / "work").iterdir(), *(cache.root / "locks").iterdir()]
    # Earlier versions kept their locks beside the unfinished downloads.
    left += (cache.root / "partial").glob("*.lock")
    for path in sorted(left):
        yield _item(path, "scratch")


def _item(path: Path, kind: str) -> Item:
    status = path.lstat()
    return Item(path, kind, _size(path), status.st_mtime)


def _size(path: Path) -> int:
    if path.is_symlink() or not path.is_dir():
        return path.lstat().st_size
    return sum(_size(inner) for inner in path.iterdir())


def _kind(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            head = stream.read(16)
    except OSError:
        return "other"
    if head[_SAFETENSORS] == b'{"':
        return "model"
    return next((kind for magic, kind in _KINDS if head.startswith(magic)), "other")


def _is_orphan(cache: Cache, path: Path, gone: Iterable[str]) -> bool:
    """Return whether a record speaks of a file that is not there, or is none."""
    try:
        record = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return True
    if path.suffix != ".json" or not isinstance(record, dict):
        return True
    digest = str(record.get("sha256", ""))
    return digest in gone or not cache.path(digest).is_file()
