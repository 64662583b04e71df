"""An archive, whole or cut into volumes: read in one pass, straight into the store.

Nothing is written before the signature of the manifest inside holds, and no content gets its name before its
last byte was compared. The carrier is opened anew for each pass, and has to begin with the same manifest.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Callable, Iterator, List, Mapping, Optional, Protocol, Sequence

from bundle import limits, verify, volumes, volumeset
from bundle.delta import Delta
from bundle.errors import IntegrityError, SignatureError
from bundle.manifest import FileEntry
from bundle.reading import BundleReader
from bundle.tarstream import TarReader
from bundle.text import Text
from bundle.trust import Anchors
from bundle.verify import SignedManifest
from bundle.volumes import VolumeIndex
from bundle.volumeset import VolumeStream

from ..store import Shelf
from .interface import OnBytes

Read = Callable[[int], bytes]


class Carrier(Protocol):
    """Compressed bytes in order."""

    @property
    def name(self) -> str:
        """What errors call it."""

    @property
    def size(self) -> int:
        """How many bytes it has."""

    def opened(self, on_bytes: OnBytes) -> contextlib.AbstractContextManager[Read]:
        """Give a way to read it from the beginning, at most so many bytes at a time, nothing at its end."""


class ArchiveFile:
    """One file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = str(path)
        self.size = path.stat().st_size

    @contextlib.contextmanager
    def opened(self, on_bytes: OnBytes) -> Iterator[Read]:
        """Read it; a bad medium is told from a bad place to install to."""
        try:
            raw = self.path.open("rb", buffering=0)
        except OSError as error:
            raise self._unreadable(error) from error

        def read(count: int) -> bytes:
            try:
                data = raw.read(count) or b""
            except OSError as error:
                raise self._unreadable(error) from error
            if on_bytes is not None:
                on_bytes(len(data))
            return data

        with raw:
            yield read

    def _unreadable(self, error: OSError) -> IntegrityError:
        return IntegrityError(
            Text("아카이브를 읽을 수 없습니다", "the archive cannot be read"),
            where=f"{self.path}: {error}",
            hint=Text("매체를 확인하고 다시 복사하십시오", "check the medium and copy it again"),
        )


class VolumeFolder:
    """Volumes in one folder, and their index, whose signature holds."""

    def __init__(self, folder: Path, index: VolumeIndex) -> None:
        """Find the volumes.

        Raises:
            IntegrityError: some are missing or have another size; every one is named.
        """
        self.folder = folder
        self.index = index
        self.name = str(folder / index.archive.name)
        self.size = index.archive.size
        found = volumeset.find(index, [folder])
        if found.missing:
            raise volumeset.complaint(found.problems, found.missing, self.name)

    @contextlib.contextmanager
    def opened(self, on_bytes: OnBytes) -> Iterator[Read]:
        """Read one after the other; of a damaged volume its name is told, not what came of it."""
        stream = VolumeStream(self.index, [self.folder], on_bytes=on_bytes)
        try:
            yield stream.read
        except (IntegrityError, SignatureError):
            stream.blame()
            raise
        finally:
            stream.close()


def open_volumes(index: Path, anchors: Anchors, allow_unverified: bool) -> VolumeFolder:
    """Verify an index and find its volumes beside it.

    Raises:
        SignatureError: unsigned, a broken signature, or an origin that is not verified and has to be.
        IntegrityError: the index is refused, or volumes are missing.
    """
    data = verify.read_capped(index, limits.INDEX_BYTES) or b""
    read, origin = volumes.read_index(index, data, anchors)
    verify.require_origin(origin, allow_unverified)
    return VolumeFolder(index.parent, read)


class Stream:
    """A bundle or a delta in an archive, whose manifest is verified."""

    def __init__(self, carrier: Carrier, anchors: Anchors) -> None:
        """Read the head and verify its signature; the policy is the caller's.

        Raises:
            IntegrityError: it does not begin with a manifest, or the manifest is refused.
            SignatureError: unsigned, a broken signature, or by nobody among the anchors.
        """
        self._carrier = carrier
        self._anchors = anchors
        with carrier.opened(None) as read:
            reader = BundleReader(TarReader(read, carrier.name), anchors)
        self.signed: SignedManifest = reader.signed
        self.delta: Optional[Delta] = reader.delta
        self.name = carrier.name
        self.size = carrier.size
        left_out = reader.delta.lacks_files if reader.delta is not None else 0
        self.carried = len(self.signed.manifest.files) - left_out

    def supply(self, wanted: Mapping[str, FileEntry], shelf: Shelf, on_bytes: OnBytes = None) -> None:
        """Read all of it and write what is wanted and not in the store yet."""
        with self._reader(on_bytes) as reader:
            for entry, pieces in reader.files():
                # What is not taken here is still compared, before the reader goes on.
                if entry.sha256 in wanted and not shelf.has(entry):
                    shelf.receive(entry, pieces)
                else:
                    for _ in pieces:
                        pass

    def examine(self, on_bytes: OnBytes = None) -> Sequence[FileEntry]:
        """Read all of it, compare, and return what it carries."""
        with self._reader(on_bytes) as reader:
            reader.verify_files(_uncounted)
            left: List[FileEntry] = reader.missing
        absent = {entry.path for entry in left}
        return [entry for entry in self.signed.manifest.files if entry.path not in absent]

    @contextlib.contextmanager
    def _reader(self, on_bytes: OnBytes) -> Iterator[BundleReader]:
        with self._carrier.opened(on_bytes) as read:
            reader = BundleReader(TarReader(read, self.name), self._anchors)
            if reader.signed.manifest_bytes != self.signed.manifest_bytes:
                raise IntegrityError(
                    Text("읽는 동안 아카이브가 바뀌었습니다", "the archive changed while it was read"),
                    where=self.name,
                    hint=Text("다시 실행하십시오", "run the same command again"),
                )
            yield reader


def _uncounted(count: int) -> None:
    """The carrier counts the bytes that are read."""
