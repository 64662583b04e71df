"""A disk that forgets: what may be left of a recorded run when the power goes at one moment of it.

The model is POSIX, which is weaker than any file system we meet:

- The bytes and the mode of a file are safe once `fsync` of *that file* has returned. Until then they may be lost (the
  file is empty, or what it was at its last `fsync`), whole, or torn: a prefix, or blocks of zeros, in any mixture with
  what was there before.
- A name (of a file, a link, a folder; made, renamed, removed) is safe once `fsync` of *the folder* it is in has
  returned. Until then each change may be lost or kept, in any combination: nothing says that they reach the disk in
  the order in which they were made. `fsync` of a file does not make its name safe, and that of a folder does not
  make safe what lies in the folders below it, nor the folder's own name.
- `rename` within a folder is one change: afterwards the old or the new file has the name, never none. Between two
  folders the new name may be there without the old one having gone, but not the other way round.
- `sync` promises nothing (POSIX: writing is scheduled, not done).

ext4 with `data=ordered` gives more: changes of names reach its journal in order, so a later one never survives an
earlier one; `fsync` of a new file takes its name along; blocks are written before a size that includes them, so there
are no zeros at the end of a file that grew; a rename over a file writes the new file's blocks out first. XFS and btrfs
give different parts of that. Nothing here relies on any of it: what the installer does must be enough for the weaker
model. What no model covers: a disk that says "synchronised" and lies, and damage to what was safe already.
"""

from __future__ import annotations

import functools
import hashlib
import os
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

Operation = Mapping[str, Any]
BLOCK = 512


@dataclass(frozen=True)
class Version:
    """What a file, or a folder's mode, was at some moment."""

    blob: str
    mode: int


@dataclass
class Inode:
    """One file, link or folder: the version that is safe, and those that came after it."""

    kind: str
    mode: int
    target: str = ""
    safe: Optional[Version] = None
    later: list[Version] = field(default_factory=list)
    entries: dict[str, int] = field(default_factory=dict)
    pending: list[Change] = field(default_factory=list)


@dataclass(frozen=True)
class Change:
    """A name that now means another inode, or none. `after` is a change that must be kept if this one is."""

    number: int
    name: str
    inode: Optional[int]
    also: Optional[tuple[str, Optional[int]]] = None
    after: Optional[int] = None


class Cut:
    """The disk at one moment of a recorded run."""

    def __init__(self, operations: Sequence[Operation], moment: int) -> None:
        self.inodes: dict[int, Inode] = {}
        self.names: dict[str, int] = {}
        self.changes = 0
        self.root = ""
        begun = False
        for operation in operations[:moment]:
            begun = begun or operation["op"] == "begin"
            self._do(operation)
            if operation["op"] == "begin":
                self._all_safe()

    def _all_safe(self) -> None:
        for inode in self.inodes.values():
            for change in inode.pending:
                _apply(inode.entries, change)
            inode.pending = []
            if inode.later:
                inode.safe, inode.later = inode.later[-1], []

    def _do(self, operation: Operation) -> None:
        kind = operation["op"]
        if kind == "root":
            self.root = operation["path"]
            self.inodes[operation["id"]] = Inode("mkdir", 0o755)
            self.names[self.root] = operation["id"]
        elif kind in ("create", "mkdir", "symlink"):
            number = operation["id"]
            self.inodes[number] = Inode(kind, operation["mode"], operation.get("target", ""))
            self._name(operation["path"], number)
        elif kind == "link":
            self._name(operation["path"], operation["id"])
        elif kind in ("unlink", "rmdir"):
            self._name(operation["path"], None)
        elif kind == "rename":
            self._rename(operation["path"], operation["to"])
        elif kind == "data":
            inode = self.inodes[operation["id"]]
            inode.later.append(Version(operation["blob"] or "", operation["mode"]))
        elif kind == "fsync":
            self._sync(self.inodes[operation["id"]])

    def _sync(self, inode: Inode) -> None:
        if inode.later:
            inode.safe, inode.later = inode.later[-1], []
        elif inode.safe is None:
            inode.safe = Version("", inode.mode)
        for change in inode.pending:
            _apply(inode.entries, change)
        inode.pending = []

    def _folder(self, path: str) -> Inode:
        return self.inodes[self.names[os.path.dirname(path)]]

    def _name(self, path: str, number: Optional[int], **facts: Any) -> Change:
        self.changes += 1
        change = Change(self.changes, os.path.basename(path), number, **facts)
        self._folder(path).pending.append(change)
        if number is None:
            self.names.pop(path, None)
        else:
            self.names[path] = number
        return change

    def _rename(self, before: str, after: str) -> None:
        number = self.names[before]
        if os.path.dirname(before) == os.path.dirname(after):
            self._name(after, number, also=(os.path.basename(before), None))
            self.names.pop(before, None)
        else:
            made = self._name(after, number)
            self._name(before, None, after=made.number)
        inside = before + "/"
        for path in [path for path in self.names if path.startswith(inside)]:
            self.names[after + "/" + path[len(inside) :]] = self.names.pop(path)

    def unsafe(self) -> int:
        """Return how much could be lost now."""
        return sum(len(inode.pending) + bool(inode.later) for inode in self.inodes.values())


def _apply(entries: dict[str, int], change: Change) -> None:
    for name, number in ((change.name, change.inode), change.also or (change.name, change.inode)):
        if number is None:
            entries.pop(name, None)
        else:
            entries[name] = number


@dataclass(frozen=True)
class Fate:
    """What becomes of everything that is not safe."""

    name: str
    keep: Callable[[random.Random], bool]
    contents: Callable[[random.Random], str]
    seed: int = 0


FATES = (
    Fate("all lost", lambda chance: False, lambda chance: "safe"),
    Fate("all kept", lambda chance: True, lambda chance: "last"),
    Fate("names without contents", lambda chance: True, lambda chance: "safe"),
    Fate("names with torn contents", lambda chance: True, lambda chance: "torn"),
    Fate("contents without names", lambda chance: False, lambda chance: "last"),
)


def chance_fate(seed: int) -> Fate:
    """Return a fate in which chance decides for everything on its own."""
    return Fate(
        f"chance {seed}",
        lambda chance: chance.random() < 0.5,
        lambda chance: chance.choice(("safe", "last", "torn")),
        seed,
    )


@dataclass(frozen=True)
class Node:
    """One path of what is left: a folder, a link, or a file. `inode` is shared by the names of one file."""

    kind: str
    mode: int
    target: str = ""
    contents: bytes = b""
    inode: int = 0


def survivors(cut: Cut, fate: Fate, blobs: Path) -> dict[str, Node]:
    """Return what is left, by path below the recorded root, folders before what is in them."""
    chance = random.Random(fate.seed * 1_000_003 + cut.changes)
    kept: dict[int, bool] = {}
    for number in sorted(change.number for inode in cut.inodes.values() for change in inode.pending):
        kept[number] = fate.keep(chance)
    nodes: dict[str, Node] = {}
    files: dict[int, Node] = {}

    def add(number: int, path: str) -> None:
        inode = cut.inodes[number]
        if inode.kind == "mkdir":
            nodes[path] = Node("folder", _mode(inode, fate, chance))
            entries = dict(inode.entries)
            for change in inode.pending:
                # Between two folders the old name goes only where the new one is there.
                if kept[change.number] and kept.get(change.after or 0, True):
                    _apply(entries, change)
            for name, inner in sorted(entries.items()):
                add(inner, f"{path}/{name}")
        elif inode.kind == "symlink":
            nodes[path] = Node("link", 0o777, inode.target)
        else:
            if number not in files:
                contents = _contents(inode, fate, chance, blobs)
                files[number] = Node("file", _mode(inode, fate, chance), "", contents, number)
            nodes[path] = files[number]

    add(cut.names[cut.root], "")
    return nodes


def signature(nodes: Mapping[str, Node]) -> str:
    """Return what tells two disks apart."""
    digest = hashlib.sha256()
    for path, node in nodes.items():
        digest.update(repr((path, node.kind, node.mode, node.target, len(node.contents))).encode())
        digest.update(node.contents)
    return digest.hexdigest()


def write(nodes: Mapping[str, Node], place: Path) -> None:
    """Make it real at `place`, which stands for the recorded root and must not exist."""
    written: dict[int, str] = {}
    for path, node in nodes.items():
        target = str(place) + path
        if node.kind == "folder":
            os.mkdir(target)
        elif node.kind == "link":
            os.symlink(node.target, target)
        elif node.inode in written:
            os.link(written[node.inode], target)
        else:
            written[node.inode] = target
            descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            os.write(descriptor, node.contents)
            os.fchmod(descriptor, node.mode)
            os.close(descriptor)
    for path, node in nodes.items():
        if node.kind == "folder":
            os.chmod(str(place) + path, node.mode)


def _mode(inode: Inode, fate: Fate, chance: random.Random) -> int:
    last = inode.later[-1] if inode.later else inode.safe
    if last is None or (inode.later and fate.contents(chance) == "safe"):
        return inode.safe.mode if inode.safe is not None else inode.mode
    return last.mode


def _contents(inode: Inode, fate: Fate, chance: random.Random, blobs: Path) -> bytes:
    def load(version: Optional[Version]) -> bytes:
        return _blob(blobs / version.blob) if version is not None and version.blob else b""

    safe = load(inode.safe)
    if not inode.later:
        return safe
    version = chance.choice(inode.later)
    how = fate.contents(chance)
    if how == "safe":
        return safe
    if how == "last":
        return load(inode.later[-1])
    return torn(safe, load(version), chance)


@functools.lru_cache(maxsize=4096)
def _blob(path: Path) -> bytes:
    return path.read_bytes()


def torn(before: bytes, after: bytes, chance: random.Random) -> bytes:
    """Return a mixture of what was there and what was written: some blocks new, some old or zero, perhaps short."""
    # What was only added to keeps what was safe: no later append takes it back.
    least = len(before) if after.startswith(before) else 0
    size = chance.choice((len(after), len(after), chance.randint(least, len(after))))
    mixed = bytearray(before[:size].ljust(size, b"\0"))
    for begin in range(0, size, BLOCK):
        if chance.random() < 0.5:
            mixed[begin : begin + BLOCK] = after[begin : begin + BLOCK][: size - begin]
    return bytes(mixed)
