"""What uv itself would install of a lock on another host: the oracle for our own selection.

uv says versions but no file names, so it is made to fetch: the lock is written again with a tiny wheel under
every file name, a loopback index serves them, and what uv asks for is what it chose.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import uv
from packaging.utils import parse_sdist_filename

from builder.inputs import TargetSpec
from builder.selection.lock import Lock, LockedFile, LockedPackage

from .index import Index, serve
from .wheels import sdist_bytes, wheel_bytes

# uv's name of each of our targets, at the same floor.
PLATFORMS = {
    "linux-x86_64": "x86_64-manylinux_2_28",
    "linux-aarch64": "aarch64-manylinux_2_28",
    "linux-x86_64-musl": "x86_64-unknown-linux-musl",
    "linux-aarch64-musl": "aarch64-unknown-linux-musl",
    "windows-amd64": "x86_64-pc-windows-msvc",
    "macos-arm64": "aarch64-apple-darwin",
    "macos-x86_64": "x86_64-apple-darwin",
}


@dataclass(frozen=True)
class Answer:
    """The files that uv asked for, or why it refused the lock."""

    files: frozenset[str]
    refusal: str


class Oracle:
    """Asks uv about the packages of a lock; only those that are published as files."""

    def __init__(self, lock: Lock, folder: Path) -> None:
        self.folder = folder
        self.packages = [package for package in lock.packages if package.tree is None]
        self._index = Index()
        for package in self.packages:
            for item in _files(package):
                self._index.files.setdefault(item.filename, _twin(item, package))
        self._runs = 0

    def choose(self, target: TargetSpec, python: str, without: Iterable[str] = ()) -> Answer:
        """Return what uv would install on the target with interpreter `python` (``X.Y.Z``).

        Args:
            without: names of packages to leave out: uv stops at the first that cannot be had.
        """
        self._runs += 1
        place = self.folder / str(self._runs)
        place.mkdir(parents=True)
        left_out = set(without)
        with serve(self._index):
            kept = (package for package in self.packages if package.name not in left_out)
            (place / "pylock.toml").write_text("".join(_document(kept, self._index)), encoding="utf-8")
            self._index.requests.clear()
            done = subprocess.run(
                [uv.find_uv_bin(), "pip", "install", "--no-deps", "--no-cache", "--no-progress", "--no-config",
                 "-r", "pylock.toml", "--target", "site", "--link-mode", "copy",
                 "--python-platform", PLATFORMS[target.name], "--python-version", python],
                cwd=place,
                env={**os.environ, "MACOSX_DEPLOYMENT_TARGET": target.libc_min if target.os == "macos" else "13.0"},
                capture_output=True,
                text=True,
                check=False,
            )  # fmt: skip
            asked = frozenset(name for _, name, _ in self._index.requests)
        return Answer(asked, done.stderr if done.returncode else "")


def _files(package: LockedPackage) -> Iterator[LockedFile]:
    yield from package.wheels
    if package.sdist is not None:
        yield package.sdist


def _twin(item: LockedFile, package: LockedPackage) -> bytes:
    if not item.filename.endswith(".whl"):
        name, version = parse_sdist_filename(item.filename)
        return sdist_bytes(name.replace("-", "_"), str(version))
    parts = item.filename.removesuffix(".whl").split("-")
    return wheel_bytes(parts[0], parts[1], {f"{parts[0]}.py": ""}, tag="-".join(parts[-3:]))


def _document(packages: Iterable[LockedPackage], index: Index) -> Iterator[str]:
    yield 'lock-version = "1.0"\ncreated-by = "tests"\n'
    for package in packages:
        yield f"\n[[packages]]\nname = {json.dumps(package.name)}\n"
        if package.version:
            yield f"version = {json.dumps(package.version)}\n"
        if package.marker:
            yield f"marker = {json.dumps(package.marker)}\n"
        if package.sdist is not None:
            yield f"sdist = {_entry(package.sdist, index)}\n"
        if package.wheels:
            yield f"wheels = [{', '.join(_entry(wheel, index) for wheel in package.wheels)}]\n"


def _entry(item: LockedFile, index: Index) -> str:
    digest = index.digest(item.filename)
    return f'{{ name = "{item.filename}", url = "{index.url}/files/{item.filename}", hashes = {{ sha256 = "{digest}" }} }}'
