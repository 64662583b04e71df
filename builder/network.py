"""The HTTP side of downloads: one client, its certificate authorities, credentials, and advice on errors.

Proxies are httpx's own business (``HTTPS_PROXY``, ``NO_PROXY``). Credentials are looked for where uv looks for
them, except keyrings: in the index addresses of the environment, in ``UV_INDEX_<NAME>_USERNAME`` and
``_PASSWORD`` for the indexes that the project names, and in netrc. They are sent to their own host only and
never printed.
"""

from __future__ import annotations

import contextlib
import netrc
import os
import re
import ssl
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit, urlunsplit

import tomllib

from bundle.errors import UsageProblem
from bundle.text import Text

if TYPE_CHECKING:
    import httpx

    from .inputs import ProjectSpec

# One connection saturates neither an index nor a fast line; more than this gains nothing on 2 cores.
CONNECTIONS = 8
TIMEOUT_S = 60
_INDEX_VARIABLES = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX", "UV_EXTRA_INDEX_URL", "PIP_INDEX_URL")
# What pip, requests and curl read; the first that is set is used besides the system's authorities.
_AUTHORITY_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "PIP_CERT", "CURL_CA_BUNDLE")

Logins = Mapping[str, tuple[str, str]]


@contextlib.contextmanager
def client(logins: Logins | None = None) -> Iterator[httpx.Client]:
    """Give an HTTP client for parallel downloads; `logins` are user and password by host."""
    import httpx  # imported here: a build from a warm cache needs no HTTP client

    known = dict(logins or {})

    class PerHost(httpx.Auth):
        def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
            """Add the host's credentials, if it has some."""
            login = known.get(request.url.host)
            if login is not None and "Authorization" not in request.headers:
                yield from httpx.BasicAuth(*login).auth_flow(request)
            else:
                yield request

    limits = httpx.Limits(max_connections=2 * CONNECTIONS, max_keepalive_connections=2 * CONNECTIONS)
    headers = {"Accept-Encoding": "identity", "User-Agent": "ragtrace-builder"}
    with httpx.Client(
        timeout=TIMEOUT_S,
        follow_redirects=True,
        limits=limits,
        headers=headers,
        auth=PerHost(),
        verify=tls_context(),
    ) as opened:
        yield opened


def tls_context() -> ssl.SSLContext:
    """Return a verifying context: the system's authorities, those the environment names, else certifi's."""
    context = ssl.create_default_context()
    named = _named_authorities()
    if named is not None:
        context.load_verify_locations(cafile=named)
        return context
    if not context.cert_store_stats()["x509_ca"] and not _has_folder():
        import httpx

        return httpx.create_ssl_context()  # which brings certifi's
    return context


def authorities() -> str | None:
    """Return the file or folder of authorities for a child that knows none of this; None: its own will do."""
    paths = ssl.get_default_verify_paths()
    return _named_authorities() or paths.cafile or (paths.capath if _has_folder() else None)


def _named_authorities() -> str | None:
    places = (os.environ.get(variable) for variable in _AUTHORITY_VARIABLES)
    return next((place for place in places if place and Path(place).is_file()), None)


def _has_folder() -> bool:
    # OpenSSL reads this folder when a connection needs it; nothing of it is counted before.
    folder = ssl.get_default_verify_paths().capath
    return folder is not None and any(Path(folder).iterdir())


def logins_of(project: ProjectSpec | None, environment: Mapping[str, str] | None = None) -> Logins:
    """Return user and password by host, from netrc, the project's named indexes and the environment's.

    Raises:
        UsageProblem: there is a netrc file that cannot be read.
    """
    variables = os.environ if environment is None else environment
    found = _netrc(variables)
    for name, url in _named_indexes(project).items():
        stem = f"UV_INDEX_{re.sub(r'[^A-Z0-9]', '_', name.upper())}"
        user, password = variables.get(f"{stem}_USERNAME"), variables.get(f"{stem}_PASSWORD")
        host = urlsplit(url).hostname
        if host and (user or password):
            found[host] = (user or "", password or "")
    for variable in _INDEX_VARIABLES:
        for word in variables.get(variable, "").split():
            parts = urlsplit(word.partition("=")[2] if re.match(r"[A-Za-z0-9_-]+=", word) else word)
            if parts.hostname and parts.username:
                found[parts.hostname] = (unquote(parts.username), unquote(parts.password or ""))
    return found


def _named_indexes(project: ProjectSpec | None) -> dict[str, str]:
    if project is None:
        return {}
    found: dict[str, str] = {}
    for root in {project.root, project.workspace}:
        try:
            table = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
            continue  # a workspace root without a readable project names no index; load_project judged ours
        for index in table.get("tool", {}).get("uv", {}).get("index", []):
            if isinstance(index, dict) and index.get("name") and index.get("url"):
                found[str(index["name"])] = str(index["url"])
    return found


def _netrc(variables: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    place = Path(variables.get("NETRC") or Path.home() / ".netrc")
    try:
        table = netrc.netrc(str(place))
    except FileNotFoundError:
        return {}
    except (OSError, netrc.NetrcParseError) as error:
        raise UsageProblem(
            Text("netrc 파일을 읽을 수 없습니다", "the netrc file cannot be read"),
            where=f"{place}: {type(error).__name__}",  # the parser's own words may quote a password
            hint=Text("고치거나 NETRC로 다른 파일을 지정하십시오", "mend it, or name another one with NETRC"),
        ) from error
    return {host: (login, password or "") for host, (login, _, password) in table.hosts.items()}


def shown(url: str) -> str:
    """Return an address as it may be printed: without user, password and query."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "", ""))


def status_advice(status: int) -> tuple[Text, Text]:
    """Return what an HTTP status means for a download, and what to do about it."""
    known = {
        401: (
            Text("인증이 필요합니다", "credentials are needed"),
            Text(
                "netrc 또는 UV_INDEX_<이름>_USERNAME/_PASSWORD를 설정하십시오",
                "set them in netrc or in UV_INDEX_<NAME>_USERNAME and _PASSWORD",
            ),
        ),
        403: (
            Text("접근이 거부되었습니다", "access is refused"),
            Text(
                "계정의 권한과 프록시의 허용 목록을 확인하십시오",
                "check the account's rights and the proxy's list of allowed hosts",
            ),
        ),
        404: (
            Text("색인에 파일이 없습니다", "the index does not have the file"),
            Text(
                "삭제된 버전일 수 있습니다: 'uv lock --upgrade-package 이름'으로 다시 잠그십시오",
                "the version may have been removed: lock again with 'uv lock --upgrade-package NAME'",
            ),
        ),
        407: (
            Text("프록시가 인증을 요구합니다", "the proxy asks for credentials"),
            Text("HTTPS_PROXY에 사용자와 암호를 넣으십시오", "put user and password into HTTPS_PROXY"),
        ),
        429: (
            Text("요청이 너무 많다고 합니다", "too many requests"),
            Text("잠시 뒤 다시 실행하십시오: 이어서 받습니다", "run again a little later: it resumes"),
        ),
    }
    if status in known:
        return known[status]
    if status >= 500:
        return (
            Text("서버 오류", "the server failed"),
            Text("잠시 뒤 다시 실행하십시오: 이어서 받습니다", "run again a little later: it resumes"),
        )
    return (
        Text("내려받기 거부", "the download is refused"),
        Text("주소와 프록시를 확인하십시오", "check the address and the proxy"),
    )


def transport_advice(error: BaseException) -> tuple[Text, Text]:
    """Return what a broken connection means, and what to do about it."""
    chain: BaseException | None = error
    while chain is not None:
        if isinstance(chain, ssl.SSLCertVerificationError):
            return (
                Text("서버 인증서를 확인할 수 없습니다", "the server's certificate cannot be verified"),
                Text(
                    "회사 인증기관 파일을 SSL_CERT_FILE로 지정하십시오",
                    "name your company's authority file in SSL_CERT_FILE",
                ),
            )
        chain = chain.__cause__ or chain.__context__
    return (
        Text("연결이 되지 않거나 끊겼습니다", "no connection, or it broke"),
        Text(
            "네트워크와 HTTPS_PROXY를 확인하고 다시 실행하십시오: 이어서 받습니다",
            "check the network and HTTPS_PROXY, then run again: it resumes",
        ),
    )
