"""Which releases are kept, and collecting the others - only after success, never the active one."""

from __future__ import annotations

from pathlib import Path

from bundle import layout
from bundle.errors import RecoveryNeededError
from bundle.hashing import sha256_bytes
from bundle.text import Text

from . import bytecode, receipt, sealed, snapshot, store
from . import pointer as pointers
from .filesystem import read_plain, remove_file, remove_tree
from .paths import Prefix
from .pointer import Pointer
from .state import complete_generations, generation_names


def collect(prefix: Prefix, pointer: Pointer) -> list[str]:
    """Remove releases that the pointer does not keep, with the snapshots of their data and the contents no release
    uses; return their names."""
    removed = []
    for name in generation_names(prefix):
        if name not in pointer.kept:
            discard(prefix, name)
            removed.append(name)
    snapshot.collect(prefix, pointer)
    store.collect(prefix, used_digests(prefix))
    return removed


def discard(prefix: Prefix, name: str) -> None:
    """Remove one release, its receipt first: killed in between, what is left is an unfinished folder, never
    a release that looks complete and is not.

    Raises:
        RecoveryNeededError: the pointer, against all order, names it; it is left alone.
    """
    try:
        active = pointers.read(prefix)
    except sealed.Damaged:
        active = None
    if active is not None and active.generation == name:
        raise RecoveryNeededError(
            Text("현재 릴리스는 지우지 않습니다", "the active release is never removed"),
            where=str(prefix.pointer),
        )
    remove_file(prefix.generation(name) / receipt.NAME)
    remove_tree(prefix.generation(name))
    bytecode.forget(prefix, name)


def used_digests(prefix: Prefix) -> set[str]:
    """Return the digests of everything that the complete releases were made from."""
    digests: set[str] = set()
    for name in complete_generations(prefix):
        digests |= contents_of(prefix, name)
    return digests


def contents_of(prefix: Prefix, name: str) -> set[str]:
    """Return the names that a release's contents have in the store; of a damaged one, as far as it tells."""
    folder = prefix.generation(name)
    digests: set[str] = set()
    try:
        for entry in receipt.read(folder).entries:
            # Whatever lies in the release under a name of the store is its, should the manifest be lost.
            if entry.path.startswith(("models/", "tools/", "source/")) and entry.is_file:
                digests.add(entry.sha256)
    except (OSError, sealed.Damaged):
        digests |= _signatures_of(folder)
    data = store.manifest_bytes(prefix, name)
    if data is not None:
        digests |= store.digests(data)
    return digests


def _signatures_of(folder: Path) -> set[str]:
    digests = set()
    for name in layout.SIGNATURES:
        try:
            data = read_plain(folder / "tools" / name)
        except OSError:
            continue
        if data is not None:
            digests.add(sha256_bytes(data))
    return digests


def digest_of(prefix: Prefix, name: str) -> str:
    """Return the digest of the manifest that a complete release was made from."""
    return receipt.read(prefix.generation(name)).manifest
