"""The ``checksums.sha256`` format of ``sha256sum``: two spaces (text mode marker), one name a line."""

from __future__ import annotations

from typing import Iterable, Tuple

from . import layout
from .hashing import sha256_bytes
from .manifest import Manifest


def checksum_lines(items: Iterable[Tuple[str, str]]) -> bytes:
    """Return the file's bytes for ``(path, sha256)`` pairs, sorted by path, as ``sha256sum -c`` reads it."""
    return "".join(f"{digest}  {path}\n" for path, digest in sorted(items)).encode("utf-8")


def bundle_checksums(manifest: Manifest, manifest_bytes: bytes, signature: bytes) -> bytes:
    """Return what the root ``checksums.sha256`` of a bundle must hold: every file but itself.

    `signature` is the first one. Further signatures are not listed: they may be added to a finished bundle,
    and each proves itself against the manifest.
    """
    items = [(entry.path, entry.sha256) for entry in manifest.files]
    items.append((layout.MANIFEST, sha256_bytes(manifest_bytes)))
    items.append((layout.SIGNATURE, sha256_bytes(signature)))
    return checksum_lines(items)
