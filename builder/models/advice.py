"""What each refusal of the model hub means, and what a person does about it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bundle.errors import DownloadError
from bundle.text import Text

if TYPE_CHECKING:
    from huggingface_hub.errors import HfHubHTTPError

# "api";r=0;t=55 (draft-ietf-httpapi-ratelimit-headers): nothing is left for so many seconds.
_EXHAUSTED = re.compile(r";\s*r=0\s*;\s*t=(\d+)")
_GIVE_TOKEN = Text(
    "HF_TOKEN, 'hf auth login' 또는 --token-file로 토큰을 주십시오",
    "give a token with HF_TOKEN, 'hf auth login' or --token-file",
)


def patience(error: HfHubHTTPError) -> float | None:
    """Return the seconds that the hub asks to wait (0: it does not say), or None where waiting is no use."""
    status = error.response.status_code
    if status < 500 and status not in (408, 425, 429):
        return None
    value = error.response.headers.get("Retry-After", "").strip()
    if value.isdigit():
        return float(value)
    limit = _EXHAUSTED.search(error.response.headers.get("RateLimit", ""))
    return float(limit[1]) if limit else 0.0


def refused(error: HfHubHTTPError, where: str, page: str, has_token: bool) -> DownloadError:
    """Return the error that a person sees; `page` is the repository's page, `has_token` whether one was sent."""
    status = error.response.status_code
    reason, remedy = _meaning(error, page, has_token)
    wait = patience(error)
    asked = f" (Retry-After {wait:.0f} s)" if wait else ""
    return DownloadError(reason, where=f"HTTP {status} {where}{asked}", hint=remedy)


def _meaning(error: HfHubHTTPError, page: str, has_token: bool) -> tuple[Text, Text]:
    from huggingface_hub import errors

    status = error.response.status_code
    if error.response.headers.get("X-Error-Message") == "Invalid credentials in Authorization header":
        return (
            Text("토큰이 틀렸거나 만료되었습니다", "the token is wrong or has expired"),
            Text(
                "허브의 Settings → Access Tokens에서 새 토큰을 만드십시오",
                "make a new one at the hub under Settings → Access Tokens",
            ),
        )
    if isinstance(error, errors.GatedRepoError):
        return _gated(page, has_token)
    if isinstance(error, errors.RevisionNotFoundError):
        return (
            Text("저장소에 그 커밋이 없습니다", "the repository has no such commit"),
            Text(
                "저장소의 역사가 바뀌었을 수 있습니다: 확인하고 'models pin'으로 다시 고정하십시오",
                "its history may have been rewritten: look at it, then pin it again with 'models pin'",
            ),
        )
    if isinstance(error, errors.EntryNotFoundError):
        return (
            Text("그 커밋에 파일이 없습니다", "there is no such file at that commit"),
            Text("manifests/models의 files를 확인하십시오", "check 'files' in manifests/models"),
        )
    if isinstance(error, errors.RepositoryNotFoundError):
        if has_token:
            return (
                Text(
                    "저장소가 없거나 이 토큰으로 볼 수 없습니다", "no such repository, or not for this token"
                ),
                Text(
                    f"이름과 계정의 권한을 확인하십시오: {page}",
                    f"check its name and your account's rights: {page}",
                ),
            )
        return Text("저장소가 없거나 비공개입니다", "no such repository, or a private one"), _GIVE_TOKEN
    return _by_status(status, page, has_token)


def _gated(page: str, has_token: bool) -> tuple[Text, Text]:
    reason = Text("사용 조건에 동의해야 받을 수 있는 저장소입니다", "the repository is gated")
    accept = Text(f"{page} 에서 라이선스에 동의하십시오", f"accept its licence at {page}")
    if has_token:
        return reason, Text(
            f"이 토큰의 계정으로 {accept.ko} (승인에 시간이 걸릴 수 있음)",
            f"{accept.en} with this token's account (approval may take a while)",
        )
    return reason, Text(f"{accept.ko}. 그리고 {_GIVE_TOKEN.ko}", f"{accept.en}, then {_GIVE_TOKEN.en}")


def _by_status(status: int, page: str, has_token: bool) -> tuple[Text, Text]:
    if status == 401:
        return Text("허브가 인증을 요구합니다", "the hub asks for a token"), _GIVE_TOKEN
    if status == 403:
        return (
            Text("토큰에 이 저장소를 읽을 권한이 없습니다", "the token may not read this repository")
            if has_token
            else Text("접근이 거부되었습니다", "access is refused"),
            Text(
                f"토큰의 읽기 권한과 프록시를 확인하십시오: {page}",
                f"check the token's read permission, and the proxy: {page}",
            ),
        )
    if status == 404:
        return (
            Text("허브에 없습니다", "the hub does not have it"),
            Text("이름과 HF_ENDPOINT를 확인하십시오", "check its name and HF_ENDPOINT"),
        )
    if status == 429:
        return (
            Text("허브의 요청 한도를 넘었습니다", "the hub's rate limit is reached"),
            Text(
                "허브가 말한 시간 뒤에 다시 실행하십시오 (토큰이 있으면 한도가 큽니다): 이어서 받습니다",
                "run again after the time it asks for (limits are wider with a token): it resumes",
            ),
        )
    if status >= 500:
        return (
            Text("허브에 장애가 있습니다", "the hub fails"),
            Text("잠시 뒤 다시 실행하십시오: 이어서 받습니다", "run again a little later: it resumes"),
        )
    return (
        Text("허브가 거부했습니다", "the hub refuses"),
        Text(f"저장소를 확인하십시오: {page}", f"look at the repository: {page}"),
    )


def changed(where: str, fact: str) -> DownloadError:
    """Return the error for a file that the hub describes otherwise than it was pinned."""
    return DownloadError(
        Text("허브의 파일이 고정된 것과 다릅니다", "the hub's file is not the pinned one"),
        where=f"{where} {fact}",
        hint=Text(
            "저장소를 확인하고 'models pin'으로 다시 고정하십시오",
            "look at the repository, then pin it again with 'models pin'",
        ),
    )


def offline() -> DownloadError:
    """Return the error for a library that was told to stay offline."""
    return DownloadError(
        Text("HF_HUB_OFFLINE이 켜져 있습니다", "HF_HUB_OFFLINE is set"),
        hint=Text(
            "변수를 해제하거나 --model 이름=폴더를 쓰십시오",
            "unset it, or give a folder with --model NAME=DIR",
        ),
    )
