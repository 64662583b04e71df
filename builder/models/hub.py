"""The model hub through `huggingface_hub`: what a repository holds at a commit, and its files, resumed.

The library asks (addresses, tokens, redirects, its errors); the bytes come by our own downloader, because the
library gives up what it has of a file when its process dies (docs/adr/0010). ``HF_ENDPOINT``, ``HF_TOKEN``,
``HF_HOME`` and the login of ``hf auth login`` mean what they mean to the library.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from bundle.errors import DownloadError, UsageProblem
from bundle.text import Text

from .. import network
from ..download import Download
from . import advice

if TYPE_CHECKING:
    import httpx
    from huggingface_hub import HfApi
    from huggingface_hub.file_download import HfFileMetadata

ATTEMPTS = 4
# A hub that asks for more patience than this is left alone until the next run.
LONGEST_WAIT_S = 60.0
_HUB = "https://huggingface.co"
_SOURCE = re.compile(r"hf://(?P<repository>[^/@]+/[^/@]+)@(?P<commit>[^/]+)/(?P<path>.+)\Z")
_SHA256 = re.compile(r"[0-9a-f]{64}\Z")
_TOKEN = re.compile(r"[\x21-\x7e]{8,}\Z")
# The library reads these once, when it is imported: no telemetry, no second protocol with a cache of its own.
_SWITCHES = {
    "HF_HUB_DISABLE_XET": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_UPDATE_CHECK": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_VERBOSITY": "critical",
    "DO_NOT_TRACK": "1",
}

OnBytes = Callable[[int], None]
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class RemoteFile:
    """One file of a repository at a commit; `sha256` is empty for what git itself stores, `blob` is git's name."""

    path: str
    size: int
    sha256: str
    blob: str


@dataclass(frozen=True)
class Place:
    """Where a file of a model is: repository, commit and path."""

    repository: str
    commit: str
    path: str

    @property
    def url(self) -> str:
        """Return the place as plans name it."""
        return f"hf://{self.repository}@{self.commit}/{self.path}"


def place_of(url: str) -> Place | None:
    """Return the place that an ``hf://`` address names, or None for other addresses."""
    match = _SOURCE.match(url)
    return Place(match["repository"], match["commit"], match["path"]) if match else None


def read_token(path: Path) -> str:
    """Read an access token from a file.

    Raises:
        UsageProblem: it cannot be read, or holds no token. The content is never shown.
    """
    try:
        token = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageProblem(
            Text("토큰 파일을 읽을 수 없습니다", "the token file cannot be read"), where=str(path)
        ) from error
    if not _TOKEN.match(token):
        raise UsageProblem(
            Text("토큰 파일에 토큰 한 줄이 없습니다", "the token file does not hold one line with a token"),
            where=str(path),
        )
    return token


class Hub:
    """One hub and the rights of one token; safe to use from several threads."""

    def __init__(self, token: str | None = None) -> None:
        """Prepare; `token` None lets the library find the user's own."""
        self.endpoint = (os.environ.get("HF_ENDPOINT") or _HUB).rstrip("/")
        self._token = token

    def commit_of(self, repository: str, revision: str) -> str:
        """Return the commit that a branch, tag or commit of the repository is now.

        Raises:
            DownloadError: with its own advice for each way the hub refuses.
        """
        api = self._api()
        info = self._ask(
            repository,
            lambda: api.model_info(
                repository, revision=revision, token=self._token, timeout=network.TIMEOUT_S
            ),
        )
        if not info.sha:
            raise DownloadError(
                Text("허브가 커밋을 알려 주지 않습니다", "the hub does not tell the commit"), where=repository
            )
        return str(info.sha)

    def tree(self, repository: str, commit: str) -> list[RemoteFile]:
        """Return every file of the repository at a commit, with what the hub says of it.

        Raises:
            DownloadError: as of `commit_of`.
        """
        api = self._api()
        from huggingface_hub.hf_api import RepoFile

        listed = self._ask(
            repository,
            lambda: list(api.list_repo_tree(repository, recursive=True, revision=commit, token=self._token)),
        )
        return [
            RemoteFile(item.path, item.size, item.lfs.sha256 if item.lfs else "", item.blob_id)
            for item in listed
            if isinstance(item, RepoFile)
        ]

    def download(
        self,
        client: httpx.Client,
        place: Place,
        size: int,
        sha256: str,
        partial: Path,
        on_bytes: OnBytes,
    ) -> None:
        """Bring one pinned file into `partial`, going on where an earlier run stopped.

        Raises:
            DownloadError: refused, unreachable, or not the pinned file; then nothing of it is kept.
        """
        for last in (False, True):
            found = self._metadata(place)
            self._check_metadata(place, found, size, sha256)
            file = _HubFile(client, found.location, partial, on_bytes, self._headers(found.location), size)
            try:
                file.run(sha256)
                return
            except DownloadError:
                # The storage's address is signed and expires while a long download waits for its turn.
                if last or file.status not in (401, 403):
                    raise

    def small_file(self, client: httpx.Client, place: Place, limit: int) -> bytes:
        """Return the bytes of a file that git itself stores, which has no SHA-256 on the hub.

        Raises:
            DownloadError: as of `download`, or more than `limit` bytes.
        """
        import httpx

        found = self._metadata(place)
        url = found.location
        try:
            with client.stream("GET", url, headers=self._headers(url)) as answer:
                answer.raise_for_status()
                data = b""
                for piece in answer.iter_bytes():
                    data += piece
                    if len(data) > limit:
                        raise DownloadError(
                            Text("파일이 허브의 설명보다 큽니다", "the file is larger than the hub says"),
                            where=place.url,
                        )
                return data
        except httpx.HTTPStatusError as error:
            reason, remedy = _storage_advice(error.response.status_code, url)
            raise DownloadError(
                reason, where=f"HTTP {error.response.status_code} {place.url}", hint=remedy
            ) from error
        except httpx.TransportError as error:
            reason, remedy = network.transport_advice(error)
            raise DownloadError(
                reason, where=f"{type(error).__name__}: {error} {place.url}", hint=remedy
            ) from error

    def _api(self) -> HfApi:
        library()
        from huggingface_hub import HfApi

        return HfApi(endpoint=self.endpoint)

    def _metadata(self, place: Place) -> HfFileMetadata:
        library()
        from huggingface_hub import get_hf_file_metadata, hf_hub_url

        url = hf_hub_url(place.repository, place.path, revision=place.commit, endpoint=self.endpoint)
        return self._ask(
            place.repository,
            lambda: get_hf_file_metadata(url, token=self._token, endpoint=self.endpoint),
            place.path,
        )

    def _headers(self, location: str) -> dict[str, str]:
        """Return the headers of a download; the token goes to the hub itself and to nobody else."""
        token = self._sent_token() if _origin(location) == _origin(self.endpoint) else ""
        return {"Authorization": f"Bearer {token}"} if token else {}

    def _check_metadata(self, place: Place, found: HfFileMetadata, size: int, sha256: str) -> None:
        """Notice before gigabytes arrive that the hub would send something else than what is pinned."""
        if found.commit_hash != place.commit:
            raise advice.changed(place.url, f"X-Repo-Commit {found.commit_hash}")
        etag = found.etag or ""
        if _SHA256.match(etag) and etag != sha256:
            raise advice.changed(place.url, f"sha256:{etag}")
        if found.size is not None and size and found.size != size:
            raise advice.changed(place.url, f"{found.size} ≠ {size} B")

    def _ask(self, repository: str, question: Callable[[], Answer], path: str = "") -> Answer:
        """Ask the hub, again after a passing fault, and turn what it refuses into advice."""
        library()
        import httpx2
        from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

        page = f"{self.endpoint}/{repository}"
        where = f"{repository} {path}".strip()
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return question()
            except HfHubHTTPError as error:
                wait = advice.patience(error)
                if wait is None or wait > LONGEST_WAIT_S or attempt == ATTEMPTS:
                    raise advice.refused(error, where, page, bool(self._sent_token())) from error
                time.sleep(wait or 0.5 * 2**attempt)
            except OfflineModeIsEnabled as error:
                raise advice.offline() from error
            except httpx2.TransportError as error:
                if attempt == ATTEMPTS:
                    reason, remedy = network.transport_advice(error)
                    raise DownloadError(
                        reason, where=f"{type(error).__name__}: {error} {page}", hint=remedy
                    ) from error
                time.sleep(0.5 * 2**attempt)
            except httpx2.HTTPError as error:
                raise DownloadError(
                    Text("허브의 답을 이해할 수 없습니다", "the hub's answer makes no sense"),
                    where=f"{type(error).__name__}: {error} {page}",
                ) from error
        raise AssertionError("the loop returns or raises")

    def _sent_token(self) -> str:
        """Return the token that goes with a question: the given one, else the user's own as the library finds it."""
        library()
        from huggingface_hub import constants, get_token

        if self._token or constants.HF_HUB_DISABLE_IMPLICIT_TOKEN:
            return self._token or ""
        return get_token() or ""


class _HubFile(Download):
    """A download from the hub or its storage; `status` is the last refusal."""

    changed = Text(
        "허브의 파일이 바뀌었거나 중간에서 변조되었습니다: 저장소를 확인하고 'models pin'으로 다시 고정하십시오",
        "the hub's file changed, or was changed on the way: look at the repository, then pin it again with "
        "'models pin'",
    )
    status = 0

    def status_advice(self, status: int) -> tuple[Text, Text]:
        """Return what the storage's answer means."""
        self.status = status
        return _storage_advice(status, self._url)


def _storage_advice(status: int, url: str) -> tuple[Text, Text]:
    host = urlsplit(url).hostname or ""
    if status in (401, 403):
        return (
            Text("저장소 서버가 거부했습니다", "the hub's storage refuses"),
            Text(
                f"프록시에서 {host}를 허용하고 다시 실행하십시오",
                f"let the proxy allow {host}, then run again",
            ),
        )
    if status == 404:
        return (
            Text("저장소 서버에 파일이 없습니다", "the hub's storage does not have the file"),
            Text(
                "저장소를 확인하고 'models pin'으로 다시 고정하십시오",
                "look at the repository, then pin it again with 'models pin'",
            ),
        )
    return network.status_advice(status)


def library() -> None:
    """Set the library's switches; it reads them once, so this comes before the first import of it."""
    for name, value in _SWITCHES.items():
        os.environ.setdefault(name, value)


def _origin(url: str) -> tuple[str, str, int]:
    parts = urlsplit(url)
    return (
        parts.scheme,
        (parts.hostname or "").lower(),
        parts.port or (443 if parts.scheme == "https" else 80),
    )
