"""`store/sha256/`: everything releases were made from, by content.

Model files lie in releases as hard links, so an upgrade copies no weights; the rest is what a delta or a
repair needs again. A name here is a promise and nothing more: whoever takes content out of the store has it
read and compared first, once in a run (`Shelf`).
"""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Callable, Iterable, Iterator, Optional, Set

from bundle import layout
from bundle.atomic import fsync_files, write_atomic
from bundle.hashing import copy_hashed, sha256_bytes, sha256_file
from bundle.manifest import FileEntry, manifest_digest
from bundle.unpacking import write_new

from . import sealed
from .filesystem import link_file, make_directory, remove_empty, remove_file, remove_tree
from .paths import Prefix

# One mode for all: hard links share it.
MODE = 0o644
_TEMPORARY = ".new"
OnBytes = Optional[Callable[[int], None]]


def object_path(prefix: Prefix, sha256: str) -> Path:
    """Return where the content with this digest lies."""
    return prefix.store / sha256[:2] / sha256


def is_present(prefix: Prefix, entry: FileEntry) -> bool:
    """Return whether there is something of the right size under the content's name; its bytes are not read."""
    try:
        status = object_path(prefix, entry.sha256).lstat()
    except OSError:
        return False
    return stat.S_ISREG(status.st_mode) and status.st_size == entry.size


def lacking(prefix: Prefix, entries: Iterable[FileEntry]) -> list[FileEntry]:
    """Return the entries whose content is not there, each content once; bytes are not read."""
    unique = {entry.sha256: entry for entry in entries}
    return [entry for entry in unique.values() if not is_present(prefix, entry)]


def place(prefix: Prefix, entry: FileEntry, destination: Path) -> bool:
    """Give stored content a name elsewhere: a hard link, or a copy where there are none; return whether it is
    a link."""
    stored = object_path(prefix, entry.sha256)
    if link_file(stored, destination):
        return True
    copy_hashed(stored, destination, MODE, (entry.size, entry.sha256))
    return False


class Shelf:
    """The store during one run: what this run has read or written itself is not read again."""

    def __init__(self, prefix: Prefix) -> None:
        self.prefix = prefix
        # By digest; only what was found intact or written here.
        self._seen: Set[str] = set()

    def path(self, entry: FileEntry) -> Path:
        """Return where the content lies."""
        return object_path(self.prefix, entry.sha256)

    def has(self, entry: FileEntry, on_bytes: OnBytes = None) -> bool:
        """Return whether the content is there, intact: read and compared, once in a run."""
        if entry.sha256 in self._seen:
            if on_bytes is not None:
                on_bytes(entry.size)
            return True
        path = self.path(entry)
        try:
            if not is_present(self.prefix, entry) or sha256_file(path, on_bytes) != (
                entry.size,
                entry.sha256,
            ):
                return False
            if os.name == "posix" and stat.S_IMODE(path.lstat().st_mode) != MODE:
                os.chmod(path, MODE)
        except OSError:
            return False
        self._seen.add(entry.sha256)
        return True

    def put(self, source: Path, entry: FileEntry, on_bytes: OnBytes = None) -> Path:
        """Make sure that the content is in the store, intact, and return its path.

        A damaged object is replaced under its name, so releases that hold the damaged bytes keep what they
        had.

        Raises:
            IntegrityError: the source's bytes are not what the manifest says.
        """
        if not self.has(entry, on_bytes):
            temporary = self._prepare(entry.sha256)
            copy_hashed(source, temporary, MODE, (entry.size, entry.sha256), on_bytes)
            self._finish(temporary, entry.sha256)
        return self.path(entry)

    def receive(self, entry: FileEntry, pieces: Iterator[bytes], on_bytes: OnBytes = None) -> None:
        """Write content from a stream that compares it: `pieces` ends with an error unless the bytes were those
        of the entry, and then nothing gets the content's name."""
        temporary = self._prepare(entry.sha256)
        try:
            write_new(temporary, MODE, pieces, on_bytes)
        except BaseException:
            remove_file(temporary)
            raise
        self._finish(temporary, entry.sha256)

    def keep(self, data: bytes) -> None:
        """Put a small file, such as a manifest, under the name of its digest."""
        digest = sha256_bytes(data)
        entry = FileEntry(digest, len(data), digest, MODE, "document", "")
        if not self.has(entry):
            self.receive(entry, iter([data]))

    def adopt(self, source: Path, entry: FileEntry) -> bool:
        """Take a file over whose bytes were just compared: the store gets a second name of it, not a copy.

        Returns false where the file system has no hard links.
        """
        temporary = self._prepare(entry.sha256)
        if not link_file(source, temporary):
            return False
        if os.name == "posix":
            os.chmod(temporary, MODE)
        self._finish(temporary, entry.sha256)
        return True

    def saw(self, digests: Iterable[str]) -> None:
        """Take note of objects that this run has read and found intact by other means."""
        self._seen.update(digests)

    def settle(self) -> None:
        """Make durable whatever this run relies on, and the folders that name it.

        That includes content that was found: the run that wrote it may have been killed before this.
        """
        paths = [object_path(self.prefix, digest) for digest in sorted(self._seen)]
        fsync_files(paths)
        if paths and os.name == "posix":
            folders = {path.parent for path in paths}
            fsync_files([*folders, self.prefix.store, self.prefix.store.parent, self.prefix.root])

    def _prepare(self, sha256: str) -> Path:
        path = object_path(self.prefix, sha256)
        for folder in (self.prefix.store.parent, self.prefix.store, path.parent):
            make_directory(folder)
        temporary = path.with_name(f".{sha256}{_TEMPORARY}")
        if os.path.lexists(temporary):
            remove_file(temporary)
        return temporary

    def _finish(self, temporary: Path, sha256: str) -> None:
        os.replace(temporary, object_path(self.prefix, sha256))
        self._seen.add(sha256)


def objects(prefix: Prefix) -> Iterable[Path]:
    """Yield everything in the store, leftovers of killed runs included."""
    if prefix.store.is_dir():
        for folder in sorted(prefix.store.iterdir()):
            if folder.is_dir() and not folder.is_symlink():
                yield from sorted(folder.iterdir())


def expect(prefix: Prefix, manifest: bytes, signatures: Iterable[bytes], used: Set[str]) -> None:
    """Note that the contents of a manifest are about to be taken in, and remove what neither they nor
    `used` account for.

    A run that is killed leaves the note behind, and with it the contents that it had finished: the next run
    only reads these. What another, given up installation had taken in goes now.
    """
    wanted = digests(manifest) | {sha256_bytes(signature) for signature in signatures}
    document = {"format": 1, "manifest": manifest_digest(manifest), "contents": sorted(wanted)}
    write_atomic(prefix.incoming, sealed.seal(document), MODE)
    _remove_all_but(prefix, used | wanted)


def pending(prefix: Prefix) -> Set[str]:
    """Return the digests of an installation that was begun and has neither ended nor been taken back."""
    try:
        return set(map(str, sealed.unseal(prefix.incoming.read_bytes())["contents"]))
    except (OSError, sealed.Damaged, LookupError, TypeError):
        return set()


def digests(manifest: bytes) -> Set[str]:
    """Return the names that a release's contents have in the store, its manifest's own included.

    Not by the strict parser: what an installed release needs is not thrown away because a later installer
    would refuse its manifest.
    """
    try:
        named = [entry["sha256"] for entry in json.loads(manifest)["files"]]
    except (ValueError, RecursionError, LookupError, TypeError):
        return set()
    return {manifest_digest(manifest), *(name for name in named if isinstance(name, str))}


def manifest_bytes(prefix: Prefix, generation: str) -> Optional[bytes]:
    """Return the manifest that a release was made from: its own copy, else the store's; None where neither is
    left. The release's name holds the beginning of the digest."""
    digest = generation.split("-")[1]
    folder = prefix.store / digest[:2]
    names = sorted(path for path in folder.glob(f"{digest}*") if path.is_file()) if folder.is_dir() else []
    for path in [prefix.generation(generation) / "tools" / layout.MANIFEST, *names]:
        try:
            data = path.read_bytes()
        except OSError:
            continue
        if manifest_digest(data).startswith(digest):
            return data
    return None


def drop(prefix: Prefix, digest: str) -> None:
    """Remove one object."""
    remove_file(object_path(prefix, digest))


def collect(prefix: Prefix, wanted: Set[str]) -> None:
    """Remove content whose digest is not among `wanted`, leftovers, and the note of a begun installation."""
    remove_file(prefix.incoming)
    _remove_all_but(prefix, wanted)


def sweep(prefix: Prefix) -> list[Path]:
    """Remove half-written content that a killed run left, and return its names; finished content stays."""
    left = [path for path in objects(prefix) if path.name.endswith(_TEMPORARY)]
    for path in left:
        remove_file(path)
    return left


def _remove_all_but(prefix: Prefix, wanted: Set[str]) -> None:
    for path in list(objects(prefix)):
        if path.name not in wanted:
            # Not made durable one by one: content that comes back after a power cut is collected again.
            if path.is_symlink() or not path.is_dir():
                path.unlink()
            else:
                remove_tree(path)
            remove_empty(path.parent)
