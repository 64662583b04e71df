"""Read a bundle out of its archive: manifest, signatures and trust records first, then only what the manifest
declares.

Nothing is written here, and nothing is handed on before the signature holds. Whoever takes the files -
to unpack them, or only to verify them - gets each with its bytes compared while they pass.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Callable, Dict, Iterator, List, Optional, Tuple

from . import checksums, delta, layout, limits, names, trustrecords, verify
from .delta import Delta
from .errors import SignatureError
from .manifest import FileEntry, manifest_digest
from .tarstream import Member, TarReader
from .text import Text
from .trust import Anchors
from .verify import SignedManifest


def admit(
    signed: SignedManifest, anchors: Anchors, allow_unverified_origin: bool, now: Optional[datetime] = None
) -> None:
    """Apply the operator's policy to a manifest whose signature holds.

    Raises:
        SignatureError: the origin is not verified and does not have to be taken without.
        PolicyError: too few trusted signers, another product, or expired.
    """
    verify.require_origin(signed.origin, allow_unverified_origin)
    verify.require_signers(signed.origin, anchors.required)
    verify.check_policy(signed.manifest, now, anchors)


class Head:
    """What an archive begins with - manifest, signatures, trust records - read with caps, nothing believed yet.

    `pending` is the first member behind it.
    """

    def __init__(self, archive: TarReader) -> None:
        """Read it.

        Raises:
            IntegrityError: it does not begin with a manifest, or something in it is over its size.
            SignatureError: unsigned.
        """
        self._archive = archive
        self.pending: Optional[Member] = None
        self.records: Dict[str, bytes] = {}
        self.top, self.metadata = self._head()
        self.signatures = tuple(self.metadata[name] for name in layout.SIGNATURES if name in self.metadata)
        self.manifest_bytes = self.metadata[layout.MANIFEST]
        if any(name in self.metadata for name in layout.SIGNATURES[len(self.signatures) :]):
            raise archive.refusal("its signatures are not numbered without a gap")
        if not self.signatures:
            raise SignatureError(
                Text("서명되지 않은 번들입니다", "the bundle is not signed"),
                where=layout.SIGNATURE,
                hint=Text("서명된 번들을 다시 받으십시오", "get the signed bundle again"),
            )
        self._read_records()

    def _read_records(self) -> None:
        """Take in the trust records: they come before every other file, because they say who may have signed."""
        folder = f"{self.top}/{layout.TRUST}/"
        most = limits.TRUST_RECORDS * (1 + len(layout.SIGNATURES))
        while self.pending is not None and self.pending.name.startswith(folder):
            name = self.pending.name[len(folder) :]
            if name in self.records or "/" in name or len(self.records) == most:
                raise self._archive.refusal(f"{self.pending.name!r} comes twice, or is no trust record")
            cap = limits.TRUST_RECORD_BYTES if name.endswith(".json") else limits.SIGNATURE_BYTES
            self.records[name] = self._archive.content(cap)
            self.pending = self._archive.next()

    def _head(self) -> Tuple[str, Dict[str, bytes]]:
        first = self._archive.next()
        top, _, inner = first.name.partition("/") if first is not None else ("", "", "")
        if inner != layout.MANIFEST or names.problem_with(top) is not None:
            raise self._archive.refusal("it does not begin with the manifest of a bundle")
        found = {inner: self._archive.content(limits.MANIFEST_BYTES)}
        caps = dict.fromkeys(layout.SIGNATURES, limits.SIGNATURE_BYTES)
        caps.update({layout.DELTA: limits.MANIFEST_BYTES, layout.CHECKSUMS: limits.MANIFEST_BYTES})
        while True:
            member = self._archive.next()
            inner = member.name[len(top) + 1 :] if member is not None else ""
            if member is None or inner not in caps or inner in found or member.name != f"{top}/{inner}":
                self.pending = member
                return top, found
            found[inner] = self._archive.content(caps[inner])


class BundleReader:
    """A bundle as it comes out of an archive; `missing` is what a delta leaves to its base."""

    def __init__(self, archive: TarReader, anchors: Anchors, now: Optional[datetime] = None) -> None:
        """Read the head of the archive and verify its signature; the policy is the caller's (`admit`).

        Raises:
            IntegrityError: it does not begin with a manifest, or the manifest or a trust record is refused.
            SignatureError: unsigned, a broken signature, or by nobody among the anchors.
        """
        self._archive = archive
        head = Head(archive)
        self.top, self.metadata, self._records = head.top, head.metadata, head.records
        self._pending = head.pending
        data, signatures = head.manifest_bytes, head.signatures
        self.signed = verify.judge(data, signatures, trustrecords.gather(head.records), anchors, now)
        self.digest = manifest_digest(data)
        derived = checksums.bundle_checksums(self.signed.manifest, data, signatures[0])
        if self.metadata.setdefault(layout.CHECKSUMS, derived) != derived:
            raise archive.refusal("checksums.sha256 differs from the signed manifest")
        note = self.metadata.pop(layout.DELTA, None)
        self.delta: Optional[Delta] = None if note is None else delta.parse_delta(note)
        self._expected: Dict[str, FileEntry] = {entry.path: entry for entry in self.signed.manifest.files}

    @property
    def missing(self) -> List[FileEntry]:
        """The declared files that have not come, in manifest order."""
        return list(self._expected.values())

    def files(self) -> Iterator[Tuple[FileEntry, Iterator[bytes]]]:
        """Yield every file of the archive with its bytes, which must be taken before the next one.

        Raises:
            IntegrityError: a file that is not declared, comes twice, or is not what was declared; or, of an
                archive that is no delta, a file that did not come.
        """
        for name, content in self._records.items():
            # Compared with the manifest when they were read.
            yield self._expected.pop(f"{layout.TRUST}/{name}"), iter([content])
        member = self._pending
        while member is not None:
            top, _, inner = member.name.partition("/")
            entry = self._expected.pop(inner, None)
            if top != self.top or entry is None:
                raise self._archive.refusal(f"{member.name!r} is not declared, or comes twice")
            if member.size != entry.size:
                raise self._archive.refusal(f"{entry.path}: {member.size} bytes, declared {entry.size}")
            yield entry, self._compared(entry)
            member = self._archive.next()
        if self._expected and self.delta is None:
            some = ", ".join(list(self._expected)[:3])
            raise self._archive.refusal(f"{len(self._expected)} declared file(s) missing: {some}")

    def verify_files(self, on_bytes: Callable[[int], None]) -> int:
        """Read every file, comparing its bytes, and return how many there were; errors as of `files`."""
        count = 0
        for _, pieces in self.files():
            for piece in pieces:
                on_bytes(len(piece))
            count += 1
        return count

    def _compared(self, entry: FileEntry) -> Iterator[bytes]:
        digest = hashlib.sha256()
        for piece in self._archive.pieces():
            digest.update(piece)
            yield piece
        if digest.hexdigest() != entry.sha256:
            raise self._archive.refusal(f"{entry.path}: other bytes than declared")
