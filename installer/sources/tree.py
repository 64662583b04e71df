"""A bundle that is unpacked already: a folder, on whatever medium."""

from __future__ import annotations

from pathlib import Path
from typing import List, Mapping, Sequence, Tuple

from bundle import layout
from bundle.hashing import sha256_file
from bundle.manifest import FileEntry, Manifest
from bundle.trust import Origin
from bundle.verify import SignedManifest, VerifiedBundle

from ..store import Shelf
from .interface import OnBytes
from .refusals import changed


class TreeSource:
    """A tree of which every byte has been compared; its contents go to the store while the release is built."""

    arrives = "beside"
    size = 0

    def __init__(self, bundle: VerifiedBundle) -> None:
        self.bundle = bundle

    @property
    def manifest(self) -> Manifest:
        """What the release consists of."""
        return self.bundle.manifest

    @property
    def manifest_bytes(self) -> bytes:
        """The very bytes that are signed."""
        return self.bundle.manifest_bytes

    @property
    def signatures(self) -> Tuple[bytes, ...]:
        """The signatures over them, in order."""
        return self.bundle.signatures

    @property
    def digest(self) -> str:
        """The manifest's digest."""
        return self.bundle.digest

    @property
    def origin(self) -> Origin:
        """Who signed, and who of them is trusted."""
        return self.bundle.origin

    @property
    def required(self) -> int:
        """How many trusted signers there had to be."""
        return self.bundle.required

    def path(self, entry: FileEntry) -> Path:
        """Return where the file lies in the tree."""
        return self.bundle.path(entry)

    def wheel_folders(self, scratch: Path) -> Sequence[Path]:
        """Return the tree's own folders."""
        root = self.bundle.root
        return [root.joinpath(*layout.WHEELS.split("/")), root / layout.SOURCE]

    def bring(self, shelf: Shelf, on_bytes: OnBytes = None) -> None:
        """Do nothing: the contents are put into the store beside the build."""

    def require(self, shelf: Shelf) -> None:
        """Do nothing: everything was found when the tree was opened."""

    def examine(self, shelf: Shelf, on_bytes: OnBytes = None) -> None:
        """Do nothing: every byte was compared when the tree was opened."""


class TreeSupplier:
    """A tree whose manifest is verified, of which only the files that are wanted are read."""

    def __init__(self, root: Path, signed: SignedManifest) -> None:
        self.root = root
        self.signed = signed

    @property
    def name(self) -> str:
        """The folder."""
        return str(self.root)

    @property
    def carried(self) -> int:
        """All of them."""
        return len(self.signed.manifest.files)

    @property
    def size(self) -> int:
        """The bytes of all files."""
        return sum(entry.size for entry in self.signed.manifest.files)

    def supply(self, wanted: Mapping[str, FileEntry], shelf: Shelf, on_bytes: OnBytes = None) -> None:
        """Copy what is wanted into the store."""
        for entry in self.signed.manifest.files:
            if entry.sha256 in wanted:
                shelf.put(self._place(entry), entry)
            if on_bytes is not None:
                on_bytes(entry.size)

    def examine(self, on_bytes: OnBytes = None) -> Sequence[FileEntry]:
        """Compare every file."""
        found: List[FileEntry] = []
        for entry in self.signed.manifest.files:
            if sha256_file(self._place(entry), on_bytes) != (entry.size, entry.sha256):
                raise changed(str(self._place(entry)))
            found.append(entry)
        return found

    def _place(self, entry: FileEntry) -> Path:
        return self.root.joinpath(*entry.path.split("/"))
