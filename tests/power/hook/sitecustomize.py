"""Loaded by the interpreter of an installer under test: writes down every operation on the disk, in one order.

Everything that changes files below RAGTRACE_POWER_ROOT goes through functions of `os` and through `open`; they are
wrapped here, and a lock makes one sequence of what several threads do. RAGTRACE_POWER_OUT gets `trace.jsonl`, a line
for each operation once it is done, and `blobs/`, the contents of files by their SHA-256 as they were when something
happened to them. Children (uv) are not seen at work: after each of them the tree is looked through, and what they
did counts as done in that moment, and as not synchronised, which is true of uv.

Files are told apart by numbers of our own, since the file system uses its inode numbers again.
"""

from __future__ import annotations

import builtins
import functools
import hashlib
import io
import json
import os
import stat
import subprocess
import threading
from collections.abc import Callable
from typing import Any

ROOT = os.environ.get("RAGTRACE_POWER_ROOT", "")
OUT = os.environ.get("RAGTRACE_POWER_OUT", "")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
# What is thrown away at the end of a run: its names are recorded, its contents are not.
SCRATCH = "/state/tmp/"
# Small files that are written in place: each write is a state of its own.
IN_PLACE = ("/state/", "/trust/", "/config/")

lock = threading.RLock()
real = {name: getattr(os, name) for name in (
    "open", "write", "close", "lstat", "fstat", "readlink", "scandir", "link", "symlink", "unlink", "rmdir",
    "mkdir", "rename", "replace", "remove", "chmod", "fchmod", "truncate", "ftruncate", "pwrite", "fsync",
)}  # fmt: skip
real_open = builtins.open


class Recorder:
    """The trace, and what it knows of the tree."""

    def __init__(self) -> None:
        self.next = 1
        self.numbers: dict[tuple[int, int], int] = {}
        self.tree: dict[str, int] = {}
        self.seen: dict[int, tuple[int, int, int]] = {}
        self.file = real["open"](
            os.path.join(OUT, "trace.jsonl"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644
        )
        os.makedirs(os.path.join(OUT, "blobs"), exist_ok=True)

    def log(self, **facts: object) -> None:
        """Write one line."""
        real["write"](self.file, json.dumps(facts).encode() + b"\n")

    def number(self, path: str, *, new: bool = False) -> int:
        """Return the number of what lies at a path; `new` where it was made a moment ago."""
        status = real["lstat"](path)
        key = (status.st_dev, status.st_ino)
        if new or key not in self.numbers:
            self.numbers[key] = self.next
            self.next += 1
        return self.numbers[key]

    def made(self, kind: str, path: str, **facts: object) -> None:
        """Something got a name."""
        number = self.number(path, new=True)
        mode = stat.S_IMODE(real["lstat"](path).st_mode)
        self.tree[path] = number
        self.log(op=kind, path=path, id=number, mode=mode, **facts)

    def contents(self, path: str) -> None:
        """Note the bytes and the mode of a file, or the mode of a folder, where they have changed."""
        try:
            status = real["lstat"](path)
        except OSError:
            return
        number = self.tree.get(path) or self.number(path)
        state = (status.st_size, status.st_mtime_ns, status.st_mode)
        if self.seen.get(number) == state:
            return
        self.seen[number] = state
        mode = stat.S_IMODE(status.st_mode)
        if stat.S_ISDIR(status.st_mode):
            self.log(op="data", id=number, mode=mode, blob=None)
        elif stat.S_ISREG(status.st_mode):
            blob = self.blob(path) if SCRATCH not in path else ""
            self.log(op="data", id=number, mode=mode, blob=blob)

    def blob(self, path: str) -> str:
        """Keep a file's bytes and return their digest."""
        with real_open(path, "rb") as stream:
            data = stream.read()
        digest = hashlib.sha256(data).hexdigest()
        place = os.path.join(OUT, "blobs", digest)
        if not os.path.exists(place):
            with real_open(place, "wb") as stream:
                stream.write(data)
        return digest

    def look(self, folder: str = ROOT) -> None:
        """Find what others did to the tree."""
        found: set[str] = set()
        self._look(folder, found)
        inside = folder + "/"
        for path in sorted((p for p in self.tree if p.startswith(inside) and p not in found), reverse=True):
            kind = "rmdir" if any(other.startswith(path + "/") for other in self.tree) else "unlink"
            del self.tree[path]
            self.log(op=kind, path=path)

    def _look(self, folder: str, found: set[str]) -> None:
        with real["scandir"](folder) as listing:
            entries = sorted(listing, key=lambda entry: entry.name)
        for entry in entries:
            path = entry.path
            found.add(path)
            status = real["lstat"](path)
            known = self.numbers.get((status.st_dev, status.st_ino))
            if path not in self.tree or self.tree[path] != known:
                if path in self.tree:
                    self.log(op="unlink", path=path)
                if stat.S_ISDIR(status.st_mode):
                    self.made("mkdir", path)
                elif stat.S_ISLNK(status.st_mode):
                    self.made("symlink", path, target=real["readlink"](path))
                elif known is not None and known in self.tree.values():
                    self.tree[path] = known
                    self.log(op="link", path=path, id=known)
                else:
                    self.made("create", path)
            if stat.S_ISDIR(status.st_mode):
                self._look(path, found)
            elif stat.S_ISREG(status.st_mode):
                self.contents(path)


def place_of(path: object, folder: object = None) -> str:
    """Return the absolute path of an argument; a descriptor is looked up. Empty for what is not ours."""
    try:
        if isinstance(path, int):
            text = real["readlink"](f"/proc/self/fd/{path}")
        else:
            text = os.fsdecode(path)  # type: ignore[arg-type]
            if isinstance(folder, int) and folder >= 0 and not os.path.isabs(text):
                text = os.path.join(real["readlink"](f"/proc/self/fd/{folder}"), text)
            text = os.path.abspath(text)
    except (OSError, TypeError, ValueError):
        return ""
    return text if text.startswith(ROOT + "/") or text == ROOT else ""


def wrap(name: str, wrapper: Any) -> None:
    """Put a function of `os` in the place of the real one, also in the sets that say what it can do."""
    for known in (os.supports_dir_fd, os.supports_fd, os.supports_follow_symlinks, os.supports_effective_ids):
        if real[name] in known:
            known.add(wrapper)
    setattr(os, name, wrapper)


def install(recorder: Recorder) -> None:
    """Wrap everything."""

    def opened(path: str, make: Callable[[], Any], writing: bool, truncating: bool) -> Any:
        if not path or not writing:
            return make()
        with lock:
            existed = os.path.lexists(path)
            result = make()
            if not existed:
                recorder.made("create", path)
            elif truncating:
                recorder.contents(path)
            return result

    @functools.wraps(real["open"])
    def os_open(path: Any, flags: Any, mode: Any = 0o777, *, dir_fd: Any = None) -> Any:
        place = place_of(path, dir_fd)
        make = functools.partial(real["open"], path, flags, mode, dir_fd=dir_fd)
        return opened(place, make, bool(flags & WRITING), bool(flags & os.O_TRUNC))

    @functools.wraps(real_open)
    def io_open(file: Any, mode: Any = "r", *rest: Any, **options: Any) -> Any:
        place = "" if isinstance(file, int) else place_of(file)
        writing = any(letter in mode for letter in "wax+")
        return opened(place, functools.partial(real_open, file, mode, *rest, **options), writing, "w" in mode)

    def entry(name: str, kind: str) -> None:
        @functools.wraps(real[name])
        def wrapped(path: Any, *rest: Any, dir_fd: Any = None, **options: Any) -> Any:
            place = place_of(path, dir_fd)
            keywords = {**options, **({} if dir_fd is None else {"dir_fd": dir_fd})}
            if not place:
                return real[name](path, *rest, **keywords)
            with lock:
                result = real[name](path, *rest, **keywords)
                if kind == "mkdir":
                    recorder.made("mkdir", place)
                else:
                    recorder.tree.pop(place, None)
                    recorder.log(op=kind, path=place)
                return result

        wrap(name, wrapped)

    def renaming(name: str) -> None:
        @functools.wraps(real[name])
        def wrapped(source: Any, target: Any, **options: Any) -> Any:
            before, after = place_of(source), place_of(target)
            if not before or not after:
                return real[name](source, target, **options)
            with lock:
                recorder.contents(before)
                result = real[name](source, target, **options)
                for path in [p for p in recorder.tree if p == after or p.startswith(after + "/")]:
                    del recorder.tree[path]
                for path in [p for p in recorder.tree if p == before or p.startswith(before + "/")]:
                    recorder.tree[after + path[len(before) :]] = recorder.tree.pop(path)
                recorder.log(op="rename", path=before, to=after)
                return result

        wrap(name, wrapped)

    def touching(name: str) -> None:
        @functools.wraps(real[name])
        def wrapped(target: Any, *rest: Any, **options: Any) -> Any:
            place = place_of(target, options.get("dir_fd"))
            if not place or (name in ("write", "pwrite") and not any(part in place for part in IN_PLACE)):
                return real[name](target, *rest, **options)
            with lock:
                result = real[name](target, *rest, **options)
                recorder.contents(place)
                return result

        wrap(name, wrapped)

    @functools.wraps(real["link"])
    def link(source: Any, target: Any, **options: Any) -> Any:
        before, after = place_of(source), place_of(target)
        if not before or not after:
            return real["link"](source, target, **options)
        with lock:
            recorder.contents(before)
            result = real["link"](source, target, **options)
            recorder.tree[after] = recorder.number(after)
            recorder.log(op="link", path=after, id=recorder.tree[after])
            return result

    @functools.wraps(real["symlink"])
    def symlink(target: Any, path: Any, *rest: Any, **options: Any) -> Any:
        place = place_of(path, options.get("dir_fd"))
        if not place:
            return real["symlink"](target, path, *rest, **options)
        with lock:
            result = real["symlink"](target, path, *rest, **options)
            recorder.made("symlink", place, target=os.fspath(target))
            return result

    @functools.wraps(real["fsync"])
    def fsync(descriptor: Any) -> Any:
        place = place_of(descriptor)
        if not place or not os.path.lexists(place):
            return real["fsync"](descriptor)
        with lock:
            recorder.contents(place)
            result = real["fsync"](descriptor)
            recorder.log(op="fsync", path=place, id=recorder.tree.get(place) or recorder.number(place))
            return result

    waiting = subprocess.Popen.wait

    @functools.wraps(waiting)
    def wait(self: Any, *rest: Any, **options: Any) -> Any:
        result = waiting(self, *rest, **options)
        with lock:
            recorder.look()
        return result

    for name, wrapper in (("open", os_open), ("link", link), ("symlink", symlink), ("fsync", fsync)):
        wrap(name, wrapper)
    builtins.open = io_open
    io.open = io_open
    for name, kind in (("mkdir", "mkdir"), ("rmdir", "rmdir"), ("unlink", "unlink"), ("remove", "unlink")):
        entry(name, kind)
    for name in ("rename", "replace"):
        renaming(name)
    for name in ("write", "pwrite", "chmod", "fchmod", "truncate", "ftruncate"):
        touching(name)
    subprocess.Popen.wait = wait  # type: ignore[method-assign]


if ROOT and OUT:
    recorder = Recorder()
    recorder.tree[ROOT] = recorder.number(ROOT)
    recorder.log(op="root", path=ROOT, id=recorder.tree[ROOT])
    recorder.look()
    recorder.log(op="begin")
    install(recorder)
