"""A set of volumes on its media: find them, compare them with their index, read the archive out of them.

No function here ever removes or changes a volume.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Callable, Dict, Optional, Sequence, Tuple, cast

from . import limits
from .errors import IntegrityError
from .hashing import sha256_file
from .text import Text
from .volumes import AGAIN, VOLUME, Piece, VolumeIndex

# Asks for the next medium: gets what is missing, gives a folder to look into, or None to give up.
Ask = Callable[[str], Optional[Path]]


@dataclass(frozen=True)
class Found:
    """Where the volumes of an index lie: by name, and everything that is wrong with what lies there."""

    places: Dict[str, Path]
    missing: Tuple[Piece, ...]
    problems: Tuple[Text, ...]


def find(index: VolumeIndex, folders: Sequence[Path]) -> Found:
    """Look for the volumes in the folders, the first good place of each winning; nothing is read.

    Problems are volumes of another size, and files that look like volumes of this archive and are not.
    """
    wanted = {volume.name: volume for volume in index.volumes}
    places: Dict[str, Path] = {}
    problems: Dict[str, Text] = {}
    for folder in folders:
        for name in sorted(os.listdir(folder)) if folder.is_dir() else ():
            match = VOLUME.match(name)
            if match is None or match.group(1) != index.archive.name:
                continue
            path, volume = folder / name, wanted.get(name)
            if volume is None:
                problems[name] = Text(
                    f"{path}: 이 번들의 볼륨이 아닙니다 (볼륨은 {len(wanted)}개)",
                    f"{path}: not a volume of this bundle, which has {len(wanted)}",
                )
            elif name not in places and path.is_file() and path.stat().st_size == volume.size:
                places[name] = path
            elif name not in places:
                problems[name] = Text(
                    f"{path}: 크기가 다릅니다: {path.stat().st_size} (목록 {volume.size})",
                    f"{path}: the size differs: {path.stat().st_size}, listed {volume.size}",
                )
    for name in places:
        problems.pop(name, None)
    missing = tuple(volume for volume in index.volumes if volume.name not in places)
    return Found(places, missing, tuple(problems.values()))


def problem_with(
    index: VolumeIndex, volume: Piece, path: Path, on_bytes: Optional[Callable[[int], None]] = None
) -> Optional[Text]:
    """Read a volume and say what is wrong with it, or None."""
    try:
        size, digest = sha256_file(path, on_bytes)
    except OSError as error:
        return Text(f"{path}: 읽을 수 없습니다: {error}", f"{path}: unreadable: {error}")
    return _judge(index, volume, path, size, digest)


def _judge(index: VolumeIndex, volume: Piece, path: Path, size: int, digest: str) -> Optional[Text]:
    if (size, digest) == (volume.size, volume.sha256):
        return None
    for other in index.volumes:
        if (size, digest) == (other.size, other.sha256):
            return Text(
                f"{path}: 실제로는 {other.name}입니다 (이름이 바뀜)",
                f"{path}: this is really {other.name} (renamed)",
            )
    return Text(f"{path}: 손상되었습니다", f"{path}: damaged")


def check(
    index: VolumeIndex,
    folders: Sequence[Path],
    named: Sequence[Path],
    where: str,
    stage: Callable[[Text, int], Callable[[int], None]],
) -> int:
    """Compare volumes with their index - the `named` ones, else all of them - and return how many.

    Raises:
        IntegrityError: naming every one that is missing or not what the index says.
    """
    found = find(index, folders)
    chosen = {path.name: path for path in named}
    listed = {item.name for item in index.volumes}
    places = chosen or found.places
    problems = [] if chosen else list(found.problems)
    for name in sorted(set(chosen) - listed):
        problems.append(
            Text(f"{chosen[name]}: 이 번들의 볼륨이 아닙니다", f"{chosen[name]}: not a volume of this bundle")
        )
    present = [item for item in index.volumes if item.name in places]
    on_bytes = stage(Text("볼륨 검증", "verifying volumes"), sum(item.size for item in present))
    for item in present:
        problem = problem_with(index, item, places[item.name], on_bytes)
        if problem is not None:
            problems.append(problem)
    missing = () if chosen else found.missing
    if problems or missing:
        raise complaint(problems, missing, where)
    return len(present)


_KEPT = Text("볼륨은 지우거나 바꾸지 않았습니다", "no volume was removed or changed")


def complaint(problems: Sequence[Text], missing: Sequence[Piece], where: str) -> IntegrityError:
    """Return the error that names every volume that is missing or not what the index says."""
    lines = [
        *problems,
        *(Text(f"없는 볼륨: {item.name}", f"missing volume: {item.name}") for item in missing),
    ]
    return IntegrityError(
        Text(
            f"볼륨에 문제가 있습니다: {len(lines)}건",
            f"the volumes are not in order: {len(lines)} finding(s)",
        ),
        where=where,
        details=lines,
        state=_KEPT,
        hint=AGAIN,
    )


class VolumeStream:
    """The archive's bytes out of its volumes, each compared with the index by the time it ends.

    `read` may give bytes of a volume before the whole of it is known to be good: whoever reads must be
    able to throw away what was made of them, and calls `blame` when they turn out to make no sense.
    """

    def __init__(
        self,
        index: VolumeIndex,
        folders: Sequence[Path],
        ask: Optional[Ask] = None,
        on_bytes: Optional[Callable[[int], None]] = None,
    ) -> None:
        """Begin to read; `ask` gets the name of a volume that lies in none of the folders."""
        self._index = index
        self._folders = list(folders)
        self._ask = ask
        self._on_bytes = on_bytes
        self._waiting = list(index.volumes)
        self._open: Optional[BinaryIO] = None
        self._path = Path()
        self._digest = hashlib.sha256()
        self._size = 0

    def read(self, count: int) -> bytes:
        """Return at most `count` bytes, nothing at the end of the last volume.

        Raises:
            IntegrityError: a volume is missing, or is not what the index says.
        """
        while True:
            if self._open is None:
                if not self._waiting:
                    return b""
                self._begin(self._waiting[0])
            data = self._read_some(count)
            if data:
                self._digest.update(data)
                self._size += len(data)
                if self._on_bytes is not None:
                    self._on_bytes(len(data))
                return data
            self._end()

    def blame(self) -> None:
        """Read the current volume to its end, so that a damaged one is named rather than what came of it.

        Raises:
            IntegrityError: the current volume is not what the index says.
        """
        while self._open is not None:
            data = self._read_some(limits.CHUNK_BYTES)
            self._digest.update(data)
            self._size += len(data)
            if not data:
                self._end()

    def close(self) -> None:
        """Close the volume that is open."""
        if self._open is not None:
            self._open.close()
            self._open = None

    def _begin(self, volume: Piece) -> None:
        while True:
            found = find(self._index, self._folders)
            place = found.places.get(volume.name)
            if place is not None:
                break
            folder = self._ask(volume.name) if self._ask is not None else None
            if folder is None:
                # Volumes that were read already may lie on a medium that has been taken out since.
                missing = [item for item in found.missing if item in self._waiting]
                raise complaint(found.problems, missing, self._index.archive.name)
            if folder not in self._folders:
                self._folders.insert(0, folder)
        self._path = place
        self._open = _opened(place)
        self._digest, self._size = hashlib.sha256(), 0

    def _read_some(self, count: int) -> bytes:
        if self._open is None:
            return b""
        try:
            return self._open.read(count)
        except OSError as error:
            problem = Text(f"{self._path}: 읽을 수 없습니다: {error}", f"{self._path}: unreadable: {error}")
            raise complaint([problem], (), self._index.archive.name) from error

    def _end(self) -> None:
        self.close()
        volume = self._waiting.pop(0)
        problem = _judge(self._index, volume, self._path, self._size, self._digest.hexdigest())
        if problem is not None:
            raise complaint([problem], (), self._index.archive.name)


def _opened(path: Path) -> BinaryIO:
    return cast(BinaryIO, open(path, "rb", buffering=0))
