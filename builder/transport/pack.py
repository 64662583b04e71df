"""Pack: stream the staged files into one archive, and write what is carried beside it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bundle import atomic
from bundle.archive import ArchiveWriter
from bundle.errors import IntegrityError, SpaceError
from bundle.hashing import sha256_bytes
from bundle.text import Text

from ..cache import Cache
from ..sealing.seal import Seal
from ..sealing.signing import Signer, allowed_signers
from ..stage import StagedFile

# Copied, not compressed: they are compressed already, or hardly get smaller for the time it takes.
_STORED_KINDS = ("wheel", "model", "interpreter", "uv")


@dataclass(frozen=True)
class PackedArchive:
    """An archive on disk, its size in bytes and SHA-256."""

    path: Path
    size: int
    sha256: str


def write_archive(
    output: Path,
    stem: str,
    files: Sequence[StagedFile],
    sealed: Seal,
    epoch: int,
    cache: Cache,
    on_bytes: Callable[[int], None],
) -> PackedArchive:
    """Write ``<stem>.tar.gz`` and ``<stem>.tar.gz.sha256`` into `output`; whole, or not at all.

    Raises:
        IntegrityError: a cached file is not what its name says; it is removed from the cache.
        SpaceError: the output cannot be written.
    """
    try:
        output.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(prefix=f".{stem}.", suffix=".partial", dir=output)
    except OSError as error:
        raise _cannot_write(output, error) from error
    try:
        with open(descriptor, "wb", buffering=0) as stream:
            size, digest = _write(ArchiveWriter(stream, stem, epoch), files, sealed, cache, on_bytes)
        os.chmod(temporary, 0o644)
        archive = output / f"{stem}.tar.gz"
        os.replace(temporary, archive)
        atomic.write_atomic(output / f"{archive.name}.sha256", f"{digest}  {archive.name}\n".encode())
    except OSError as error:
        raise _cannot_write(output, error) from error
    finally:
        Path(temporary).unlink(missing_ok=True)
    return PackedArchive(archive, size, digest)


def write_allowed_signers(output: Path, keys: Sequence[Signer]) -> Path:
    """Write the ``allowed_signers`` file, which must travel apart from the archive."""
    place = output / "allowed_signers"
    atomic.write_atomic(place, allowed_signers(keys).encode("utf-8"))
    return place


def _write(
    writer: ArchiveWriter,
    files: Sequence[StagedFile],
    sealed: Seal,
    cache: Cache,
    on_bytes: Callable[[int], None],
) -> tuple[int, str]:
    try:
        # The manifest first: a reader of the stream knows what to expect before the first large file.
        for name, data in sealed.files():
            writer.add(name, data, len(data), sha256_bytes(data), 0o644, store=False)
        for item in files:
            _add(writer, item, cache, on_bytes)
        return writer.close()
    finally:
        writer.abandon()


def _add(writer: ArchiveWriter, item: StagedFile, cache: Cache, on_bytes: Callable[[int], None]) -> None:
    entry = item.entry
    store = entry.kind in _STORED_KINDS
    try:
        writer.add(
            entry.path, item.source, entry.size, entry.sha256, entry.mode, store=store, on_bytes=on_bytes
        )
    except IntegrityError as error:
        if isinstance(item.source, Path) and cache.root in item.source.parents:
            raise cache.poisoned(entry.sha256, f"{entry.path} ({item.source})") from error
        raise


def _cannot_write(output: Path, error: OSError) -> SpaceError:
    return SpaceError(
        Text("결과를 쓸 수 없습니다", "the output cannot be written"),
        where=f"{output}: {error}",
        state=Text("완성되지 않은 아카이브는 남지 않습니다", "no unfinished archive is left"),
        hint=Text("공간을 비우거나 다른 --output-dir를 쓰십시오", "free space, or use another --output-dir"),
    )
