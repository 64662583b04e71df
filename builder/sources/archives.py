"""Source archives (tar and zip): checked when they enter the cache, unpacked member by member for a build."""

from __future__ import annotations

import bz2
import gzip
import lzma
import posixpath
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from bundle import limits
from bundle import ziparchive as zips
from bundle.errors import BuildError
from bundle.text import Text
from bundle.zipstructure import Malformed, Problem

from ..wheels import catalogue
from .trees import SourceTree

SUFFIXES = (".tar.gz", ".tgz", ".zip", ".tar.bz2", ".tar.xz", ".tar")
_PIECE = 1 << 20
# Nothing that tarfile reads at once - a header, a long name - is ever this long.
_AT_ONCE = 16 << 20
# OverflowError: tarfile takes any number for the length of a pax record.
_UNREADABLE = (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, ValueError, OverflowError, OSError)


def check(path: Path, filename: str) -> None:
    """Check a source archive as it enters the cache: every member is read, none is written.

    Raises:
        BuildError: everything that is wrong with it.
    """
    problems = problems_of(path, filename)
    if problems:
        raise _unsound(filename, problems)


def problems_of(path: Path, filename: str) -> list[Problem]:
    """Return what is wrong with a source archive."""
    try:
        if filename.endswith(".zip"):
            with zips.opened(path) as archive:
                for packed in archive.files() if not archive.problems else ():
                    for _ in archive.pieces(packed):
                        continue
                return archive.problems
        seen: set[str] = set()
        with path.open("rb") as stream:
            for name, member, _ in _tar_members(stream, path.stat().st_size):
                if name in seen:
                    raise Malformed("tar-name", f"{name!r} is there twice")
                if not member.isdir():
                    seen.add(name)
    except Malformed as error:
        return [error.problem]
    return []


def unpack(path: Path, filename: str, tree: SourceTree) -> None:
    """Write the archive's files into `tree`.

    Raises:
        BuildError: it is not sound.
    """
    try:
        if filename.endswith(".zip"):
            _unpack_zip(path, tree)
        else:
            _unpack_tar(path, tree)
        tree.finish()
    except Malformed as error:
        raise _unsound(filename, [error.problem]) from error


def _unpack_zip(path: Path, tree: SourceTree) -> None:
    with zips.opened(path) as archive:
        if archive.problems:
            raise Malformed(*archive.problems[0])
        for member in archive.files():
            tree.add(member.name, archive.pieces(member), bool(member.mode & 0o100))


def _unpack_tar(path: Path, tree: SourceTree) -> None:
    with path.open("rb") as stream:
        for name, member, contents in _tar_members(stream, path.stat().st_size):
            if member.issym():
                tree.add_link(name, member.linkname)
            elif member.islnk():
                # A hard link names its target from the archive's root.
                tree.add_link(name, posixpath.relpath(member.linkname, posixpath.dirname(name) or "."))
            elif contents is not None:
                tree.add(name, _pieces(contents), bool(member.mode & 0o100))


def _tar_members(stream: BinaryIO, size: int) -> Iterator[tuple[str, tarfile.TarInfo, BinaryIO | None]]:
    """Yield name, member and contents of everything in a tar file, each checked before it is given out."""
    limit = size * zips.RATIO + zips.ALLOWANCE
    try:
        capped = cast(BinaryIO, _Capped(_decompressed(stream), limit))
        with tarfile.open(fileobj=capped, mode="r:") as archive:
            count = 0
            while (member := archive.next()) is not None:
                count += 1
                archive.members = []  # type: ignore[attr-defined]  # tarfile would remember every one
                name = posixpath.normpath(member.name) if member.name.startswith("./") else member.name
                if member.isdir() and name in (".", ""):
                    continue
                _check_member(name, member, count)
                contents = archive.extractfile(member) if member.isreg() else None
                yield name, member, cast("BinaryIO | None", contents)
    except _UNREADABLE as error:
        raise Malformed("tar-readable", str(error) or type(error).__name__) from error


def _check_member(name: str, member: tarfile.TarInfo, count: int) -> None:
    wrong = zips.name_problem(name)
    if wrong:
        raise Malformed("tar-name", f"{name!r} {wrong}")
    if count > limits.FILES:
        raise Malformed("tar-bomb", f"more than {limits.FILES} members")
    if member.issparse() or not (member.isreg() or member.isdir() or member.issym() or member.islnk()):
        raise Malformed("tar-link", f"{name!r} is neither file nor folder")
    if member.issym() or member.islnk():
        start = posixpath.dirname(name) if member.issym() else ""
        target = posixpath.normpath(posixpath.join(start, member.linkname))
        if member.linkname.startswith("/") or zips.name_problem(target):
            raise Malformed("tar-link", f"{name!r} leads to {member.linkname!r}")


def _decompressed(stream: BinaryIO) -> BinaryIO:
    magic = stream.read(6)
    stream.seek(0)
    if magic.startswith(b"\x1f\x8b"):
        return cast(BinaryIO, gzip.GzipFile(fileobj=stream))
    if magic.startswith(b"BZh"):
        return cast(BinaryIO, bz2.BZ2File(stream))
    if magic.startswith(b"\xfd7zXZ"):
        return cast(BinaryIO, lzma.LZMAFile(stream))
    return stream


class _Capped:
    """A stream that gives out at most so many bytes in all: the guard against bombs."""

    def __init__(self, stream: BinaryIO, limit: int) -> None:
        self._stream = stream
        self._limit = limit

    def read(self, count: int = -1) -> bytes:
        if count < 0 or count > _AT_ONCE:
            raise Malformed("tar-bomb", f"a piece of {count} bytes")
        data = self._stream.read(count)
        if self._stream.tell() > self._limit:
            raise Malformed("tar-bomb", f"unpacks to more than {self._limit} bytes")
        return data

    def seek(self, place: int, whence: int = 0) -> int:
        return self._stream.seek(place, whence)

    def tell(self) -> int:
        return self._stream.tell()


def _pieces(contents: BinaryIO) -> Iterator[bytes]:
    while True:
        try:
            piece = contents.read(_PIECE)
        except _UNREADABLE as error:
            raise Malformed("tar-readable", str(error) or type(error).__name__) from error
        if not piece:
            return
        yield piece


def _unsound(filename: str, problems: list[Problem]) -> BuildError:
    return BuildError(
        Text(
            f"소스 아카이브가 올바르지 않습니다: {filename}", f"the source archive is not sound: {filename}"
        ),
        details=catalogue.lines(problems),
        hint=Text(
            "다른 버전을 잠그거나 배포자에게 알리십시오", "lock another version, or tell whoever publishes it"
        ),
    )
