"""Pin interpreters: ask the locked uv which archives it knows, and with which digests.

uv carries a table of every python-build-standalone archive with its SHA-256, and `uv.lock` pins uv by digest, so
the table is as trustworthy as the build itself. uv prints the addresses; a digest it tells when an archive does
not match. So it is given, over loopback, an archive that cannot match. Nothing else is downloaded.
"""

from __future__ import annotations

import gzip
import io
import json
import re
import subprocess
import tarfile
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import uv

from bundle.errors import BuildError
from bundle.text import Text

from ..inputs import TargetSpec
from ..uvtool import run_uv
from .pins import Pinned

_EXPECTED = re.compile(r"Expected:\s+([0-9a-f]{64})\b")
_TIMEOUT_S = 60
_OS = {"linux": "linux", "macos": "macos", "windows": "windows"}
_LIBC = {"glibc": "gnu", "musl": "musl", "macos": "none", "": "none"}


def pin(targets: Sequence[TargetSpec], pythons: Sequence[str], tell: Callable[[str], None]) -> list[Pinned]:
    """Return the newest archive that uv knows for each target and Python.

    Args:
        targets: the kinds of host.
        pythons: as ``X.Y``.
        tell: called with each key as it has been pinned.

    Raises:
        BuildError: uv knows none, or does not tell its digest.
    """
    known = json.loads(
        run_uv(
            ["python", "list", "--no-config", "--only-downloads", "--all-versions", "--all-platforms", "--all-arches",
             "--output-format", "json"],
            Path.cwd(), Text("인터프리터 목록", "list the interpreters"),
        )
    )  # fmt: skip
    found = []
    with _mirror() as mirror, tempfile.TemporaryDirectory(prefix="ragtrace-pin-") as folder:
        for target in targets:
            for python in pythons:
                row = _newest(known, target, python)
                digest = _told_digest(row["key"], mirror, Path(folder))
                found.append(Pinned(target.name, python, row["version"], row["url"], digest))
                tell(f"{target.name} {row['key']} sha256:{digest}")
    return found


def _newest(known: Sequence[dict[str, Any]], target: TargetSpec, python: str) -> dict[str, Any]:
    wanted = (_OS[target.os], target.arch, _LIBC[target.libc])
    rows = [
        row
        for row in known
        if (row["os"], row["arch"], row["libc"]) == wanted
        and (row["implementation"], row["variant"]) == ("cpython", "default")
        and re.fullmatch(re.escape(python) + r"\.\d+", row["version"])
    ]
    if not rows:
        raise BuildError(
            Text(
                f"uv에 {target.name}용 파이썬 {python}이 없습니다",
                f"uv knows no Python {python} for {target.name}",
            )
        )
    return max(rows, key=lambda row: int(row["version"].rpartition(".")[2]))


def _told_digest(key: str, mirror: str, folder: Path) -> str:
    command = [
        uv.find_uv_bin(),
        "python",
        "install",
        "--no-config",
        "--no-bin",
        "--no-progress",
        "--mirror",
        mirror,
    ]
    done = subprocess.run(
        [*command, "--install-dir", str(folder / "pythons"), "--cache-dir", str(folder / "cache"), key],
        capture_output=True, text=True, encoding="utf-8", errors="replace", check=False, timeout=_TIMEOUT_S,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    told = _EXPECTED.search(done.stderr)
    if done.returncode == 0 or told is None:
        raise BuildError(
            Text(f"uv가 {key}의 해시를 알려 주지 않습니다", f"uv does not tell the digest of {key}"),
            details=[Text(line, line) for line in done.stderr.strip().splitlines()[-6:]],
        )
    return told.group(1)


def _no_interpreter() -> bytes:
    """Return an archive of the right form that is no interpreter."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("python/bin/python3"), io.BytesIO())
    return gzip.compress(buffer.getvalue(), mtime=0)


@contextmanager
def _mirror() -> Iterator[str]:
    body = _no_interpreter()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
