"""Source trees: written out for a build with nothing but regular files, and recognised by one digest.

The digest of a tree is the SHA-256 of the text that ``sha256sum`` prints for its files, sorted by path:
one line ``DIGEST  PATH`` each, executable bits left out. A reviewer gets the same from a checkout with
``find . -type f -printf '%P\\0' | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum``.
"""

from __future__ import annotations

import hashlib
import os
import posixpath
import shutil
from collections.abc import Iterable
from pathlib import Path

from bundle import checksums
from bundle.hashing import sha256_bytes, sha256_file
from bundle.ziparchive import name_problem
from bundle.zipstructure import Malformed

from .. import stage

# Archive members cannot be older than 1980; backends clamp to it. Sources carry no better date.
EPOCH = 1_577_836_800


class SourceTree:
    """A folder being filled with the files of one source; links to files inside become copies of them."""

    def __init__(self, root: Path) -> None:
        """Begin in `root`, which must not exist yet."""
        root.mkdir()
        self.root = root
        self._digests: dict[str, str] = {}
        self._links: dict[str, str] = {}

    def add(self, name: str, pieces: Iterable[bytes], executable: bool = False) -> None:
        """Write one file; its mode and time never depend on the archive, the clock or the umask.

        Raises:
            Malformed: the name leaves the tree, or is taken.
        """
        place = self._place(name)
        digest = hashlib.sha256()
        with place.open("xb") as stream:
            for piece in pieces:
                digest.update(piece)
                stream.write(piece)
        os.chmod(place, 0o755 if executable else 0o644)
        os.utime(place, (EPOCH, EPOCH))
        self._digests[name] = digest.hexdigest()

    def add_link(self, name: str, target: str) -> None:
        """Note a symbolic link, written as a copy by `finish`: `target` is relative to the link's folder."""
        self._links[name] = posixpath.normpath(posixpath.join(posixpath.dirname(name), target))

    def finish(self) -> str:
        """Write the links as copies and return the digest of the whole tree.

        Raises:
            Malformed: a link leads out of the tree, to a folder, or to nothing.
        """
        for name, target in self._links.items():
            for _ in range(len(self._links)):  # a link to a link, at most through all of them
                target = self._links.get(target, target)
            if target not in self._digests:
                raise Malformed("tar-link", f"{name!r} leads to no file of the source")
            place = self._place(name)
            shutil.copy2(self.root / target, place)
            self._digests[name] = self._digests[target]
        return tree_digest(self._digests.items())

    def project(self, subdirectory: str, in_top_folder: bool = False) -> Path:
        """Return the folder of the project: `subdirectory` of the tree, or of the one top folder of an sdist.

        Raises:
            Malformed: `subdirectory` leaves the tree.
        """
        folder = self.root
        tops = {name.partition("/")[0] for name in self._digests}
        if in_top_folder and len(tops) == 1 and all("/" in name for name in self._digests):
            folder = folder / tops.pop()
        if subdirectory in ("", "."):
            return folder
        if name_problem(subdirectory):
            raise Malformed("tar-name", f"subdirectory {subdirectory!r}")
        return folder / subdirectory

    def _place(self, name: str) -> Path:
        wrong = name_problem(name)
        if wrong:
            raise Malformed("tar-name", f"{name!r} {wrong}")
        place = self.root / name
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise Malformed("tar-name", f"{name!r} is inside a file") from error
        if os.path.lexists(place):
            raise Malformed("tar-name", f"{name!r} is there twice")
        return place


def tree_digest(files: Iterable[tuple[str, str]]) -> str:
    """Return the digest of a tree from its ``(path, sha256)`` pairs."""
    return sha256_bytes(checksums.checksum_lines(files))


def directory_digest(folder: Path) -> str:
    """Return the digest of a folder's sources: what `stage.source_files` would carry of it."""
    return tree_digest((name, sha256_file(path)[1]) for name, path in _listed(folder))


def copy_directory(folder: Path, tree: SourceTree) -> str:
    """Copy a folder's sources into `tree` and return the digest of what was copied."""
    for name, path in _listed(folder):
        with path.open("rb") as stream:
            tree.add(name, iter(lambda: stream.read(1 << 20), b""), os.access(path, os.X_OK))
    return tree.finish()


def _listed(folder: Path) -> list[tuple[str, Path]]:
    return [(path.relative_to(folder).as_posix(), path) for path in stage.source_files(folder)]
