"""Volumes: one archive cut into files for sticks and discs, and the signed index that knows each of them.

``<archive>.001``, ``<archive>.002`` … are consecutive bytes of the archive: stock ``cat`` joins them. The
index ``<stem>.volumes.json`` gives size and SHA-256 of every volume and is signed like a manifest, in a
namespace of its own, so any volume can be verified alone.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Optional, Sequence, Tuple

from . import layout, limits, names, sshsig, strictjson, trust, verify
from .errors import IntegrityError, SignatureError
from .strictjson import Fields
from .text import Text
from .trust import Anchors, Origin

FORMAT = "ragtrace-volumes"
FORMAT_VERSION = 1
INDEX_SUFFIX = ".volumes.json"
ARCHIVE_SUFFIX = ".tar.gz"
# The folder of trust records that travels beside an archive or its volumes.
RECORDS = "trust"
_SHA256 = re.compile(r"[0-9a-f]{64}\Z")
# A volume's name: the archive's, and its number.
VOLUME = re.compile(r"(.+\.tar\.gz)\.(\d{3})\Z")

AGAIN = Text(
    "표시된 파일만 원본에서 다시 복사하십시오. 나머지는 그대로 쓸 수 있습니다",
    "copy just the files named here again from the original; the others are good",
)


@dataclass(frozen=True)
class Piece:
    """One file: its name, its size in bytes and its SHA-256."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class VolumeIndex:
    """The whole archive, the digest of the manifest inside it, and its volumes in order."""

    archive: Piece
    manifest: str
    volumes: Tuple[Piece, ...]

    def to_bytes(self) -> bytes:
        """Return the canonical bytes, which are what is signed."""
        document = {"format": FORMAT, "format_version": FORMAT_VERSION, **asdict(self)}
        return (json.dumps(document, ensure_ascii=False, indent=1, sort_keys=True) + "\n").encode("utf-8")


def volume_name(archive: str, number: int) -> str:
    """Return the name of the volume with this number, which begins at 1."""
    return f"{archive}.{number:03d}"


def index_name(archive: str) -> str:
    """Return the name of the index of an archive's volumes."""
    return archive[: -len(ARCHIVE_SUFFIX)] + INDEX_SUFFIX


def signature_names(index: str) -> Tuple[str, ...]:
    """Return the names of an index's signatures: the first one, and further ones numbered from 2."""
    return tuple(index + name[len(layout.MANIFEST) :] for name in layout.SIGNATURES)


def index_of(path: Path) -> Optional[Path]:
    """Return the index that a volume's or an index's own name leads to, or None for another file."""
    found = VOLUME.match(path.name)
    if found is not None:
        return path.with_name(index_name(found.group(1)))
    return path if path.name.endswith(INDEX_SUFFIX) else None


def parse_index(data: bytes, where: str) -> VolumeIndex:
    """Parse an index strictly; `where` is its name for errors.

    Raises:
        IntegrityError: malformed, of another format, or with names or sizes that do not add up.
    """
    try:
        source = strictjson.parse(data, "index")
        if source.text("format") != FORMAT or source.number("format_version") != FORMAT_VERSION:
            raise ValueError("not an index of a format this reader knows; use the unpack.py beside it")
        archive = _piece(source.child("archive"))
        index = VolumeIndex(archive, source.text("manifest", _SHA256), source.items("volumes", _piece))
        _check(index)
    except (ValueError, TypeError) as error:
        raise IntegrityError(
            Text(
                f"볼륨 목록을 받아들일 수 없습니다: {error}", f"the index of the volumes is refused: {error}"
            ),
            where=where,
            hint=AGAIN,
        ) from error
    return index


def _piece(source: Fields) -> Piece:
    return Piece(source.text("name"), source.number("size", low=1), source.text("sha256", _SHA256))


def _check(index: VolumeIndex) -> None:
    archive = index.archive
    if names.problem_with(archive.name) or "/" in archive.name or not archive.name.endswith(ARCHIVE_SUFFIX):
        raise ValueError(f"name {archive.name!r} is not an archive's")
    if not 1 <= len(index.volumes) <= limits.VOLUMES:
        raise ValueError(f"{len(index.volumes)} volumes")
    for number, volume in enumerate(index.volumes, 1):
        if volume.name != volume_name(archive.name, number):
            raise ValueError(f"volume {number} is named {volume.name!r}")
    if sum(volume.size for volume in index.volumes) != archive.size:
        raise ValueError("the volumes' sizes do not add up to the archive's")


def read_index(
    path: Path, data: bytes, anchors: Anchors, now: Optional[datetime] = None
) -> Tuple[VolumeIndex, Origin]:
    """Verify an index, whose bytes are `data`, by the signatures beside it and parse it.

    Trust records in a folder ``trust`` beside it are heeded: the archive, which holds them too, is not read yet.

    Raises:
        SignatureError: unsigned, a broken signature, or by nobody among the anchors.
        IntegrityError: refused.
    """
    signatures = []
    for name in signature_names(path.name):
        signature = verify.read_capped(path.with_name(name), limits.SIGNATURE_BYTES)
        if signature is None:
            break
        signatures.append(signature)
    anchors = trust.informed(anchors, verify.read_records(path.with_name(RECORDS)), now)
    origin = verify_index(data, signatures, anchors, path.name, now)
    return parse_index(data, str(path)), origin


def verify_index(
    data: bytes, signatures: Sequence[bytes], anchors: Anchors, where: str, now: Optional[datetime] = None
) -> Origin:
    """Verify an index's signatures and return what the anchors make of the signers.

    An anchor that is good for bundles is good for what only carries one: lines of ``allowed_signers`` that
    name the bundles' namespace count as well.

    Raises:
        SignatureError: unsigned, a broken signature, or by nobody among the anchors.
    """
    if not signatures:
        raise SignatureError(
            Text("볼륨 목록에 서명이 없습니다", "the index of the volumes is not signed"),
            where=where,
            hint=Text(
                f"{signature_names(where)[0]}도 함께 복사하십시오", f"copy {signature_names(where)[0]} too"
            ),
        )
    named = zip(signature_names(where), signatures)
    keys = [sshsig.verify(data, each, layout.VOLUMES_NAMESPACE, name) for name, each in named]
    try:
        return trust.origin_of(keys, anchors, now, layout.VOLUMES_NAMESPACE)
    except SignatureError:
        # Of a revoked key this says the same again.
        return trust.origin_of(keys, anchors, now)
