"""Which releases are kept, and collecting the others - only after success, never the active one."""

from __future__ import annotations

from bundle.errors import RecoveryNeededError
from bundle.text import Text

from . import pointer as pointers
from . import receipt, sealed, store
from .filesystem import remove_file, remove_tree
from .paths import Prefix
from .pointer import Pointer
from .state import generation_names


def collect(prefix: Prefix, pointer: Pointer) -> list[str]:
    """Remove releases that the pointer does not keep, and model files no release uses; return their names."""
    removed = []
    for name in generation_names(prefix):
        if name not in pointer.kept:
            discard(prefix, name)
            removed.append(name)
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


def used_digests(prefix: Prefix) -> set[str]:
    """Return the digests of every file in every release."""
    digests: set[str] = set()
    for name in generation_names(prefix):
        try:
            entries = receipt.read(prefix.generation(name)).entries
        except (OSError, sealed.Damaged):
            continue
        digests.update(entry.sha256 for entry in entries if entry.path.startswith("models/"))
    return digests


def digest_of(prefix: Prefix, name: str) -> str:
    """Return the digest of the manifest that a complete release was made from."""
    return receipt.read(prefix.generation(name)).manifest
