"""Copy or read a tree that belongs to another user, exactly, and never through a link.

The service's user may change what lies below its folder while root reads it, so every name is opened relative to
the folder it was found in. Nobody but the installer may write to the destination.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Callable, Collection, Iterator, Optional

from bundle import limits

from .filesystem import give, make_directory, remove_tree

_READ = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_WRITE = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
# ioctl(FICLONE) of Linux: the copy shares its blocks with the original until one of them is written to.
_FICLONE = 0x40049409
_RELATIVE = os.open in os.supports_dir_fd and os.listdir in os.supports_fd


@dataclass(frozen=True)
class Entry:
    """One path: a file (size, digest, time), a link (target) or a folder, with its owner and permission bits."""

    path: str
    mode: int
    uid: int
    gid: int
    size: int = 0
    sha256: str = ""
    mtime_ns: int = 0
    target: Optional[str] = None

    @property
    def is_file(self) -> bool:
        """Whether it is a regular file."""
        return bool(self.sha256)


class _Folder:
    """An open folder; `at` gives the arguments by which `os` reaches a name in it."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self.descriptor = descriptor

    @classmethod
    def open(cls, path: Path) -> _Folder:
        return cls(path, os.open(path, _READ | os.O_DIRECTORY) if _RELATIVE else -1)

    def at(self, name: str) -> dict[str, Any]:
        if _RELATIVE:
            return {"path": name, "dir_fd": self.descriptor}
        return {"path": self.path / name}

    def names(self) -> list[str]:
        return sorted(os.listdir(self.descriptor if _RELATIVE else self.path))

    def inner(self, name: str) -> _Folder:
        descriptor = os.open(**self.at(name), flags=_READ | os.O_DIRECTORY) if _RELATIVE else -1
        return _Folder(self.path / name, descriptor)

    def status(self) -> os.stat_result:
        return os.fstat(self.descriptor) if _RELATIVE else self.path.lstat()

    def __enter__(self) -> _Folder:
        return self

    def __exit__(self, *_: object) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)


def read_tree(folder: Path, skip: Collection[str] = ()) -> list[Entry]:
    """Return everything below a folder, read from disk; `skip` names top entries that are left out.

    Raises:
        OSError: something cannot be read, or is neither file, folder nor link.
    """
    with _Folder.open(folder) as opened:
        return list(_entries(opened, "", None, skip, None))


def copy_tree(
    folder: Path,
    destination: Path,
    skip: Collection[str] = (),
    on_bytes: Optional[Callable[[int], None]] = None,
) -> list[Entry]:
    """Copy everything below `folder` into `destination`, which exists, and return what was copied.

    Bytes, names, owners, permissions and the times of files are kept; a file with several names becomes several
    files. Nothing is synchronised.

    Raises:
        OSError: as `read_tree`; a name exists already; an owner cannot be kept.
    """
    with _Folder.open(folder) as opened:
        return list(_entries(opened, "", destination, skip, on_bytes))


def _entries(
    folder: _Folder,
    prefix: str,
    destination: Optional[Path],
    skip: Collection[str],
    on_bytes: Optional[Callable[[int], None]],
) -> Iterator[Entry]:
    for name in folder.names():
        if name in skip:
            continue
        status = os.stat(**folder.at(name), follow_symlinks=False)
        path, goal = prefix + name, None if destination is None else destination / name
        if stat.S_ISDIR(status.st_mode):
            with folder.inner(name) as inner:
                status = inner.status()
                if goal is not None:
                    make_directory(goal, 0o700)
                yield from _entries(inner, path + "/", goal, (), on_bytes)
            entry = _entry(path, status)
        elif stat.S_ISLNK(status.st_mode):
            entry = replace(_entry(path, status), target=os.readlink(**folder.at(name)))
            if goal is not None and entry.target is not None:
                os.symlink(entry.target, goal)
        elif stat.S_ISREG(status.st_mode):
            entry = _file(folder, name, path, goal, on_bytes)
        else:
            raise OSError(errno.EINVAL, "neither file, folder nor link", path)
        if goal is not None:
            dress(goal, entry)
        yield entry


def _entry(path: str, status: os.stat_result) -> Entry:
    return Entry(path, stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid)


def _file(
    folder: _Folder,
    name: str,
    path: str,
    goal: Optional[Path],
    on_bytes: Optional[Callable[[int], None]],
) -> Entry:
    with open(os.open(**folder.at(name), flags=_READ), "rb", buffering=0) as source:
        status = os.fstat(source.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "neither file, folder nor link", path)
        if goal is None:
            size, digest = _digest(source.fileno(), None, on_bytes)
        else:
            with open(os.open(goal, _WRITE, 0o600), "wb", buffering=0) as target:
                if _clone(source.fileno(), target.fileno()):
                    size, digest = _digest(target.fileno(), None, on_bytes)
                else:
                    size, digest = _digest(source.fileno(), target.fileno(), on_bytes)
    return replace(_entry(path, status), size=size, sha256=digest, mtime_ns=status.st_mtime_ns)


def _clone(source: int, target: int) -> bool:
    """Let `target` share the blocks of `source`; return False where the file system cannot."""
    if sys.platform != "linux":
        return False
    import fcntl

    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError:
        return False
    return True


def _digest(source: int, target: Optional[int], on_bytes: Optional[Callable[[int], None]]) -> tuple[int, str]:
    """Read a file to its end and hash it, writing what was read to `target`."""
    digest, size = hashlib.sha256(), 0
    while True:
        piece = os.read(source, limits.CHUNK_BYTES)
        if not piece:
            return size, digest.hexdigest()
        digest.update(piece)
        size += len(piece)
        view = memoryview(piece)
        while target is not None and view:
            view = view[os.write(target, view) :]
        if on_bytes is not None:
            on_bytes(len(piece))


def dress(path: Path, entry: Entry) -> None:
    """Give a file, folder or link the owner, permissions and time that were noted."""
    if os.name == "posix":
        give(path, entry.uid, entry.gid)
    if entry.target is None:
        # After the owner: a change of owner takes the set-id bits away.
        os.chmod(path, entry.mode)
    if entry.is_file:
        os.utime(path, ns=(entry.mtime_ns, entry.mtime_ns))


def clear(folder: Path, skip: Collection[str] = ()) -> None:
    """Remove everything below a folder but the top entries in `skip`; links are removed, not followed."""
    for name in sorted(os.listdir(folder)):
        if name in skip:
            continue
        try:
            remove_tree(folder / name)
        except PermissionError:
            # Not root, and a folder of ours that may not be written to.
            for inner, _, _ in os.walk(folder / name):
                os.chmod(inner, 0o700)
            remove_tree(folder / name)


def measure(folder: Path, skip: Collection[str] = ()) -> tuple[int, int, str]:
    """Return the number and bytes of the files below a folder, and one path that is neither file, folder nor link."""
    files, size, odd = 0, 0, ""
    for path, status in _statuses(folder, "", skip):
        if stat.S_ISREG(status.st_mode):
            files, size = files + 1, size + status.st_size
        elif not (stat.S_ISDIR(status.st_mode) or stat.S_ISLNK(status.st_mode)):
            odd = odd or path
    return files, size, odd


def changes(folder: Path, before: Collection[Entry], skip: Collection[str] = ()) -> tuple[int, int]:
    """Return how many files below a folder are new, changed or gone against `before`, and the bytes of the first two.

    Sizes and times are compared, no bytes are read.
    """
    known = {entry.path: (entry.size, entry.mtime_ns) for entry in before if entry.is_file}
    count, size = 0, 0
    for path, status in _statuses(folder, "", skip):
        if not stat.S_ISREG(status.st_mode):
            continue
        if known.pop(path, None) != (status.st_size, status.st_mtime_ns):
            count, size = count + 1, size + status.st_size
    return count + len(known), size


def newest(folder: Path, skip: Collection[str] = ()) -> int:
    """Return the latest time, in nanoseconds, at which a file below a folder was written."""
    times = (s.st_mtime_ns for _, s in _statuses(folder, "", skip) if stat.S_ISREG(s.st_mode))
    return max(times, default=0)


def _statuses(folder: Path, prefix: str, skip: Collection[str]) -> Iterator[tuple[str, os.stat_result]]:
    with os.scandir(folder) as listing:
        for entry in listing:
            if entry.name in skip:
                continue
            status = entry.stat(follow_symlinks=False)
            yield prefix + entry.name, status
            if stat.S_ISDIR(status.st_mode):
                yield from _statuses(Path(entry.path), f"{prefix}{entry.name}/", ())
