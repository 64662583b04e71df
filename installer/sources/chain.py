"""A release out of what was carried in: a bundle, a bundle with deltas, or deltas alone, oldest first.

The last link's manifest is the release; the earlier ones only bring bytes. What no link carries is taken from
the store by digest. Whichever way a byte came, it is compared with the last manifest.
"""

from __future__ import annotations

from typing import Dict, List, Sequence, Set

from bundle.delta import Delta
from bundle.errors import IntegrityError
from bundle.hashing import sha256_file
from bundle.manifest import FileEntry

from .. import store
from ..paths import Prefix
from ..store import Shelf
from .interface import OnBytes, Supplier
from .refusals import base_missing
from .stored import StoreBacked
from .stream import Stream


class ChainSource(StoreBacked):
    """Links whose manifests are verified, and the store as the base of the first."""

    def __init__(self, prefix: Prefix, links: Sequence[Supplier], required: int) -> None:
        """Take the links in the order in which they were made; there is at least one."""
        super().__init__(prefix, links[-1].signed, required)
        self._links = list(links)
        self._deltas: List[Delta] = [
            link.delta for link in links if isinstance(link, Stream) and link.delta is not None
        ]
        self.arrives = "delta" if len(self._deltas) == len(self._links) else "stream"

    @property
    def size(self) -> int:
        """What is in the store already is read, and every link is read through."""
        return self._present_bytes() + sum(link.size for link in self._links)

    def require(self, shelf: Shelf) -> None:
        """Refuse where the store lacks more than the links can have; names and sizes are looked at.

        Raises:
            IntegrityError: the links were read through to say exactly what is missing.
        """
        self._require_base(store.lacking(self.prefix, self.manifest.files))

    def bring(self, shelf: Shelf, on_bytes: OnBytes = None) -> None:
        """Read what the store has, then the links, and write what was missing."""
        needed = self._needed(lambda entry: shelf.has(entry, on_bytes))
        self._require_base(list(needed.values()))
        for link in self._links:
            wanted = {digest: entry for digest, entry in needed.items() if not shelf.has(entry)}
            if wanted:
                link.supply(wanted, shelf, on_bytes)
        left = [entry for entry in needed.values() if not shelf.has(entry)]
        if left:
            raise self._missing(left)

    def examine(self, shelf: Shelf, on_bytes: OnBytes = None) -> None:
        """Read store and links as `bring` would, and write nothing."""

        def intact(entry: FileEntry) -> bool:
            try:
                path = store.object_path(self.prefix, entry.sha256)
                return sha256_file(path, on_bytes) == (entry.size, entry.sha256)
            except OSError:
                return False

        needed = self._needed(intact)
        left = self._left_after_links(needed, on_bytes)
        if left:
            raise self._missing(left)

    def _require_base(self, absent: Sequence[FileEntry]) -> None:
        # A delta does not say what it carries but how much of its manifest it leaves out.
        if len(absent) <= sum(link.carried for link in self._links):
            return
        left = self._left_after_links({entry.sha256: entry for entry in absent}, None)
        if left:
            raise self._missing(left)

    def _left_after_links(self, needed: Dict[str, FileEntry], on_bytes: OnBytes) -> List[FileEntry]:
        carried: Set[str] = set()
        for link in self._links:
            carried.update(entry.sha256 for entry in link.examine(on_bytes))
        return [entry for digest, entry in needed.items() if digest not in carried]

    def _missing(self, entries: Sequence[FileEntry]) -> IntegrityError:
        return base_missing(self.manifest, entries, self._deltas, [link.name for link in self._links])
