"""Locks from a few words of description."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from packaging.specifiers import SpecifierSet

from builder.selection.lock import Lock, LockedPackage, read_package
from bundle.hashing import sha256_bytes


def published(name: str, version: str, *files: str, marker: str = "", **changes: Any) -> LockedPackage:
    """Return a package of an index with these files; a name that is no wheel's is the sdist."""
    entry: dict[str, Any] = {"name": name, "version": version, "marker": marker, "wheels": [], **changes}
    for filename in files:
        digest = sha256_bytes(filename.encode())
        item = {"url": f"https://index.example/{filename.replace('+', '%2B')}", "hashes": {"sha256": digest}}
        if filename.endswith(".whl"):
            entry["wheels"].append(item)
        else:
            entry["sdist"] = item
    return read_package(entry, Path("/project"))


def locked(*packages: LockedPackage, requires: str = "", environments: tuple[str, ...] = ()) -> Lock:
    """Return a lock of these packages."""
    return Lock(SpecifierSet(requires), environments, packages)
