"""Download what the plan names into the cache: parallel, hash-enforced, resumable, checked on entry."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from bundle.errors import DownloadError, RagTraceError, SpaceError
from bundle.text import Text

from .cache import Cache, hash_prefix
from .plan import Artifact
from .wheels import wheelfile

if TYPE_CHECKING:
    import httpx

# One connection saturates neither an index nor a fast line; more than this gains nothing on 2 cores.
CONNECTIONS = 8
ATTEMPTS = 4
_PIECE = 1 << 20

OnBytes = Callable[[int], None]


def missing(cache: Cache, artifacts: Iterable[Artifact]) -> list[Artifact]:
    """Return the artefacts whose digest the cache does not hold."""
    return [item for item in artifacts if not cache.has(item.sha256)]


def fetch(cache: Cache, artifacts: Sequence[Artifact], on_bytes: OnBytes) -> None:
    """Bring every artefact into the cache.

    Raises:
        DownloadError: some could not be had; every one is named with its reason. The others are kept.
        SpaceError: the cache's disk is full.
    """
    wanted = missing(cache, artifacts)
    if not wanted:
        return
    # Largest first, so the longest download does not start last.
    wanted.sort(key=lambda item: -item.size)
    problems: list[Text] = []
    stop = threading.Event()

    def counted(count: int) -> None:
        # Ctrl-C reaches only the main thread; the others notice here and leave their partial files.
        if stop.is_set():
            raise KeyboardInterrupt
        on_bytes(count)

    with _client() as client, ThreadPoolExecutor(CONNECTIONS, thread_name_prefix="fetch") as pool:
        futures = {pool.submit(_fetch_one, cache, client, item, counted): item for item in wanted}
        try:
            for future, item in futures.items():
                error = future.exception()
                if isinstance(error, SpaceError):
                    raise error
                if isinstance(error, RagTraceError):
                    line = error.where or error.summary.en
                    problems.append(
                        Text(
                            f"{item.filename}: {error.summary.ko} ({line})",
                            f"{item.filename}: {error.summary.en} ({line})",
                        )
                    )
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


def remote_sizes(artifacts: Sequence[Artifact], cache: Cache) -> list[int]:
    """Return each artefact's size in bytes: from the lock, the cache, or a HEAD request; 0 where unknown."""
    unknown = [item for item in artifacts if not item.size and not cache.has(item.sha256)]
    asked: dict[str, int] = {}
    if unknown:
        with _client() as client, ThreadPoolExecutor(2 * CONNECTIONS) as pool:
            sizes = pool.map(lambda item: _head(client, item.source), unknown)
            asked = {item.sha256: size for item, size in zip(unknown, sizes, strict=True)}
    return [
        item.size
        or asked.get(item.sha256)
        or (cache.path(item.sha256).stat().st_size if cache.has(item.sha256) else 0)
        for item in artifacts
    ]


@contextlib.contextmanager
def _client() -> Iterator[httpx.Client]:
    import httpx  # imported here: a build from a warm cache needs no HTTP client

    limits = httpx.Limits(max_connections=2 * CONNECTIONS, max_keepalive_connections=2 * CONNECTIONS)
    headers = {"Accept-Encoding": "identity", "User-Agent": "ragtrace-builder"}
    with httpx.Client(timeout=60, follow_redirects=True, limits=limits, headers=headers) as client:
        yield client


def _head(client: httpx.Client, url: str) -> int:
    import httpx

    if url.startswith("file:"):
        return os.stat(_local_path(url)).st_size
    try:
        answer = client.head(url)
        answer.raise_for_status()
    except httpx.HTTPError:
        # The size is for the reader of the plan; the download itself reports what is wrong with a file.
        return 0
    return int(answer.headers.get("Content-Length", "0"))


def _fetch_one(cache: Cache, client: httpx.Client, item: Artifact, on_bytes: OnBytes) -> None:
    with cache.lock(item.sha256):
        if cache.has(item.sha256):
            return
        partial = cache.partial(item.sha256)
        try:
            digest = _download(client, item, partial, on_bytes)
        except OSError as error:
            raise SpaceError(
                Text("캐시에 쓸 수 없습니다", "the cache cannot be written"),
                where=f"{partial}: {error}",
                hint=Text(
                    "공간을 비우거나 RAGTRACE_CACHE_DIR를 바꾸십시오", "free space, or set RAGTRACE_CACHE_DIR"
                ),
            ) from error
        if digest != item.sha256:
            partial.unlink()
            raise DownloadError(
                Text(
                    "받은 내용의 해시가 잠금 파일과 다릅니다",
                    "the bytes received differ from the lock's hash",
                ),
                where=f"{item.source} sha256:{digest}",
            )
        if item.filename.endswith(".whl"):
            wheelfile.check(partial, item.filename)
        cache.admit(partial, item.sha256)
        (cache.root / "partial" / f"{item.sha256}.lock").unlink(missing_ok=True)


def _download(client: httpx.Client, item: Artifact, partial: Path, on_bytes: OnBytes) -> str:
    import httpx

    if item.source.startswith("file:"):
        if not _local_path(item.source).is_file():
            raise DownloadError(Text("파일이 없습니다", "there is no such file"), where=item.source)
        return _copy_local(item, partial, on_bytes)
    problem = ""
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(0.5 * 2**attempt)
        try:
            return _stream(client, item.source, partial, on_bytes)
        except httpx.HTTPStatusError as error:
            problem = f"HTTP {error.response.status_code} {item.source}"
            if error.response.status_code < 500 and error.response.status_code != 429:
                break
        except httpx.TransportError as error:
            problem = f"{type(error).__name__}: {error} {item.source}"
    raise DownloadError(Text("내려받기 실패", "download failed"), where=problem)


def _stream(client: httpx.Client, url: str, partial: Path, on_bytes: OnBytes) -> str:
    size, digest = hash_prefix(partial)
    headers = {"Range": f"bytes={size}-"} if size else {}
    with client.stream("GET", url, headers=headers) as answer:
        if answer.status_code == 416:
            # The earlier piece is whole already, or longer than the file: the digest decides.
            return digest.hexdigest()
        answer.raise_for_status()
        if size and not (
            answer.status_code == 206 and answer.headers.get("Content-Range", "").startswith(f"bytes {size}-")
        ):
            partial.unlink()
            size, digest = hash_prefix(partial)
        on_bytes(size)
        with partial.open("ab", buffering=0) as stream:
            for piece in answer.iter_raw(_PIECE):
                stream.write(piece)
                digest.update(piece)
                on_bytes(len(piece))
    return digest.hexdigest()


def _copy_local(item: Artifact, partial: Path, on_bytes: OnBytes) -> str:
    partial.unlink(missing_ok=True)
    with open(_local_path(item.source), "rb") as source, partial.open("wb") as stream:
        while piece := source.read(_PIECE):
            stream.write(piece)
            on_bytes(len(piece))
    return hash_prefix(partial)[1].hexdigest()


def _local_path(url: str) -> Path:
    return Path(unquote(urlsplit(url).path))
