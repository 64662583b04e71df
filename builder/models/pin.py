"""Pin a model: write down its commit, and size and SHA-256 of each file, from the hub or from a folder.

Of what the hub keeps as large files it tells the SHA-256 itself; nothing of them is downloaded. Of the small
files it only knows git's name of the content, so they are read, compared with that name, and hashed here.
The digests are then a change of two text files that a person reviews and commits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bundle.errors import BuildError, DownloadError, UsageProblem
from bundle.hashing import sha256_bytes
from bundle.text import Text

from .. import network
from ..cache import Cache
from . import local
from .formats import Finding, code_findings, name_findings
from .hub import Hub, OnBytes, Place, RemoteFile
from .spec import COMMIT, LOCAL, SHA256, ModelSpec, PinnedFile, Pins, matches_any

# What git itself stores on a hub is small; anything beyond is not what the hub says it is.
SMALL_BYTES = 64 << 20
# Far beyond any file of weights.
MODEL_BYTES = 1 << 44


@dataclass(frozen=True)
class Pinning:
    """What a pinning found: the pins, and what a build would refuse about these files."""

    pins: Pins
    findings: tuple[Finding, ...]


def pin_from_hub(spec: ModelSpec, hub: Hub, cache: Cache, revision: str | None) -> Pinning:
    """Look a model up at a revision (a commit, or a branch or tag that is one now) and return its pins.

    Raises:
        UsageProblem: the model has no repository.
        BuildError: a pattern of the declaration matches nothing, or names are tricks.
        DownloadError: the hub refused, or small files are not what it says.
    """
    if spec.local:
        raise UsageProblem(
            Text("저장소가 없는 모델입니다", "the model has no repository"),
            where=spec.name,
            hint=Text("--from 폴더를 주십시오", "give a folder with --from DIR"),
        )
    wanted = revision or spec.commit or "main"
    commit = hub.commit_of(spec.repository, wanted)
    if not COMMIT.match(commit) or (COMMIT.match(wanted) and commit != wanted):
        raise DownloadError(
            Text("허브가 다른 커밋을 답합니다", "the hub answers with another commit"),
            where=f"{spec.repository} {wanted} → {commit}",
        )
    remote = {item.path: item for item in hub.tree(spec.repository, commit)}
    chosen = _chosen(spec, sorted(remote))
    places: dict[str, Path] = {}
    files = []
    with network.client() as client:
        for path in chosen:
            item = remote[path]
            digest, size = item.sha256, item.size
            if (digest and not SHA256.match(digest)) or not 0 <= size <= MODEL_BYTES:
                raise DownloadError(
                    Text("허브의 목록이 말이 되지 않습니다", "the hub's list makes no sense"),
                    where=f"{spec.repository} {path}: {size} B sha256:{digest}",
                )
            if not digest:
                place = Place(spec.repository, commit, path)
                data = _checked(hub.small_file(client, place, SMALL_BYTES), item, place)
                digest = sha256_bytes(data)
                places[path] = _keep(cache, data, digest)
            files.append(PinnedFile(path, size, digest))
    pins = Pins(spec.repository, commit, tuple(files))
    return Pinning(pins, (*name_findings(chosen, spec), *code_findings(spec, places)))


def pin_from_folder(spec: ModelSpec, folder: Path, commit: str | None, on_bytes: OnBytes) -> Pinning:
    """Hash a model's files in a folder and return its pins.

    Of a model with a repository the folder is somebody's download, so the commit has to be told.

    Raises:
        UsageProblem: no such folder, or a commit that is missing or has another form.
        BuildError: a pattern of the declaration matches nothing, or names are tricks.
    """
    if not spec.local and (commit is None or not COMMIT.match(commit)):
        raise UsageProblem(
            Text("폴더가 어느 커밋인지 알 수 없습니다", "it is not known which commit the folder is"),
            where=str(folder),
            hint=Text("--commit 40자리를 주십시오", "give its 40 digits with --commit"),
        )
    chosen = _chosen(spec, local.folder_paths(folder))
    files = local.digests(folder, chosen, on_bytes)
    pins = Pins(spec.repository, local.list_digest(files) if spec.local else str(commit), files)
    places = {path: folder / path for path in chosen}
    return Pinning(pins, (*name_findings(chosen, spec), *code_findings(spec, places)))


def _chosen(spec: ModelSpec, paths: Sequence[str]) -> list[str]:
    """Return the files that the declaration asks for; a pattern without any is an error, not an empty model."""
    empty = [pattern for pattern in spec.files if not any(matches_any(path, [pattern]) for path in paths)]
    if empty:
        where = spec.repository if spec.repository != LOCAL else spec.name
        raise BuildError(
            Text("선언한 파일이 없습니다", "declared files are not there"),
            where=where,
            details=[Text(item, item) for item in empty],
            hint=Text(
                f"manifests/models/{spec.name}.toml의 files를 확인하십시오. 있는 파일: {', '.join(paths[:40])}",
                f"check 'files' in manifests/models/{spec.name}.toml. There are: {', '.join(paths[:40])}",
            ),
        )
    chosen = [path for path in paths if matches_any(path, spec.files)]
    tricks = [item for item in name_findings(chosen, spec) if not item.waivable]
    if tricks:
        raise BuildError(
            Text("받아들일 수 없는 파일 이름입니다", "file names that are not accepted"),
            where=spec.name,
            details=[item.text() for item in tricks],
        )
    return chosen


def _checked(data: bytes, item: RemoteFile, place: Place) -> bytes:
    """Compare a small file with the size and with git's name of the content (SHA-1 over ``blob SIZE NUL``)."""
    blob = hashlib.sha1(b"blob %d\0" % len(data), usedforsecurity=False)
    blob.update(data)
    if len(data) != item.size or blob.hexdigest() != item.blob:
        raise DownloadError(
            Text("받은 파일이 허브의 목록과 다릅니다", "the file received is not the one the hub lists"),
            where=place.url,
        )
    return data


def _keep(cache: Cache, data: bytes, digest: str) -> Path:
    """Put a file that had to be read anyway into the cache: the build then finds it there."""
    if not cache.has(digest):
        with cache.work_folder() as folder:
            (folder / "small").write_bytes(data)
            cache.admit(folder / "small", digest)
    return cache.path(digest)
