"""Volumes: one archive cut into files for sticks and discs, and the signed index that knows each of them.

``<archive>.001``, ``<archive>.002`` … are consecutive bytes of the archive: stock ``cat`` joins them. The
index ``<stem>.volumes.json`` gives size and SHA-256 of every volume and is signed like a manifest, in a
namespace of its own, so any volume can be verified alone. No function here ever removes or changes a volume.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Callable, Dict, Optional, Sequence, Tuple, cast

from . import layout, limits, names, sshsig, strictjson, trust, verify
from .errors import IntegrityError, SignatureError
from .hashing import sha256_file
from .strictjson import Fields
from .text import Text
from .trust import Anchors, Origin

FORMAT = "ragtrace-volumes"
FORMAT_VERSION = 1
INDEX_SUFFIX = ".volumes.json"
ARCHIVE_SUFFIX = ".tar.gz"
_SHA256 = re.compile(r"[0-9a-f]{64}\Z")
_VOLUME = re.compile(r"(.+\.tar\.gz)\.(\d{3})\Z")

# Asks for the next medium: gets what is missing, gives a folder to look into, or None to give up.
Ask = Callable[[str], Optional[Path]]


@dataclass(frozen=True)
class Piece:
    """One file: its name, its size in bytes and its SHA-256."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class VolumeIndex:
    """The whole archive, the digest of the manifest inside it, and its volumes in order."""

    archive: Piece
    manifest: str
    volumes: Tuple[Piece, ...]

    def to_bytes(self) -> bytes:
        """Return the canonical bytes, which are what is signed."""
        document = {"format": FORMAT, "format_version": FORMAT_VERSION, **asdict(self)}
        return (json.dumps(document, ensure_ascii=False, indent=1, sort_keys=True) + "\n").encode("utf-8")


def volume_name(archive: str, number: int) -> str:
    """Return the name of the volume with this number, which begins at 1."""
    return f"{archive}.{number:03d}"


def index_name(archive: str) -> str:
    """Return the name of the index of an archive's volumes."""
    return archive[: -len(ARCHIVE_SUFFIX)] + INDEX_SUFFIX


def signature_names(index: str) -> Tuple[str, ...]:
    """Return the names of an index's signatures: the first one, and further ones numbered from 2."""
    return tuple(index + name[len(layout.MANIFEST) :] for name in layout.SIGNATURES)


def index_of(path: Path) -> Optional[Path]:
    """Return the index that a volume's or an index's own name leads to, or None for another file."""
    found = _VOLUME.match(path.name)
    if found is not None:
        return path.with_name(index_name(found.group(1)))
    return path if path.name.endswith(INDEX_SUFFIX) else None


def parse_index(data: bytes, where: str) -> VolumeIndex:
    """Parse an index strictly; `where` is its name for errors.

    Raises:
        IntegrityError: malformed, of another format, or with names or sizes that do not add up.
    """
    try:
        source = strictjson.parse(data, "index")
        if source.text("format") != FORMAT or source.number("format_version") != FORMAT_VERSION:
            raise ValueError("not an index of a format this reader knows; use the unpack.py beside it")
        archive = _piece(source.child("archive"))
        index = VolumeIndex(archive, source.text("manifest", _SHA256), source.items("volumes", _piece))
        _check(index)
    except (ValueError, TypeError) as error:
        raise IntegrityError(
            Text(
                f"볼륨 목록을 받아들일 수 없습니다: {error}", f"the index of the volumes is refused: {error}"
            ),
            where=where,
            hint=_AGAIN,
        ) from error
    return index


def _piece(source: Fields) -> Piece:
    return Piece(source.text("name"), source.number("size", low=1), source.text("sha256", _SHA256))


def _check(index: VolumeIndex) -> None:
    archive = index.archive
    if names.problem_with(archive.name) or "/" in archive.name or not archive.name.endswith(ARCHIVE_SUFFIX):
        raise ValueError(f"name {archive.name!r} is not an archive's")
    if not 1 <= len(index.volumes) <= limits.VOLUMES:
        raise ValueError(f"{len(index.volumes)} volumes")
    for number, volume in enumerate(index.volumes, 1):
        if volume.name != volume_name(archive.name, number):
            raise ValueError(f"volume {number} is named {volume.name!r}")
    if sum(volume.size for volume in index.volumes) != archive.size:
        raise ValueError("the volumes' sizes do not add up to the archive's")


def read_index(
    path: Path, data: bytes, anchors: Anchors, now: Optional[datetime] = None
) -> Tuple[VolumeIndex, Origin]:
    """Verify an index, whose bytes are `data`, by the signatures beside it and parse it.

    Raises:
        SignatureError: unsigned, a broken signature, or by nobody among the anchors.
        IntegrityError: refused.
    """
    signatures = []
    for name in signature_names(path.name):
        signature = verify.read_capped(path.with_name(name), limits.SIGNATURE_BYTES)
        if signature is None:
            break
        signatures.append(signature)
    origin = verify_index(data, signatures, anchors, path.name, now)
    return parse_index(data, str(path)), origin


def verify_index(
    data: bytes, signatures: Sequence[bytes], anchors: Anchors, where: str, now: Optional[datetime] = None
) -> Origin:
    """Verify an index's signatures and return what the anchors make of the signers.

    An anchor that is good for bundles is good for what only carries one: lines of ``allowed_signers`` that
    name the bundles' namespace count as well.

    Raises:
        SignatureError: unsigned, a broken signature, or by nobody among the anchors.
    """
    if not signatures:
        raise SignatureError(
            Text("볼륨 목록에 서명이 없습니다", "the index of the volumes is not signed"),
            where=where,
            hint=Text(
                f"{signature_names(where)[0]}도 함께 복사하십시오", f"copy {signature_names(where)[0]} too"
            ),
        )
    named = zip(signature_names(where), signatures)
    keys = [sshsig.verify(data, each, layout.VOLUMES_NAMESPACE, name) for name, each in named]
    try:
        return trust.origin_of(keys, anchors, now, layout.VOLUMES_NAMESPACE)
    except SignatureError:
        return trust.origin_of(keys, anchors, now)


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
            match = _VOLUME.match(name)
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


_AGAIN = Text(
    "표시된 파일만 원본에서 다시 복사하십시오. 나머지는 그대로 쓸 수 있습니다",
    "copy just the files named here again from the original; the others are good",
)
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
        hint=_AGAIN,
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
