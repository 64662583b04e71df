"""The two ports of contents: `Source`, what a release is built from, and `Supplier`, what fills the store."""

from __future__ import annotations

from pathlib import Path
from typing import Callable, Mapping, Optional, Protocol, Sequence, Tuple

from bundle.manifest import FileEntry, Manifest
from bundle.trust import Origin
from bundle.verify import SignedManifest

from ..store import Shelf

OnBytes = Optional[Callable[[int], None]]


class Supplier(Protocol):
    """Something carried in whose signature holds: it can give the contents that its manifest declares."""

    @property
    def name(self) -> str:
        """What a person calls it."""

    @property
    def signed(self) -> SignedManifest:
        """Its manifest, verified."""

    @property
    def carried(self) -> int:
        """How many files of its manifest it carries at most; a delta leaves out the rest."""

    @property
    def size(self) -> int:
        """How many bytes have to be read to go through it once."""

    def supply(self, wanted: Mapping[str, FileEntry], shelf: Shelf, on_bytes: OnBytes = None) -> None:
        """Put what it has of `wanted` (by digest) into the store, each compared byte for byte.

        `on_bytes` counts towards `size`.

        Raises:
            IntegrityError: it is not what its manifest declares.
        """

    def examine(self, on_bytes: OnBytes = None) -> Sequence[FileEntry]:
        """Read and compare everything it carries, write nothing, and return what it carries.

        Raises:
            IntegrityError: it is not what its manifest declares.
        """


class Source(Protocol):
    """A verified manifest and a place for each of its files."""

    @property
    def manifest(self) -> Manifest:
        """What the release consists of."""

    @property
    def manifest_bytes(self) -> bytes:
        """The very bytes that are signed."""

    @property
    def signatures(self) -> Tuple[bytes, ...]:
        """The signatures over them, in order."""

    @property
    def digest(self) -> str:
        """The manifest's digest."""

    @property
    def origin(self) -> Origin:
        """Who signed, and who of them is trusted."""

    @property
    def required(self) -> int:
        """How many trusted signers there had to be."""

    @property
    def arrives(self) -> str:
        """How its contents get into the store: ``beside`` the build, or before it, as a ``stream``, a ``delta``
        or out of the store itself (``stored``)."""

    def path(self, entry: FileEntry) -> Path:
        """Return where the file lies; of a source that arrives before the build, once it was brought."""

    def wheel_folders(self, scratch: Path) -> Sequence[Path]:
        """Return the folders in which uv finds the wheels; made below `scratch` where there are none yet."""

    def bring(self, shelf: Shelf, on_bytes: OnBytes = None) -> None:
        """Have everything in the store, intact, unless it arrives beside the build.

        Raises:
            IntegrityError: contents are damaged or missing; the error names them.
        """

    def require(self, shelf: Shelf) -> None:
        """Refuse, before anything is written, what can be seen not to come out whole.

        Raises:
            IntegrityError: contents are missing; the error names them.
        """

    def examine(self, shelf: Shelf, on_bytes: OnBytes = None) -> None:
        """Do everything that verifies, and write nothing: for a dry run.

        Raises:
            IntegrityError: contents are damaged or missing.
        """

    @property
    def size(self) -> int:
        """How many bytes `bring` and `examine` read, for progress."""
