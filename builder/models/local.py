"""A model that lies in a folder: how delivered weights arrive, and what somebody has downloaded already."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from bundle import checksums
from bundle.errors import DownloadError, UsageProblem
from bundle.hashing import hash_files, sha256_bytes, sha256_file
from bundle.text import Text

from .spec import PinnedFile

OnBytes = Callable[[int], None]
# Folders that tools keep beside the files: git's, and the hub library's records of downloads.
_SKIPPED = (".git", ".cache", "__pycache__")
_PIECE = 1 << 20


def folder_paths(folder: Path) -> list[str]:
    """Return the path of every file below a folder, sorted; links to files count as files, to folders not.

    Raises:
        UsageProblem: there is no such folder.
    """
    if not folder.is_dir():
        raise UsageProblem(Text("모델 폴더가 없습니다", "there is no such model folder"), where=str(folder))
    return sorted(path.relative_to(folder).as_posix() for path in _walk(folder))


def _walk(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.is_dir() and not path.is_symlink():
            if path.name not in _SKIPPED:
                yield from _walk(path)
        elif path.is_file():
            yield path


def digests(folder: Path, paths: Sequence[str], on_bytes: OnBytes) -> tuple[PinnedFile, ...]:
    """Read and hash files of a folder, on all cores, in bounded memory.

    Raises:
        OSError: one of them cannot be read.
    """
    places = {(folder / path).resolve(): path for path in paths}
    found = []
    for place, size, digest in hash_files(
        sorted(places, key=lambda item: -item.stat().st_size), on_bytes=on_bytes
    ):
        if isinstance(digest, OSError):
            raise digest
        found.append(PinnedFile(places[place], size, digest))
    return tuple(sorted(found, key=lambda item: item.path))


def list_digest(files: Sequence[PinnedFile]) -> str:
    """Return one digest over paths and digests: what stands for the commit of a folder."""
    return sha256_bytes(checksums.checksum_lines(sorted((item.path, item.sha256) for item in files)))


def take(source: Path, size: int, sha256: str, partial: Path, on_bytes: OnBytes) -> None:
    """Bring a file of this machine into `partial`: as a second name of the same bytes where that is possible.

    Weights of many gigabytes are not copied beside themselves: on the same file system the file is hashed
    where it lies and gets a hard link, which is verified like everything in the cache on each use.
    A file whose mode is not the cache's own is copied, so that nobody's permissions change.

    Raises:
        DownloadError: it is missing, or not the pinned file.
        OSError: it cannot be read or copied.
    """
    place = source.resolve()
    partial.unlink(missing_ok=True)
    if not place.is_file():
        raise DownloadError(Text("파일이 없습니다", "there is no such file"), where=str(source))
    before = place.stat()
    if before.st_size != size:
        raise _other(source, f"{before.st_size} ≠ {size} B")
    if before.st_mode & 0o777 == 0o644 and before.st_dev == partial.parent.stat().st_dev:
        digest = sha256_file(place, on_bytes)[1]
        if digest != sha256:
            raise _other(source, f"sha256:{digest}")
        if _linked(place, partial, before):
            return
        on_bytes(-size)
    digest = _copied(place, partial, on_bytes)
    if digest != sha256:
        partial.unlink()
        raise _other(source, f"sha256:{digest}")


def _linked(place: Path, partial: Path, before: os.stat_result) -> bool:
    """Give the file its second name, unless it changed since it was hashed or the system does not allow it."""
    try:
        os.link(place, partial)
    except OSError:
        return False
    after = partial.stat()
    same = (after.st_ino, after.st_size, after.st_mtime_ns) == (
        before.st_ino,
        before.st_size,
        before.st_mtime_ns,
    )
    if not same:
        partial.unlink()
    return same


def _copied(place: Path, partial: Path, on_bytes: OnBytes) -> str:
    digest = hashlib.sha256()
    with place.open("rb") as source, partial.open("wb") as stream:
        while piece := source.read(_PIECE):
            digest.update(piece)
            stream.write(piece)
            on_bytes(len(piece))
    return digest.hexdigest()


def _other(source: Path, fact: str) -> DownloadError:
    return DownloadError(
        Text("폴더의 파일이 고정된 것과 다릅니다", "the folder's file is not the pinned one"),
        where=f"{source} {fact}",
        hint=Text(
            "올바른 폴더인지 확인하십시오. 맞다면 'models pin 이름 --from 폴더'로 다시 고정하십시오",
            "check that it is the right folder; if so, pin it again with 'models pin NAME --from DIR'",
        ),
    )
