"""Unpack the bundled interpreter archive, member by member, into a generation."""

from __future__ import annotations

import hashlib
import os
import tarfile
from pathlib import Path, PurePosixPath
from typing import IO, Optional, Sequence, cast

from bundle import limits
from bundle.errors import IntegrityError, RestoredError
from bundle.manifest import FileEntry
from bundle.text import Text

from .children import minimal_environment, run_tied, tail
from .filesystem import make_directory

# python-build-standalone archives have about 5,000 members and unpack to about three times their size.
MEMBERS = 50_000
EXPANSION = 30


class _Hashing:
    """A reader that hashes what passes through it: the bytes unpacked are the bytes compared."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.stream = stream
        self.digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = self.stream.read(size)
        self.digest.update(data)
        return data


def unpack(archive: Path, entry: FileEntry, destination: Path) -> None:
    """Unpack a ``tar.gz`` of one top folder so that the folder's contents lie in `destination`.

    Only folders, regular files, and links that stay inside the tree are accepted. A file is created only
    in folders that this call made, so no member can be written through a link of another one.

    Raises:
        IntegrityError: a member is not acceptable, or the archive's bytes are not the declared ones.
    """
    tree = _Tree(destination, EXPANSION * entry.size)
    with open(archive, "rb", buffering=0) as raw:
        reader = _Hashing(raw)
        try:
            with tarfile.open(fileobj=_as_stream(reader), mode="r|gz", bufsize=limits.CHUNK_BYTES) as members:
                for member in members:
                    tree.add(members, member)
        except (tarfile.TarError, EOFError, ValueError, OverflowError) as error:
            raise _refusal(str(error), archive) from error
        while reader.read(limits.CHUNK_BYTES):
            pass
        if reader.digest.hexdigest() != entry.sha256:
            raise _refusal("the archive changed while it was read", archive)


def _as_stream(reader: _Hashing) -> IO[bytes]:
    # tarfile's stream mode needs nothing but read().
    return cast("IO[bytes]", reader)


def _refusal(reason: str, where: Path) -> IntegrityError:
    return IntegrityError(
        Text(f"파이썬 아카이브를 풀 수 없습니다: {reason}", f"the Python archive is refused: {reason}"),
        where=str(where),
        hint=Text("번들을 다시 반입하십시오", "carry the bundle in again"),
    )


class _Tree:
    def __init__(self, root: Path, cap: int) -> None:
        self.root = root
        self.room = cap
        self.count = 0
        self.folders: set[PurePosixPath] = set()
        self.files: set[PurePosixPath] = set()
        make_directory(root)

    def add(self, archive: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        """Create one member, or refuse it."""
        self.count += 1
        if self.count > MEMBERS:
            raise ValueError("too many members")
        path = _inner(member.name)
        if path is None:
            return
        if member.isdir():
            self._folder(path)
            return
        self._folder(path.parent)
        if member.isreg():
            self._file(path, archive.extractfile(member), member)
        elif member.issym():
            self._link(path, member.linkname)
        elif member.islnk():
            self._second_name(path, member.linkname)
        else:
            raise ValueError(f"member {member.name!r} is neither file, folder nor link")

    def _folder(self, path: PurePosixPath) -> None:
        if path in self.folders or not path.parts:
            return
        self._folder(path.parent)
        make_directory(self.root / path)
        self.folders.add(path)

    def _file(self, path: PurePosixPath, source: Optional[IO[bytes]], member: tarfile.TarInfo) -> None:
        self.room -= member.size
        if source is None or self.room < 0:
            raise ValueError("unpacks to more than the limit")
        mode = 0o755 if member.mode & 0o111 else 0o644
        descriptor = os.open(
            self.root / path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), mode
        )
        with open(descriptor, "wb") as target:
            for piece in iter(lambda: source.read(limits.CHUNK_BYTES), b""):
                target.write(piece)
        self.files.add(path)

    def _link(self, path: PurePosixPath, target: str) -> None:
        pointed = os.path.normpath(os.path.join("/top", *path.parent.parts, target))
        if os.path.isabs(target) or not (pointed + "/").startswith("/top/"):
            raise ValueError(f"link {str(path)!r} leads out of the tree")
        os.symlink(target, self.root / path)

    def _second_name(self, path: PurePosixPath, target: str) -> None:
        other = _inner(target)
        if other not in self.files or other is None:
            raise ValueError(f"hard link {str(path)!r} to something that is not in the archive")
        os.link(self.root / other, self.root / path)
        self.files.add(path)


def _inner(name: str) -> Optional[PurePosixPath]:
    """Return a member's path without the top folder; None for the top folder itself."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\x00" in name:
        raise ValueError(f"member {name!r} leads out of the tree")
    return PurePosixPath(*path.parts[1:]) if len(path.parts) > 1 else None


def settle(folder: Path, log: Path, descriptors: Sequence[int]) -> None:
    """Compile what an interpreter imports before anything can tell it not to write: its encodings. Whoever runs it later
    would else add files to the release. That it runs at all is seen here, too.

    Raises:
        RestoredError: it does not run on this host, with what it said.
    """
    library = folder / "Lib" if os.name == "nt" else next(folder.glob("lib/python3*"), folder / "lib")
    words = ["-I", "-S", "-B", "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash"]
    command = [str(executable(folder)), *words, str(library / "encodings")]
    if run_tied(command, minimal_environment({}), log, descriptors) != 0:
        raise RestoredError(
            Text(
                "번들의 파이썬이 이 호스트에서 실행되지 않습니다",
                "the Python in the bundle does not run on this host",
            ),
            where=str(folder),
            details=[Text(line, line) for line in tail(log, 5).splitlines()],
            hint=Text(
                "맞는 파이썬을 설치해 --python으로 지정하거나 이 호스트용 파이썬이 든 번들을 반입하십시오",
                "install a fitting Python and name it with --python, or carry in a bundle with one for this host",
            ),
        )


def executable(folder: Path) -> Path:
    """Return the interpreter inside an unpacked archive."""
    return folder / "python.exe" if os.name == "nt" else folder / "bin" / "python3"
