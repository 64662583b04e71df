"""The content-addressed cache: a file's name is its SHA-256; everything else in the folder is scratch.

Nothing is trusted because of where it lies: whoever packs a cached file hashes it while reading, and a
file that differs is removed and fetched again. Several builds may share one cache: what is being fetched or
built has a kernel lock meanwhile, and the second comer finds the result. A file's modification time is when
it was last used (`cache_care` prunes by it); its bytes never change.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bundle.errors import IntegrityError, SpaceError
from bundle.hashing import sha256_file
from bundle.text import Text

from . import kernel_lock
from .cache_users import Register

# A use is noted at most once an hour: a build asks for every file several times.
_NOTED_AGAIN_S = 3600


def default_folder() -> Path:
    """Return ``RAGTRACE_CACHE_DIR``, else the user's cache folder."""
    given = os.environ.get("RAGTRACE_CACHE_DIR")
    if given:
        return Path(given).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(base) / "ragtrace"


def open_default() -> Cache:
    """Open the cache in its default folder and enter this process among its users.

    Nothing is pruned while it runs; the entry ends with the process, or when the cache is let go.

    Raises:
        SpaceError: the folder cannot be written.
    """
    try:
        cache = Cache(default_folder())
        cache.users.enter()
        return cache
    except OSError as error:
        raise SpaceError(
            Text("캐시 폴더를 쓸 수 없습니다", "the cache folder cannot be written"),
            where=str(error),
            hint=Text(
                "RAGTRACE_CACHE_DIR로 다른 폴더를 지정하십시오", "set RAGTRACE_CACHE_DIR to another folder"
            ),
        ) from error


class Cache:
    """Files by SHA-256, partial downloads, and what was built from which source."""

    def __init__(self, root: Path) -> None:
        """Open the cache at `root`, creating its folders."""
        self.root = root
        for name in ("files", "partial", "built", "work", "locks"):
            (root / name).mkdir(parents=True, exist_ok=True)
        self.users = Register(root)

    def path(self, sha256: str) -> Path:
        """Return where the file with this digest lies or would lie."""
        return self.root / "files" / sha256[:2] / sha256

    def has(self, sha256: str) -> bool:
        """Return whether a file of that name is there, and note its use; its bytes are checked when they are used."""
        place = self.path(sha256)
        try:
            status = place.stat()
        except OSError:
            return False
        if time.time() - status.st_mtime > _NOTED_AGAIN_S:
            with contextlib.suppress(OSError):  # somebody else's cache, shared for reading
                os.utime(place)
        return stat.S_ISREG(status.st_mode)

    def partial(self, sha256: str) -> Path:
        """Return the file that an unfinished download of this digest grows in."""
        return self.root / "partial" / sha256

    def admit(self, source: Path, sha256: str) -> Path:
        """Move a checked file on the same file system into the cache, atomically, and return its place."""
        place = self.path(sha256)
        place.parent.mkdir(exist_ok=True)
        os.chmod(source, 0o644)
        os.utime(source)
        os.replace(source, place)
        return place

    def verified(self, sha256: str) -> Path:
        """Return where the file lies, after comparing its bytes with its name.

        Raises:
            IntegrityError: they differ; the file is removed, so the next run fetches it again.
        """
        place = self.path(sha256)
        if sha256_file(place)[1] != sha256:
            raise self.poisoned(sha256, str(place))
        return place

    def poisoned(self, sha256: str, where: str) -> IntegrityError:
        """Remove a file that is not what its name says, and return the error that tells so."""
        self.drop(sha256)
        return IntegrityError(
            Text("캐시의 파일이 변했습니다", "a file in the cache has changed"),
            where=where,
            state=Text("그 파일을 캐시에서 지웠습니다", "it was removed from the cache"),
            hint=Text("같은 명령을 다시 실행하십시오", "run the same command again"),
        )

    def drop(self, sha256: str) -> None:
        """Remove a file that turned out not to be what its name says."""
        self.path(sha256).unlink(missing_ok=True)

    def built(self, key: str) -> dict[str, str] | None:
        """Return the record of an earlier build under `key`, if its file is still there."""
        try:
            record = json.loads((self.root / "built" / f"{key}.json").read_bytes())
        except (OSError, ValueError):
            return None
        if not isinstance(record, dict) or not self.has(str(record.get("sha256", ""))):
            return None
        return {str(name): str(value) for name, value in record.items()}

    def remember_built(self, key: str, record: dict[str, str]) -> None:
        """Write the record of a build under `key`."""
        place = self.root / "built" / f"{key}.json"
        temporary = place.with_name(f"{place.name}.{os.getpid()}")
        temporary.write_text(json.dumps(record, sort_keys=True), encoding="utf-8")
        os.replace(temporary, place)

    @contextlib.contextmanager
    def work_folder(self) -> Iterator[Path]:
        """Give a scratch folder on the cache's file system and remove it afterwards."""
        folder = Path(tempfile.mkdtemp(dir=self.root / "work"))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    @contextlib.contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Hold the kernel lock `name`; a killed holder releases it by dying."""
        with kernel_lock.held(self.root / "locks" / f"{name}.lock"):
            yield


def hash_prefix(path: Path) -> tuple[int, "hashlib._Hash"]:
    """Return the size of an unfinished download and the running SHA-256 over it."""
    digest = hashlib.sha256()
    size = 0
    if path.exists():
        with path.open("rb") as stream:
            while piece := stream.read(1 << 20):
                digest.update(piece)
                size += len(piece)
    return size, digest
