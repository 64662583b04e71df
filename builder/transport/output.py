"""What goes into one archive, what came of it, and files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from bundle.archive import ArchiveWriter, SourceChanged
from bundle.errors import SpaceError
from bundle.hashing import sha256_bytes
from bundle.text import Text
from bundle.volumes import ARCHIVE_SUFFIX

from ..cache import Cache
from ..stage import StagedFile

# Copied, not compressed: they are compressed already, or hardly get smaller for the time it takes.
STORED_KINDS = ("wheel", "model", "interpreter", "uv")


@dataclass(frozen=True)
class Load:
    """What one archive holds: its top folder, the files beside the numbered folders first, then `files`."""

    top: str
    metadata: Sequence[tuple[str, bytes]]
    files: Sequence[StagedFile]
    epoch: int


@dataclass(frozen=True)
class Packed:
    """What was written: the archive, or its index and its volumes; name, size and SHA-256 of the whole archive."""

    paths: tuple[Path, ...]
    archive_name: str
    size: int
    sha256: str

    @property
    def path(self) -> Path:
        """The archive, or the index of its volumes."""
        return self.paths[0]


def stream(target: BinaryIO, load: Load, cache: Cache, on_bytes: Callable[[int], None]) -> tuple[int, str]:
    """Write the archive into `target` and return its size and SHA-256.

    Raises:
        IntegrityError: a file is not what its name in the cache says; it is removed from there.
        OSError: the target cannot be written.
    """
    writer = ArchiveWriter(target, load.top, load.epoch)
    try:
        # The manifest first: a reader of the stream knows what to expect before the first large file.
        for name, data in load.metadata:
            writer.add(name, data, len(data), sha256_bytes(data), 0o644, store=False)
        # Then the trust records: they say whose signature counts, so a reader needs them before it believes.
        for item in sorted(load.files, key=lambda item: item.entry.kind != "trust"):
            entry, store = item.entry, item.entry.kind in STORED_KINDS
            writer.add(
                entry.path, item.source, entry.size, entry.sha256, entry.mode, store=store, on_bytes=on_bytes
            )
        return writer.close()
    except SourceChanged as error:
        (changed,) = (item for item in load.files if item.entry.path == error.name)
        if isinstance(changed.source, Path) and cache.root in changed.source.parents:
            raise cache.poisoned(changed.entry.sha256, f"{error.name} ({changed.source})") from error
        raise
    finally:
        writer.abandon()


@dataclass(frozen=True)
class Unfinished:
    """A file under a temporary name, locked while this process lives."""

    place: Path
    final: Path
    stream: BinaryIO


@contextlib.contextmanager
def whole_or_nothing(output: Path, archive: str) -> Iterator[Callable[[str], Unfinished]]:
    """Give what opens files of `archive` that get their names together when the block ends well.

    They are written one after the other and get their names in that order. Only the first stays open, for
    its lock, which says that this run lives; what killed runs left under temporary names is removed first.

    Raises:
        SpaceError: the output cannot be written; nothing unfinished is left.
    """
    opened: list[Unfinished] = []
    token = secrets.token_hex(4)

    def begin(name: str) -> Unfinished:
        for item in opened[1:]:
            item.stream.close()
        place = output / f".{name}.{token}.partial"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        item = Unfinished(place, output / name, os.fdopen(os.open(place, flags, 0o644), "wb", buffering=0))
        opened.append(item)
        _lock(item.stream.fileno())
        return item

    try:
        output.mkdir(parents=True, exist_ok=True)
        _sweep(output, archive)
        yield begin
        for item in opened:
            item.place.chmod(0o644)
            if sys.platform == "win32":
                item.stream.close()
            os.replace(item.place, item.final)
    except OSError as error:
        raise cannot_write(output, error) from error
    finally:
        for item in opened:
            item.stream.close()
            item.place.unlink(missing_ok=True)


def cannot_write(output: Path, error: OSError) -> SpaceError:
    """Return the error for an output folder that is full, closed or not a folder."""
    return SpaceError(
        Text("결과를 쓸 수 없습니다", "the output cannot be written"),
        where=f"{output}: {error}",
        state=Text("완성되지 않은 아카이브는 남지 않습니다", "no unfinished archive is left"),
        hint=Text("공간을 비우거나 다른 --output-dir를 쓰십시오", "free space, or use another --output-dir"),
    )


def _sweep(output: Path, archive: str) -> None:
    """Remove what killed runs left of this archive: nobody holds a lock on any file of theirs."""
    stem = archive.removesuffix(ARCHIVE_SUFFIX)
    runs: dict[str, list[Path]] = {}
    for place in output.iterdir():
        if place.name.startswith(f".{stem}.") and place.name.endswith(".partial"):
            runs.setdefault(place.name.split(".")[-2], []).append(place)
    for places in runs.values():
        # By name its first file comes first: the one whose lock a living run holds.
        first, *_ = sorted(places)
        with contextlib.suppress(OSError):
            descriptor = os.open(first, os.O_RDWR | getattr(os, "O_BINARY", 0))
            try:
                _lock(descriptor)
                for place in places:
                    place.unlink()
            finally:
                os.close(descriptor)


def _lock(descriptor: int) -> None:
    """Lock the file until it is closed, or fail. On Windows an open file cannot be removed anyway."""
    if sys.platform != "win32":
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
