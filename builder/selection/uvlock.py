"""Facts of ``uv.lock`` that its pylock export leaves out: format, conflicts, extras, versions of folders."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import tomllib
from packaging.utils import canonicalize_name

from bundle.text import Text

from .lock import LockedPackage, not_understood, read_package

VERSION = 1
# What the pinned uv writes. A newer revision only adds what an older uv may ignore, by uv's own rule.
REVISION = 5
_ENTRY = re.compile(r"^\[\[package\]\]$", re.MULTILINE)
# A file of an entry, on a line of its own as uv writes it, that has an address and no hash.
_UNPINNED = re.compile(r'^(?:sdist = |    )\{ (?:url|path) = "([^"]+)"(?!.*\bhash = )', re.MULTILINE)


@dataclass(frozen=True)
class Conflict:
    """Extras and groups of packages that exclude one another, each as ``("extra", package, name)``."""

    members: tuple[tuple[str, str, str], ...]


class UvLock:
    """The head of a lock, and its entries read one at a time: a lock has megabytes, a question a line.

    `unpinned` are the names of the files for which it has no hash: uv takes that of the index, or of the file.
    """

    def __init__(self, text: str) -> None:
        head, *blocks = _ENTRY.split(text)
        self._blocks: dict[str, list[str]] = {}
        for block in blocks:
            name = re.search(r'^name = "([^"]*)"$', block, re.MULTILINE)
            self._blocks.setdefault(name.group(1) if name else "", []).append(block)
        document = tomllib.loads(head)
        self.version = document.get("version")
        self.revision = document.get("revision", 0)
        self.unpinned = frozenset(
            unquote(urlsplit(address).path.rsplit("/", 1)[-1]) for address in _UNPINNED.findall(text)
        )
        self.conflicts = tuple(_conflict(members) for members in document.get("conflicts", ()))

    def entries(self, name: str) -> list[dict[str, Any]]:
        """Return the entries of a package, one for each locked version.

        Raises:
            BuildError: one is not TOML, or names no source.
        """
        try:
            found = [
                tomllib.loads("[[package]]" + block)["package"][0] for block in self._blocks.get(name, ())
            ]
        except tomllib.TOMLDecodeError as error:
            raise not_understood(f"{name}: {error}") from error
        if not all(isinstance(entry.get("source"), dict) for entry in found):
            raise not_understood(f"{name}: no source")
        return found

    def folder_version(self, name: str) -> str:
        """Return the version of a package that is locked from a folder; nothing where it is dynamic."""
        found = [
            entry.get("version", "")
            for entry in self.entries(name)
            if {"directory", "editable", "virtual"} & set(entry["source"])
        ]
        return str(found[0]) if len(found) == 1 else ""

    def extras(self, name: str) -> list[str]:
        """Return the extras that a package of the workspace declares."""
        return [
            extra
            for entry in self.entries(name)
            for extra in entry.get("metadata", {}).get("provides-extras", ())
        ]

    def excluded(self, project: str, extras: Sequence[str], groups: Sequence[str]) -> list[Conflict]:
        """Return the declared conflicts that choosing these extras and groups of `project` would meet."""
        chosen = {("extra", project, str(canonicalize_name(item))) for item in extras}
        chosen |= {("group", project, str(canonicalize_name(item))) for item in groups}
        met = [Conflict(tuple(item for item in each.members if item in chosen)) for each in self.conflicts]
        return [each for each in met if len(each.members) > 1]

    def published(self, name: str, base: Path) -> LockedPackage | None:
        """Return a package of a registry with its wheels, where it is locked at one version.

        Args:
            base: the folder of the lock.
        """
        entries = self.entries(name)
        if len(entries) != 1 or "registry" not in entries[0]["source"]:
            return None
        wheels = [
            {**item, "hashes": {"sha256": item.get("hash", "").removeprefix("sha256:")}}
            for item in entries[0].get("wheels", ())
        ]
        registry = base / str(entries[0]["source"]["registry"])
        return read_package({"name": name, "version": entries[0]["version"], "wheels": wheels}, registry)


def read_uv_lock(path: Path) -> UvLock:
    """Read the facts of a lock.

    Raises:
        BuildError: it cannot be read, is not TOML, or is newer than the uv that builds.
    """
    try:
        lock = UvLock(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise not_understood(f"{type(error).__name__}: {error}") from error
    if lock.version != VERSION:
        raise not_understood(
            f"version {lock.version!r} ≠ {VERSION}",
            Text(
                "더 새로운 uv가 만든 파일입니다: 이 빌더의 uv로 'uv lock'을 다시 실행하거나 빌더를 갱신하십시오",
                "another uv made it: run 'uv lock' with this builder's uv, or update the builder",
            ),
        )
    return lock


def newer_revision(lock: UvLock) -> Text | None:
    """Return what to know of a lock with a later revision than this builder's uv writes."""
    if isinstance(lock.revision, int) and lock.revision <= REVISION:
        return None
    return Text(
        f"uv.lock의 revision {lock.revision}은 이 빌더의 uv({REVISION})보다 새롭습니다. 모르는 항목은 무시됩니다",
        f"uv.lock has revision {lock.revision}, newer than this builder's uv ({REVISION}): "
        "what it does not know of it is ignored",
    )


def unpinned(lock: UvLock, filenames: Iterable[str]) -> Text | None:
    """Return which of the files are carried with a hash that the lock does not have."""
    found = sorted(lock.unpinned.intersection(filenames))
    if not found:
        return None
    listed = ", ".join(found)
    return Text(
        f"uv.lock에 해시가 없어 지금 색인이나 파일이 알려 준 해시를 썼습니다: {listed}",
        f"uv.lock has no hash of these; what the index or the file says now was taken: {listed}",
    )


def _conflict(members: Sequence[Mapping[str, str]]) -> Conflict:
    return Conflict(
        tuple(
            (kind, item["package"], item[kind])
            for item in members
            for kind in ("extra", "group")
            if kind in item
        )
    )
