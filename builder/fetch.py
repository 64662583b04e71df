"""Bring what the plan names into the cache: parallel, hash-enforced, resumable, checked on entry."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from bundle.errors import DownloadError, IntegrityError, RagTraceError, SpaceError
from bundle.text import Text

from . import network
from .cache import Cache, hash_prefix
from .download import Download
from .plan import Artifact, local_path
from .wheels import wheelfile

if TYPE_CHECKING:
    import httpx

# Kinds that are one file behind an address; models come from their hub, trees are read where they are built.
FETCHED = ("wheel", "sdist", "uv", "interpreter")
_PIECE = 1 << 20

OnBytes = Callable[[int], None]
# Puts an artefact's bytes, checked, into the partial file and tells how many came.
Bring = Callable[[Artifact, Path, OnBytes], None]


def missing(cache: Cache, artifacts: Iterable[Artifact]) -> list[Artifact]:
    """Return the artefacts that are single files at an address and that the cache does not hold, each once."""
    wanted = {item.sha256: item for item in artifacts if _is_fetched(item) and not cache.has(item.sha256)}
    return list(wanted.values())


def _is_fetched(item: Artifact) -> bool:
    # An interpreter that was given is packed from where it lies.
    given = item.kind == "interpreter" and item.source.startswith("file:")
    return item.kind in FETCHED and not given


def fetch(
    cache: Cache, artifacts: Sequence[Artifact], on_bytes: OnBytes, logins: network.Logins | None = None
) -> None:
    """Bring every artefact into the cache.

    Raises:
        DownloadError: some could not be had; every one is named with its reason and remedy. The others are kept.
        SpaceError: the cache's disk is full.
    """
    wanted = missing(cache, artifacts)
    if not wanted:
        return
    with network.client(logins) as client:

        def bring(item: Artifact, partial: Path, counted: OnBytes) -> None:
            if item.source.startswith("file:"):
                _copy_local(item, partial, counted)
            else:
                Download(client, item.source, partial, counted).run(item.sha256)
            _check(partial, item)

        in_parallel(cache, wanted, bring, on_bytes, network.CONNECTIONS)


def in_parallel(
    cache: Cache, wanted: Sequence[Artifact], bring: Bring, on_bytes: OnBytes, connections: int
) -> None:
    """Let `bring` put every artefact's checked bytes into its partial file, and admit them to the cache.

    Each artefact is locked meanwhile: of two builds one fetches it, and the other finds it.

    Raises:
        DownloadError: some could not be had; every one is named with its reason and remedy. The others are kept.
        SpaceError: the cache's disk is full.
    """
    problems: list[Text] = []
    stop = threading.Event()

    def counted(count: int) -> None:
        # Ctrl-C reaches only the main thread; the others notice here and leave their partial files.
        if stop.is_set():
            raise KeyboardInterrupt
        on_bytes(count)

    # Largest first, so the longest download does not start last.
    ordered = sorted(wanted, key=lambda item: -item.size)
    with ThreadPoolExecutor(connections, thread_name_prefix="fetch") as pool:
        futures = {pool.submit(_fetch_one, cache, item, bring, counted): item for item in ordered}
        try:
            for future, item in futures.items():
                error = future.exception()
                if isinstance(error, SpaceError):
                    raise error
                if isinstance(error, RagTraceError):
                    problems += [_line(item.filename, error), *error.details]
                elif error is not None:
                    raise error
        except BaseException:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    if problems:
        raise DownloadError(
            Text(f"내려받지 못한 파일: {len(problems)}개", f"{len(problems)} file(s) could not be fetched"),
            details=problems,
            state=Text("받은 파일은 캐시에 남아 있습니다", "what was fetched stays in the cache"),
            hint=Text("같은 명령을 다시 실행하면 이어서 받습니다", "run the same command again: it resumes"),
        )


def remote_sizes(
    artifacts: Sequence[Artifact], cache: Cache, logins: network.Logins | None = None
) -> list[int]:
    """Return each artefact's size in bytes: from the lock, the cache, or a HEAD request; 0 where unknown."""
    unknown = [item for item in missing(cache, artifacts) if not item.size]
    asked: dict[str, int] = {}
    if unknown:
        with network.client(logins) as client, ThreadPoolExecutor(2 * network.CONNECTIONS) as pool:
            sizes = pool.map(lambda item: _head(client, item.source), unknown)
            asked = {item.sha256: size for item, size in zip(unknown, sizes, strict=True)}
    return [item.size or asked.get(item.sha256) or cached_size(cache, item.sha256) for item in artifacts]


def cached_size(cache: Cache, sha256: str) -> int:
    """Return the size in bytes of a cached file; 0 where the cache does not hold it."""
    return cache.path(sha256).stat().st_size if sha256 and cache.has(sha256) else 0


def _line(filename: str, error: RagTraceError) -> Text:
    ko, en = f"{filename}: {error.summary.ko}", f"{filename}: {error.summary.en}"
    if error.where:
        ko, en = f"{ko} ({error.where})", f"{en} ({error.where})"
    if error.hint is not None:
        ko, en = f"{ko} → {error.hint.ko}", f"{en} → {error.hint.en}"
    return Text(ko, en)


def _head(client: httpx.Client, url: str) -> int:
    import httpx

    if url.startswith("file:"):
        place = local_path(url)
        return place.stat().st_size if place.is_file() else 0
    try:
        answer = client.head(url)
        answer.raise_for_status()
    except httpx.HTTPError:
        # The size is for the reader of the plan; the download itself reports what is wrong with a file.
        return 0
    return int(answer.headers.get("Content-Length", "0"))


def _fetch_one(cache: Cache, item: Artifact, bring: Bring, on_bytes: OnBytes) -> None:
    with cache.lock(item.sha256):
        if cache.has(item.sha256):
            return
        partial = cache.partial(item.sha256)
        try:
            bring(item, partial, on_bytes)
        except OSError as error:
            raise SpaceError(
                Text("캐시에 쓸 수 없습니다", "the cache cannot be written"),
                where=f"{partial}: {error}",
                hint=Text(
                    "공간을 비우거나 RAGTRACE_CACHE_DIR를 바꾸십시오", "free space, or set RAGTRACE_CACHE_DIR"
                ),
            ) from error
        cache.admit(partial, item.sha256)


def _check(partial: Path, item: Artifact) -> None:
    from .sources import archives  # imported here: few plans have sources

    try:
        if item.filename.endswith(".whl"):
            wheelfile.check(partial, item.filename)
        elif item.kind == "sdist":
            archives.check(partial, item.filename)
    except RagTraceError:
        # Its bytes are what the lock says, so another download would bring the same.
        partial.unlink()
        raise


def _copy_local(item: Artifact, partial: Path, on_bytes: OnBytes) -> None:
    place = local_path(item.source)
    if not place.is_file():
        raise DownloadError(Text("파일이 없습니다", "there is no such file"), where=item.source)
    partial.unlink(missing_ok=True)
    with open(place, "rb") as source, partial.open("wb") as stream:
        while piece := source.read(_PIECE):
            stream.write(piece)
            on_bytes(len(piece))
    digest = hash_prefix(partial)[1].hexdigest()
    if digest != item.sha256:
        partial.unlink()
        raise IntegrityError(
            Text("파일이 잠금과 다릅니다", "the file differs from the lock"),
            where=f"{item.source} sha256:{digest}",
        )
