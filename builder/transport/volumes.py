"""Volumes: the archive's stream cut into files as it is written, and the signed index of them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO, cast

from bundle import checksums, layout, limits
from bundle.errors import UsageProblem
from bundle.hashing import sha256_bytes
from bundle.text import Text, human_size
from bundle.volumes import (
    ARCHIVE_SUFFIX,
    Piece,
    VolumeIndex,
    index_name,
    signature_names,
    volume_name,
)

from ..cache import Cache
from ..sealing.signing import Signer
from . import output as out
from .output import Load, Packed, Unfinished


def write_cut(
    output: Path,
    stem: str,
    load: Load,
    cache: Cache,
    on_bytes: Callable[[int], None],
    *,
    volume_size: int,
    keys: Sequence[Signer],
) -> Packed:
    """Write ``<stem>.tar.gz.001`` … and ``<stem>.volumes.json`` with its signatures; whole, or not at all.

    The whole archive never lies on the disk beside its volumes.

    Raises:
        IntegrityError: a cached file is not what its name says; it is removed from the cache.
        SpaceError: the output cannot be written.
        UsageProblem: the volumes would be too many.
    """
    archive = stem + ARCHIVE_SUFFIX
    with out.whole_or_nothing(output, archive) as begin:
        cutter = _Cutter(archive, volume_size, begin)
        size, digest = out.stream(cast(BinaryIO, cutter), load, cache, on_bytes)
        volumes = cutter.finish()
        manifest = sha256_bytes(dict(load.metadata)[layout.MANIFEST])
        data = VolumeIndex(Piece(archive, size, digest), manifest, volumes).to_bytes()
        listed = checksums.checksum_lines((item.name, item.sha256) for item in volumes)
        begin(f"{archive}.volumes.sha256").stream.write(listed)
        index = index_name(archive)
        for name, key in zip(signature_names(index), keys, strict=False):
            begin(name).stream.write(key.sign(data, layout.VOLUMES_NAMESPACE))
        # The index last: as long as it is not there, nobody takes the volumes for a whole set.
        begin(index).stream.write(data)
    return Packed((output / index, *(output / item.name for item in volumes)), archive, size, digest)


class _Cutter:
    """A stream that goes on in the next volume where one is full."""

    def __init__(self, archive: str, size: int, begin: Callable[[str], Unfinished]) -> None:
        self._archive = archive
        self._limit = size
        self._begin = begin
        self._volumes: list[Piece] = []
        self._current: BinaryIO | None = None
        self._used = 0
        self._digest = hashlib.sha256()

    def write(self, data: memoryview) -> int:
        """Write what still fits into the current volume and return how much that was."""
        if self._current is None or self._used == self._limit:
            self._end()
            number = len(self._volumes) + 1
            if number > limits.VOLUMES:
                raise _too_many(self._limit)
            self._current = self._begin(volume_name(self._archive, number)).stream
        written = self._current.write(data[: self._limit - self._used])
        self._digest.update(data[:written])
        self._used += written
        return written

    def finish(self) -> tuple[Piece, ...]:
        """End the last volume and return all of them."""
        self._end()
        return tuple(self._volumes)

    def _end(self) -> None:
        if self._used:
            name = volume_name(self._archive, len(self._volumes) + 1)
            self._volumes.append(Piece(name, self._used, self._digest.hexdigest()))
        self._used, self._digest = 0, hashlib.sha256()


def _too_many(size: int) -> UsageProblem:
    return UsageProblem(
        Text(
            f"볼륨이 {limits.VOLUMES}개를 넘습니다 (볼륨 크기 {human_size(size)})",
            f"there would be more than {limits.VOLUMES} volumes of {human_size(size)}",
        ),
        state=Text("아무것도 쓰지 않았습니다", "nothing was written"),
        hint=Text("더 큰 --volume-size를 쓰십시오", "choose a larger --volume-size"),
    )
