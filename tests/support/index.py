"""A package index on loopback: the simple API (PEP 503) and the files, with faults on request."""

from __future__ import annotations

import base64
import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

from packaging.utils import canonicalize_name


@dataclass
class Index:
    """Files by name and the faults to show; `requests` records ``(method, file, range header)``.

    `etags` are given out one after the other, the last one for ever; `login` is user and password to ask for.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    requests: list[tuple[str, str, str]] = field(default_factory=list)
    status: dict[str, list[int]] = field(default_factory=dict)
    truncate_once: dict[str, int] = field(default_factory=dict)
    replaced: dict[str, bytes] = field(default_factory=dict)
    etags: dict[str, list[str]] = field(default_factory=dict)
    wrong_range: set[str] = field(default_factory=set)
    retry_after: str = ""
    login: tuple[str, str] | None = None
    url: str = ""

    def add(self, filename: str, data: bytes) -> str:
        """Publish a file and return its SHA-256."""
        self.files[filename] = data
        return hashlib.sha256(data).hexdigest()

    def digest(self, filename: str) -> str:
        """Return the SHA-256 of a published file."""
        return hashlib.sha256(self.files[filename]).hexdigest()

    def downloads(self, filename: str) -> int:
        """Return how often a file was asked for."""
        return sum(1 for method, name, _ in self.requests if method == "GET" and name == filename)


@contextmanager
def serve(index: Index) -> Iterator[Index]:
    """Serve `index` on a loopback port and set its `url`."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

        def do_HEAD(self) -> None:
            self._answer(body=False)

        def do_GET(self) -> None:
            self._answer(body=True)

        def _answer(self, body: bool) -> None:
            kind, _, name = unquote(self.path).strip("/").partition("/")
            if kind == "simple":
                self._send(200, _page(index, name).encode(), body, "text/html")
                return
            index.requests.append((self.command, name, self.headers.get("Range", "")))
            pending = index.status.get(name, [])
            if index.login is not None and self.headers.get("Authorization") != _basic(index.login):
                self._send(401, b"who are you", body)
            elif pending:
                waiting = {"Retry-After": index.retry_after} if index.retry_after else {}
                self._send(pending.pop(0), b"refused", body, **waiting)
            elif name not in index.files:
                self._send(404, b"no such file", body)
            else:
                self._send_file(name, body)

        def _send_file(self, name: str, body: bool) -> None:
            data = index.replaced.get(name, index.files[name])
            wanted = self.headers.get("Range", "")
            start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
            if start >= len(data) and start:
                self._send(416, b"", body)
                return
            etags = index.etags.get(name, [])
            etag = (etags.pop(0) if len(etags) > 1 else etags[0]) if etags else ""
            condition = self.headers.get("If-Range", "")
            if condition and condition != etag:
                start = 0
            told = start + 1 if name in index.wrong_range else start
            headers = {"Content-Range": f"bytes {told}-{len(data) - 1}/{len(data)}"} if start else {}
            if etag:
                headers["ETag"] = etag
            cut = index.truncate_once.pop(name, None)
            if cut is not None and body:
                self.send_response(200)
                self.send_header("Content-Length", str(len(data)))
                if etag:
                    self.send_header("ETag", etag)
                self.end_headers()
                self.wfile.write(data[:cut])
                self.close_connection = True
                return
            self._send(206 if start else 200, data[start:], body, **headers)

        def _send(
            self, status: int, data: bytes, body: bool, kind: str = "application/octet-stream", **headers: str
        ) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            if body:
                self.wfile.write(data)

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            """Say nothing when a client goes away in mid-download: tests do that on purpose."""

    server = Server(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    index.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield index
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _basic(login: tuple[str, str]) -> str:
    return "Basic " + base64.b64encode(":".join(login).encode()).decode()


def _page(index: Index, project: str) -> str:
    links = ""
    for filename, data in sorted(index.files.items()):
        stem = filename.removesuffix(".tar.gz") if filename.endswith(".tar.gz") else filename
        name = stem.rsplit("-", 1)[0] if filename.endswith(".tar.gz") else filename.split("-")[0]
        if canonicalize_name(name) == project.strip("/"):
            digest = hashlib.sha256(data).hexdigest()
            links += f'<a href="{index.url}/files/{filename}#sha256={digest}">{filename}</a>\n'
    return f"<!DOCTYPE html><html><body>\n{links}</body></html>"
