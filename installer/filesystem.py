"""Every way in which the installer changes a disk, beside `bundle.atomic` and `bundle.hashing.copy_hashed`."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import sys
from pathlib import Path, PureWindowsPath
from typing import BinaryIO, Optional

from bundle.atomic import fsync_directory, patiently

_PLAIN = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


def extended(path: Path, system: str = os.name) -> str:
    """Return a path as Windows takes it whatever its length; as it is elsewhere, and where it is relative."""
    text = str(path)
    if system != "nt" or text.startswith("\\\\?\\") or not PureWindowsPath(text).is_absolute():
        return text
    if text.startswith("\\\\"):
        return "\\\\?\\UNC\\" + text[2:]
    return "\\\\?\\" + text


def plain_path(path: Path, system: str = os.name) -> Path:
    """Return a path without that prefix: programs that are started with it do not know it."""
    text = str(path)
    if system != "nt" or not text.startswith("\\\\?\\"):
        return path
    return Path("\\\\" + text[8:]) if text[4:8].upper() == "UNC\\" else Path(text[4:])


def make_directory(path: Path, mode: int = 0o755) -> bool:
    """Create one folder with exactly `mode`; return False where a real folder was there already.

    Raises:
        NotADirectoryError: something else, a link included, has the name.
    """
    try:
        os.mkdir(path, mode)
    except FileExistsError:
        if not stat.S_ISDIR(path.lstat().st_mode):
            raise NotADirectoryError(f"not a folder: {path}") from None
        return False
    if stat.S_IMODE(path.lstat().st_mode) != mode:
        os.chmod(path, mode)
    return True


def make_directories(path: Path, mode: int = 0o755) -> None:
    """Create a folder and the missing ones above it; links above it, such as ``/var/run``, are followed."""
    if path.is_dir():
        return
    make_directories(path.parent, mode)
    make_directory(path, mode)


def remove_file(path: Path) -> None:
    """Remove a file or a link (never what it points to) if it is there, durably."""
    try:
        patiently(lambda: os.unlink(path))
    except (FileNotFoundError, NotADirectoryError):
        return
    fsync_directory(path.parent)


def remove_tree(path: Path) -> None:
    """Remove a folder with everything in it, without following a link anywhere.

    A link in the place of the folder is removed itself.
    """
    try:
        status = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return
    if not stat.S_ISDIR(status.st_mode):
        remove_file(path)
        return
    patiently(lambda: shutil.rmtree(extended(path)))


def remove_empty(path: Path) -> None:
    """Remove a folder if it is there and empty."""
    try:
        if not any(path.iterdir()):
            patiently(lambda: os.rmdir(path))
    except (FileNotFoundError, NotADirectoryError):
        return


def replace_link(path: Path, target: str) -> None:
    """Point a symbolic link at `target` by one rename, unless it already does.

    Raises:
        FileExistsError: something that is not a link has the name.
    """
    if path.is_symlink():
        if os.readlink(path) == target:
            return
    elif os.path.lexists(path):
        raise FileExistsError(f"not a symbolic link: {path}")
    temporary = path.with_name(f".{path.name}.new")
    remove_file(temporary)
    try:
        os.symlink(target, temporary)
        patiently(lambda: os.replace(temporary, path))
    except BaseException:
        remove_file(temporary)
        raise
    fsync_directory(path.parent)


def link_file(source: Path, destination: Path) -> bool:
    """Give a file a second name; return False where the file system has no hard links."""
    try:
        os.link(source, destination)
    except OSError as error:
        if error.errno in (errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.EXDEV, errno.ENOSYS):
            return False
        raise
    return True


def read_plain(path: Path) -> Optional[bytes]:
    """Return a file's bytes, None where there is none. A link is an error: the folders of the service's user
    are read and written by root too, and must not lead it elsewhere."""
    try:
        descriptor = os.open(path, os.O_RDONLY | _PLAIN)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise OSError(errno.ELOOP, "a symbolic link is not accepted here", str(path)) from error
        raise
    with open(descriptor, "rb") as stream:
        return stream.read()


def open_log(path: Path) -> BinaryIO:
    """Begin a log file anew, never through a link."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | _PLAIN, 0o640)
    return open(descriptor, "wb")


def give(path: Path, uid: int, gid: int) -> None:
    """Hand one file, folder or link (not its target) to a user, where it is not theirs already.

    A file with a second name is left alone: one of the names may lie elsewhere.
    """
    if sys.platform == "win32":
        return
    status = path.lstat()
    if stat.S_ISREG(status.st_mode) and status.st_nlink > 1:
        return
    if (status.st_uid, status.st_gid) != (uid, gid):
        os.chown(path, uid, gid, follow_symlinks=False)


def give_tree(path: Path, uid: int, gid: int) -> None:
    """Hand a folder and everything below it to a user; links are not followed."""
    for folder, folders, files in os.walk(path):
        for name in [*folders, *files]:
            give(Path(folder, name), uid, gid)
    give(path, uid, gid)
