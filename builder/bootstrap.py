"""Set the build box up with nothing but an interpreter and a package index. Standard library only.

No pip, no ``venv`` module, no uv is assumed: the uv wheel that ``uv.lock`` pins is fetched with urllib,
its SHA-256 compared, the binary taken out, and uv then makes ``.venv`` exactly as locked. An environment
that is already as locked is used as it is.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import ssl
import subprocess
import sys
import tempfile
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path

import tomllib

from bundle.errors import BuildError, DownloadError
from bundle.text import Text, choose_language, language_argument

REPOSITORY = Path(__file__).resolve().parent.parent
ENVIRONMENT = REPOSITORY / ".venv"
# An index that serves the simple API; the first one set is used when the lock's own address does not answer.
_INDEX_VARIABLES = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL")
_TIMEOUT_S = 60


def environment_python() -> Path:
    """Return the interpreter of ``.venv``."""
    return ENVIRONMENT / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def ready(groups: Sequence[str]) -> bool:
    """Return whether ``.venv`` was made from the present lock with at least these groups."""
    try:
        stamp = json.loads(_stamp_path().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return (
        environment_python().exists()
        and stamp.get("lock") == _lock_digest()
        and set(groups) <= set(stamp.get("groups", []))
    )


def prepare(groups: Sequence[str], lang: str) -> Path:
    """Make ``.venv`` as locked, with the dependency groups, and return its interpreter.

    Raises:
        BuildError: uv could not make the environment.
        DownloadError: uv itself could not be fetched.
    """
    if not ready(groups):
        _say(
            Text(
                "처음 실행: 빌드 환경을 준비합니다 (.venv)",
                "first run: preparing the build environment (.venv)",
            ),
            lang,
        )
        binary = _uv_binary(lang)
        selected = [f"--group={group}" for group in groups]
        # --inexact: a plain build must not take the development tools away again.
        command = [str(binary), "sync", "--locked", "--no-default-groups", "--inexact", *selected]
        # torch-sized detours of the user's own pip settings do not apply to uv; its own settings do.
        environment = {**os.environ, "UV_PROJECT_ENVIRONMENT": str(ENVIRONMENT), "UV_PYTHON": sys.executable}
        environment.pop("VIRTUAL_ENV", None)
        done = subprocess.run(command, cwd=REPOSITORY, env=environment, check=False, stdin=subprocess.DEVNULL)
        if done.returncode:
            raise BuildError(
                Text("빌드 환경을 만들지 못했습니다", "the build environment could not be made"),
                where=" ".join(command),
                hint=Text(
                    "위의 uv 메시지를 보고 다시 실행하십시오", "see uv's message above, then run again"
                ),
            )
        stamp = {"lock": _lock_digest(), "groups": sorted(groups)}
        _stamp_path().write_text(json.dumps(stamp), encoding="utf-8")
    return environment_python()


def _stamp_path() -> Path:
    return ENVIRONMENT / "ragtrace-stamp.json"


def _lock_digest() -> str:
    digest = hashlib.sha256((REPOSITORY / "uv.lock").read_bytes())
    digest.update((REPOSITORY / "pyproject.toml").read_bytes())
    digest.update((REPOSITORY / "service" / "pyproject.toml").read_bytes())
    digest.update(sys.version.encode() + sys.base_prefix.encode())
    return digest.hexdigest()


def _uv_binary(lang: str) -> Path:
    """Return the uv binary that the lock pins, fetching it if this machine does not have it yet."""
    lock = tomllib.loads((REPOSITORY / "uv.lock").read_text(encoding="utf-8"))
    package = next(item for item in lock["package"] if item["name"] == "uv")
    name = "uv.exe" if os.name == "nt" else "uv"
    folder = (
        _cache_folder() / "tools" / f"uv-{package['version']}-{sys.platform}-{platform.machine().lower()}"
    )
    wheel = _fitting_wheel(package["wheels"])
    digest = wheel["hash"].removeprefix("sha256:")
    binary = folder / name
    record = folder / "sha256"
    if binary.is_file() and record.is_file() and record.read_text() == f"{digest} {_sha256(binary)}":
        return binary
    _say(Text("uv를 내려받습니다", "fetching uv"), lang)
    data = _download(wheel["url"], digest)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        place = Path(scratch) / "uv.whl"
        place.write_bytes(data)
        with zipfile.ZipFile(place) as archive:
            member = next(item for item in archive.namelist() if item.endswith(f".data/scripts/{name}"))
            unpacked = Path(scratch) / name
            unpacked.write_bytes(archive.read(member))
        unpacked.chmod(0o755)
        os.replace(unpacked, binary)
    record.write_text(f"{digest} {_sha256(binary)}")
    return binary


def _cache_folder() -> Path:
    given = os.environ.get("RAGTRACE_CACHE_DIR")
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(given).expanduser().absolute() if given else Path(base) / "ragtrace"


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _fitting_wheel(wheels: Sequence[dict[str, str]]) -> dict[str, str]:
    """Choose the wheel for this machine by its platform tag; uv's wheels differ in nothing else."""
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(
        platform.machine().lower(), platform.machine().lower()
    )
    if sys.platform == "darwin":
        wanted, machine = "macosx", {"aarch64": "arm64"}.get(machine, machine)
    elif os.name == "nt":
        wanted, machine = "win", {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)
    else:
        wanted = "manylinux" if platform.libc_ver()[0] == "glibc" else "musllinux"
    for wheel in wheels:
        tag = wheel["url"].rsplit("-", 1)[-1]
        if wanted in tag and machine in tag:
            return wheel
    raise BuildError(
        Text("이 컴퓨터에 맞는 uv가 없습니다", "there is no uv for this machine"),
        where=f"{sys.platform} {platform.machine()}",
    )


def _download(url: str, digest: str) -> bytes:
    problems = []
    for candidate in [url, *_mirrored(url)]:
        try:
            data = _get(candidate)
        except (urllib.error.URLError, OSError, ValueError) as error:
            problems.append(f"{candidate}: {error}")
            continue
        if hashlib.sha256(data).hexdigest() == digest:
            return data
        problems.append(f"{candidate}: sha256 differs from uv.lock")
    raise DownloadError(
        Text("uv를 내려받지 못했습니다", "uv could not be fetched"),
        details=[Text(item, item) for item in problems],
        hint=Text(
            "패키지 색인을 UV_DEFAULT_INDEX로, 프록시를 HTTPS_PROXY로 지정하십시오",
            "name a package index with UV_DEFAULT_INDEX, a proxy with HTTPS_PROXY",
        ),
    )


def _get(url: str) -> bytes:
    """Return what the address gives.

    A minimal Debian has no certificate authorities at all. Then, and only then, TLS is used without them:
    nothing is sent but the address, and what comes back counts only if its digest is the one in uv.lock.
    """
    with urllib.request.urlopen(url, timeout=_TIMEOUT_S, context=_tls()) as answer:
        data: bytes = answer.read()
    return data


def _tls() -> ssl.SSLContext:
    context = ssl.create_default_context()
    paths = ssl.get_default_verify_paths()
    has_folder = paths.capath is not None and any(Path(paths.capath).iterdir())
    if paths.cafile is None and not has_folder and not context.get_ca_certs():
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _mirrored(url: str) -> list[str]:
    """Return the addresses of the same file on the index that the environment names, if it names one."""
    filename = url.rsplit("/", 1)[-1]
    for variable in _INDEX_VARIABLES:
        index = os.environ.get(variable)
        if not index:
            continue
        page = f"{index.rstrip('/')}/uv/"
        links = _Links()
        try:
            links.feed(_get(page).decode("utf-8", "replace"))
        except (urllib.error.URLError, OSError, ValueError):
            return [page]  # asked again by the caller, whose report then names what is wrong with it
        return [
            urllib.parse.urljoin(page, link.split("#")[0])
            for link in links.found
            if link.split("#")[0].endswith(filename)
        ]
    return []


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect the links of a simple index page (PEP 503)."""
        self.found += [value for name, value in attrs if tag == "a" and name == "href" and value]


def _say(text: Text, lang: str) -> None:
    sys.stderr.write(text.to(lang) + "\n")
    sys.stderr.flush()


def run_inside(module: str, arguments: Sequence[str]) -> int:
    """Prepare the environment and run ``python -m module`` in it; return its exit code.

    On POSIX this process is replaced, so signals and Ctrl-C reach the builder itself.
    """
    lang = choose_language(language_argument(arguments))
    try:
        python = prepare((), lang)
    except (BuildError, DownloadError) as error:
        sys.stderr.write(error.render(lang) + "\n")
        return error.exit_code
    command = [str(python), "-m", module, *arguments]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "PYTHONDONTWRITEBYTECODE": ""}
    if os.name == "nt":
        return subprocess.run(command, env=environment, check=False).returncode
    os.execve(python, command, environment)


if __name__ == "__main__":
    # `python -m builder.bootstrap dev`: what the Makefile calls before it runs tools of the group.
    try:
        prepare(sys.argv[1:], choose_language(None))
    except (BuildError, DownloadError) as failure:
        sys.stderr.write(failure.render(choose_language(None)) + "\n")
        sys.exit(failure.exit_code)
