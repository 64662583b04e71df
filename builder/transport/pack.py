"""Pack: stream the staged files into one archive, and write what is carried beside it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from bundle import atomic
from bundle.volumes import ARCHIVE_SUFFIX

from ..cache import Cache
from ..sealing.seal import Seal
from ..sealing.signing import Signer, allowed_signers
from ..stage import StagedFile
from . import output as out
from .output import Load, Packed


def whole_load(stem: str, files: Sequence[StagedFile], sealed: Seal, epoch: int) -> Load:
    """Return what the archive of a whole bundle holds."""
    return Load(stem, sealed.files(), files, epoch)


def write_whole(output: Path, stem: str, load: Load, cache: Cache, on_bytes: Callable[[int], None]) -> Packed:
    """Write ``<stem>.tar.gz`` and ``<stem>.tar.gz.sha256`` into `output`; whole, or not at all.

    Raises:
        IntegrityError: a cached file is not what its name says; it is removed from the cache.
        SpaceError: the output cannot be written.
    """
    archive = output / (stem + ARCHIVE_SUFFIX)
    with out.whole_or_nothing(output, archive.name) as begin:
        size, digest = out.stream(begin(archive.name).stream, load, cache, on_bytes)
        begin(f"{archive.name}.sha256").stream.write(f"{digest}  {archive.name}\n".encode())
    return Packed((archive,), archive.name, size, digest)


def write_allowed_signers(output: Path, keys: Sequence[Signer]) -> Path:
    """Write the ``allowed_signers`` file, which must travel apart from the archive."""
    place = output / "allowed_signers"
    atomic.write_atomic(place, allowed_signers(keys).encode("utf-8"))
    return place
