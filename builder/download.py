"""Download one file over HTTP: resumed by range, retried with patience, its SHA-256 computed on the way."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING

from bundle.errors import DownloadError
from bundle.text import Text

from . import network
from .cache import hash_prefix

if TYPE_CHECKING:
    import httpx

ATTEMPTS = 4
# A server that asks for more patience than this is left alone until the next run.
_LONGEST_WAIT_S = 60.0
_PIECE = 1 << 20

OnBytes = Callable[[int], None]


class _Changed(Exception):
    """The file on the server is not the one that the earlier piece came from."""


class Download:
    """One file on its way into `partial`; `counted` bytes of it have been reported.

    What an answer means to a person depends on who was asked: a model hub's download overrides
    `status_advice` and `changed`.
    """

    changed = Text(
        "색인의 파일이 바뀌었거나 중간에서 변조되었습니다: 원본을 확인하고 다시 잠그십시오",
        "the file on the index changed, or was changed on the way: ask its source, then lock again",
    )

    def __init__(
        self,
        client: httpx.Client,
        url: str,
        partial: Path,
        on_bytes: OnBytes,
        headers: Mapping[str, str] | None = None,
        size: int = 0,
    ) -> None:
        """Prepare; nothing is asked for yet. With a `size`, no byte beyond it is taken."""
        self._client = client
        self._url = url
        self._partial = partial
        self._on_bytes = on_bytes
        self._headers = dict(headers or {})
        self._size = size
        self._counted = 0
        self._etag = ""

    def run(self, sha256: str) -> None:
        """Fetch the file, whose digest must be `sha256`.

        Raises:
            DownloadError: refused, unreachable after several attempts, or other bytes than promised; then
                nothing of it is kept.
        """
        resumed = self._partial.exists()
        digest = self._attempts()
        if digest != sha256 and resumed:
            # The earlier piece may have been damaged, or of a file that has changed since: once from the start.
            self._forget()
            digest = self._attempts()
        if digest != sha256:
            self._forget()
            raise DownloadError(
                Text(
                    "받은 내용의 해시가 약속과 다릅니다",
                    "the bytes received differ from the promised hash",
                ),
                where=f"{network.shown(self._url)} sha256:{digest}",
                hint=self.changed,
            )

    def status_advice(self, status: int) -> tuple[Text, Text]:
        """Return what an HTTP status means for this file, and what to do about it."""
        return network.status_advice(status)

    def _attempts(self) -> str:
        import httpx

        problem = None
        for attempt in range(ATTEMPTS):
            wait = 0.5 * 2**attempt if attempt else 0.0
            try:
                if wait:
                    time.sleep(wait)
                return self._stream()
            except _Changed:
                self._forget()
                problem = self._problem(
                    Text("받는 동안 서버의 파일이 바뀝니다", "the file on the server keeps changing"), ""
                )
            except httpx.HTTPStatusError as error:
                status = error.response.status_code
                reason, remedy = self.status_advice(status)
                problem = self._problem(reason, f"HTTP {status}", remedy)
                asked = _retry_after(error.response)
                if asked > _LONGEST_WAIT_S or (status < 500 and status not in (408, 425, 429)):
                    break
                if attempt + 1 < ATTEMPTS:
                    time.sleep(asked)
            except httpx.TransportError as error:
                reason, remedy = network.transport_advice(error)
                problem = self._problem(reason, f"{type(error).__name__}: {error}", remedy)
        assert problem is not None
        raise problem

    def _stream(self) -> str:
        size, digest = hash_prefix(self._partial)
        headers = {**self._headers, "Range": f"bytes={size}-"} if size else dict(self._headers)
        if size and self._etag:
            headers["If-Range"] = self._etag
        with self._client.stream("GET", self._url, headers=headers) as answer:
            if answer.status_code == 416:
                # The earlier piece is whole already, or longer than the file: the digest decides.
                return digest.hexdigest()
            answer.raise_for_status()
            self._note_etag(answer)
            if answer.status_code == 206:
                if not answer.headers.get("Content-Range", "").startswith(f"bytes {size}-"):
                    raise _Changed
            elif size:
                # The whole file again: the server knows no ranges, or has another file by now.
                self._forget()
                size, digest = hash_prefix(self._partial)
            self._report(size - self._counted)
            with self._partial.open("ab", buffering=0) as stream:
                for piece in answer.iter_raw(_PIECE):
                    size += len(piece)
                    if self._size and size > self._size:
                        raise _Changed
                    stream.write(piece)
                    digest.update(piece)
                    self._report(len(piece))
        return digest.hexdigest()

    def _note_etag(self, answer: httpx.Response) -> None:
        etag = answer.headers.get("ETag", "")
        # A weak validator promises equal meaning, not equal bytes (RFC 9110, 13.1.5).
        strong = etag if etag.startswith('"') else ""
        if answer.status_code == 206 and self._etag and strong and strong != self._etag:
            raise _Changed
        self._etag = strong

    def _report(self, count: int) -> None:
        if count:
            self._counted += count
            self._on_bytes(count)

    def _forget(self) -> None:
        self._partial.unlink(missing_ok=True)
        self._etag = ""
        self._report(-self._counted)

    def _problem(self, reason: Text, fact: str, remedy: Text | None = None) -> DownloadError:
        return DownloadError(reason, where=f"{fact} {network.shown(self._url)}".strip(), hint=remedy)


def _retry_after(answer: httpx.Response) -> float:
    """Return the seconds that the server asks to wait (RFC 9110, 10.2.3): a number or a date; else 0."""
    value = answer.headers.get("Retry-After", "").strip()
    if value.isdigit():
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(timezone.utc)).total_seconds())
    except (ValueError, TypeError):
        return 0.0
