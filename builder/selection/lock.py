"""What a lock says: packages, their files and sources, read from uv's pylock export (PEP 751).

Read tolerantly: what one entry lacks is an obstacle only on the targets that need the entry.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import tomllib
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.tags import Tag
from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from bundle.errors import BuildError
from bundle.text import Text


@dataclass(frozen=True)
class LockedFile:
    """One published file; `tags` and `build` are a wheel's. What the lock does not say is empty or 0."""

    filename: str
    url: str
    sha256: str
    size: int
    tags: frozenset[Tag] = frozenset()
    build: tuple[()] | tuple[int, str] = ()
    subdirectory: str = ""


@dataclass(frozen=True)
class LockedTree:
    """A source without a file: a commit of a git repository, or a folder where `commit` is empty."""

    kind: str
    url: str
    commit: str = ""
    subdirectory: str = ""
    editable: bool = False


@dataclass(frozen=True)
class LockedPackage:
    """One entry: needed where `marker` holds, had from the best of `wheels`, `sdist` or `tree`."""

    name: str
    version: str
    marker: str = ""
    index: str = ""
    wheels: tuple[LockedFile, ...] = ()
    sdist: LockedFile | None = None
    tree: LockedTree | None = None


@dataclass(frozen=True)
class Lock:
    """A project's part of a lock; `environments` are the only ones it was resolved for, if there are any."""

    requires_python: SpecifierSet
    environments: tuple[str, ...]
    packages: tuple[LockedPackage, ...]


def read_pylock(text: str, base: Path) -> Lock:
    """Read pylock TOML whose relative paths start at `base`.

    Raises:
        BuildError: it is not a lock that this version understands.
    """
    try:
        document = tomllib.loads(text)
        if str(document["lock-version"]).split(".")[0] != "1":
            raise ValueError(f"lock-version {document['lock-version']}")
        return Lock(
            SpecifierSet(document.get("requires-python", "")),
            tuple(document.get("environments", ())),
            tuple(read_package(entry, base) for entry in document.get("packages", ())),
        )
    except (
        tomllib.TOMLDecodeError,
        InvalidSpecifier,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
    ) as error:
        raise not_understood(f"{type(error).__name__}: {error}") from error


def not_understood(why: str, hint: Text | None = None) -> BuildError:
    """Return the error for a lock that cannot be read."""
    return BuildError(
        Text("잠금 파일을 이해할 수 없습니다", "the lock cannot be understood"),
        where="uv.lock",
        details=[Text(why, why)],
        hint=hint
        or Text("프로젝트에서 'uv lock'으로 다시 만드십시오", "make it again: 'uv lock' in the project"),
    )


def read_package(entry: Mapping[str, Any], base: Path) -> LockedPackage:
    """Read one entry of a pylock; a relative path starts at `base`."""
    wheels = [_wheel(item, base) for item in entry.get("wheels", ())]
    sdist = _file(entry["sdist"], base) if "sdist" in entry else None
    if "archive" in entry:
        # A file that the project names itself; as a wheel it has tags like any other.
        if _file(entry["archive"], base).filename.endswith(".whl"):
            wheels.append(_wheel(entry["archive"], base))
        else:
            sdist = _file(entry["archive"], base)
    return LockedPackage(
        name=entry["name"],
        version=entry.get("version", ""),
        marker=entry.get("marker", ""),
        index=entry.get("index", ""),
        wheels=tuple(wheels),
        sdist=sdist,
        tree=next(_trees(entry, base), None),
    )


def _trees(entry: Mapping[str, Any], base: Path) -> Iterator[LockedTree]:
    if "vcs" in entry:
        source = entry["vcs"]
        yield LockedTree(
            source["type"], _address(source, base), source["commit-id"], source.get("subdirectory", "")
        )
    if "directory" in entry:
        source = entry["directory"]
        yield LockedTree(
            "directory",
            _address(source, base),
            subdirectory=source.get("subdirectory", ""),
            editable=bool(source.get("editable")),
        )


def _file(item: Mapping[str, Any], base: Path) -> LockedFile:
    url = _address(item, base)
    return LockedFile(
        filename=item.get("name") or unquote(urlsplit(url).path.rsplit("/", 1)[-1]),
        url=url,
        sha256=item.get("hashes", {}).get("sha256", ""),
        size=item.get("size", 0),
        subdirectory=item.get("subdirectory", ""),
    )


def _wheel(item: Mapping[str, Any], base: Path) -> LockedFile:
    found = _file(item, base)
    try:
        _, _, build, tags = parse_wheel_filename(found.filename)
    except InvalidWheelFilename:
        # Nothing can install it; it fits no target.
        return found
    return LockedFile(found.filename, found.url, found.sha256, found.size, tags, build)


def _address(item: Mapping[str, Any], base: Path) -> str:
    if "path" in item:
        return Path(base, item["path"]).resolve().as_uri()
    return str(item.get("url", ""))
