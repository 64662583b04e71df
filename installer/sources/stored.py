"""The store as a source: what is installed from its contents by digest, however these got there."""

from __future__ import annotations

from pathlib import Path
from typing import Callable, Collection, Dict, List, Mapping, Optional, Sequence, Tuple

from bundle.errors import IntegrityError
from bundle.hashing import sha256_file
from bundle.manifest import FileEntry, Manifest, manifest_digest
from bundle.text import Text
from bundle.trust import Origin
from bundle.verify import SignedManifest

from .. import store
from ..filesystem import make_directories
from ..paths import Prefix
from ..store import Shelf
from .interface import OnBytes, Supplier
from .refusals import UNCHANGED, lines_of

# Where a content may be found besides the store: files of installed releases, by digest.
Copies = Mapping[str, Sequence[Path]]


class StoreBacked:
    """A release whose files are objects of the store by the time that they are used."""

    def __init__(self, prefix: Prefix, signed: SignedManifest, required: int) -> None:
        self.prefix = prefix
        self.signed = signed
        self.required = required
        self.digest = manifest_digest(signed.manifest_bytes)

    @property
    def manifest(self) -> Manifest:
        """What the release consists of."""
        return self.signed.manifest

    @property
    def manifest_bytes(self) -> bytes:
        """The very bytes that are signed."""
        return self.signed.manifest_bytes

    @property
    def signatures(self) -> Tuple[bytes, ...]:
        """The signatures over them, in order."""
        return self.signed.signatures

    @property
    def origin(self) -> Origin:
        """Who signed, and who of them is trusted."""
        return self.signed.origin

    def path(self, entry: FileEntry) -> Path:
        """Return the object."""
        return store.object_path(self.prefix, entry.sha256)

    def wheel_folders(self, scratch: Path) -> Sequence[Path]:
        """Give the wheels their names back, below `scratch`: objects have none that uv would know."""
        folders: Dict[str, Path] = {}
        for entry in self.manifest.of_kind("wheel"):
            parent, _, name = entry.path.rpartition("/")
            folder = folders.setdefault(parent, scratch / "wheels" / str(len(folders)))
            make_directories(folder)
            store.place(self.prefix, entry, folder / name)
        return list(folders.values())

    def _present_bytes(self) -> int:
        unique = {entry.sha256: entry for entry in self.manifest.files}
        return sum(entry.size for entry in unique.values() if store.is_present(self.prefix, entry))

    def _needed(self, has: Callable[[FileEntry], bool]) -> Dict[str, FileEntry]:
        """Return, by digest, what is not in the store intact; every object is read."""
        unique = {entry.sha256: entry for entry in self.manifest.files}
        return {digest: entry for digest, entry in unique.items() if not has(entry)}


class StoredSource(StoreBacked):
    """A release made again from the store; what is damaged there comes from intact copies or a supplier."""

    arrives = "stored"

    def __init__(
        self,
        prefix: Prefix,
        signed: SignedManifest,
        required: int,
        copies: Copies,
        supplier: Optional[Supplier] = None,
        intact: Collection[str] = (),
    ) -> None:
        """Take a manifest that was verified again; `copies` are files that may have the same bytes, `intact` the
        objects that this run has read already."""
        super().__init__(prefix, signed, required)
        self._copies = copies
        self._supplier = supplier
        # Signatures are looked after by whoever makes the release; the store may let go of them meanwhile.
        self._intact = {entry.sha256 for entry in signed.manifest.files} & set(intact)

    @property
    def size(self) -> int:
        """Every object is read, and the supplier as well where there is one."""
        return self._present_bytes() + (self._supplier.size if self._supplier is not None else 0)

    def bring(self, shelf: Shelf, on_bytes: OnBytes = None) -> None:
        """Replace what is damaged or gone: by an intact copy of an installed release, else by the supplier."""
        left = self.mend(shelf, on_bytes)
        if left:
            raise self.refusal(left)

    def mend(self, shelf: Shelf, on_bytes: OnBytes = None) -> List[FileEntry]:
        """Replace what can be replaced, and return what cannot."""
        shelf.saw(self._intact)
        needed = self._needed(lambda entry: shelf.has(entry, on_bytes))
        for digest, entry in list(needed.items()):
            copy = self._copy(entry)
            if copy is None:
                continue
            # Weights become another name of the file; what is small is copied, so that a later change of the
            # one does not damage the other.
            if entry.kind != "model" or not shelf.adopt(copy, entry):
                shelf.put(copy, entry)
            del needed[digest]
        if needed and self._supplier is not None:
            self._supplier.supply(needed, shelf, on_bytes)
            needed = {digest: entry for digest, entry in needed.items() if not shelf.has(entry)}
        return list(needed.values())

    def missing(self, shelf: Shelf, on_bytes: OnBytes = None) -> List[FileEntry]:
        """Return what neither the store, nor a copy, nor the supplier's manifest has; nothing is written."""
        shelf.saw(self._intact)
        needed = self._needed(lambda entry: shelf.has(entry, on_bytes))
        declared = self._supplier.signed.manifest.files if self._supplier is not None else ()
        offered = {entry.sha256 for entry in declared}
        return [
            entry for entry in needed.values() if entry.sha256 not in offered and self._copy(entry) is None
        ]

    def require(self, shelf: Shelf) -> None:
        """Refuse what neither store, copies nor the supplier's manifest have."""
        short = self.missing(shelf)
        if short:
            raise self.refusal(short)

    def examine(self, shelf: Shelf, on_bytes: OnBytes = None) -> None:
        """Do as `require`, reading everything that would be read."""
        self.require(shelf)

    def _copy(self, entry: FileEntry) -> Optional[Path]:
        for path in self._copies.get(entry.sha256, ()):
            try:
                if sha256_file(path) == (entry.size, entry.sha256):
                    return path
            except OSError:
                continue
        return None

    def refusal(self, entries: Sequence[FileEntry]) -> IntegrityError:
        """Return the error that names every content that has to be carried in again."""
        manifest = self.manifest
        which = f"{manifest.version} {manifest.target.name}"
        given = self._supplier.name if self._supplier is not None else ""
        return IntegrityError(
            Text(
                f"복구에 필요한 내용 {len(entries)}건이 이 호스트에 온전한 상태로 남아 있지 않습니다"
                + (f" ({given}에도 없습니다)" if given else ""),
                f"{len(entries)} content(s) that the repair needs are nowhere intact on this host"
                + (f", nor in {given}" if given else ""),
            ),
            where=str(self.prefix.store),
            details=lines_of(entries),
            state=UNCHANGED,
            hint=Text(
                f"번들 {which}(순번 {manifest.sequence}, 매니페스트 {self.digest[:12]})을 반입한 뒤 실행: "
                "install.py --repair --bundle 경로",
                f"carry in the bundle {which} (sequence {manifest.sequence}, manifest {self.digest[:12]}), then run: "
                "install.py --repair --bundle PATH",
            ),
        )
