"""The one door: write a sealed bundle as an archive or as volumes, whole or as a delta, with its unpacker."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from ..cache import Cache
from ..sealing.seal import Seal
from ..sealing.signing import Signer
from ..stage import StagedFile
from . import delta, pack, unpacker, volumes
from .delta import BaseManifest
from .output import Packed


def ship(
    output: Path,
    stem: str,
    files: Sequence[StagedFile],
    sealed: Seal,
    epoch: int,
    cache: Cache,
    on_bytes: Callable[[int], None],
    *,
    keys: Sequence[Signer],
    volume_size: int | None = None,
    base: BaseManifest | None = None,
) -> Packed:
    """Write the bundle into `output` in the form that was asked for, and ``unpack.py`` beside it.

    Raises:
        IntegrityError: a cached file is not what its name says; it is removed from the cache.
        SpaceError: the output cannot be written.
        UsageProblem: the base does not fit, or the volumes would be too many.
    """
    load = pack.whole_load(stem, files, sealed, epoch)
    name = stem
    if base is not None:
        load, name = delta.delta_load(stem, files, sealed, epoch, base), delta.delta_stem(stem, base)
    if volume_size is None:
        packed = pack.write_whole(output, name, load, cache, on_bytes)
    else:
        packed = volumes.write_cut(output, name, load, cache, on_bytes, volume_size=volume_size, keys=keys)
    unpacker.write_unpacker(output, keys)
    return packed
