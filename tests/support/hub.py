"""A model hub on loopback: enough of the Hub's HTTP interface for the real huggingface_hub, with faults on request.

Two servers, as in the world: the hub itself (information, trees, ``resolve`` with its headers) and the storage
of large files behind signed addresses on another origin, which must never see a token.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

_LARGE = (".safetensors", ".gguf", ".bin", ".pt", ".onnx", ".model")
_PAGE = 3
_PIECE = 64 * 1024


def blob_name(data: bytes) -> str:
    """Return git's name of a content."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def sha256(data: bytes) -> str:
    """Return the SHA-256 by which the hub names large files."""
    return hashlib.sha256(data).hexdigest()


@dataclass
class Repository:
    """Files by commit, branches by name, and who may read it (`gated`: tokens that accepted the licence)."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    gated: bool = False
    accepted: set[str] = field(default_factory=set)

    def commit(self, files: dict[str, bytes], branch: str = "main") -> str:
        """Add a commit on a branch and return its name."""
        listed = json.dumps({path: sha256(data) for path, data in sorted(files.items())})
        name = hashlib.sha1(listed.encode()).hexdigest()
        self.commits[name] = dict(files)
        self.branches[branch] = name
        return name


@dataclass
class Hub:
    """Repositories, known tokens, and the faults to show.

    `requests` records ``(method, path, Range header)`` of both servers, `sent` the bytes of large files by
    path, `leaked` whatever Authorization the storage was shown. `faults` are taken from the front, by path of
    the file or of the interface: ``500`` or ``(429, "7")`` (with Retry-After) for the hub; ``storage:NAME`` keys
    name what the storage does: ``403``, ``("truncate", bytes)``, ``"wrong-range"``, ``"other-bytes"``,
    ``"no-range"``, ``"longer"``. `lies` replaces headers of ``resolve`` by path. `pace` is seconds for each piece sent.
    """

    repositories: dict[str, Repository] = field(default_factory=dict)
    tokens: set[str] = field(default_factory=set)
    requests: list[tuple[str, str, str]] = field(default_factory=list)
    sent: dict[str, int] = field(default_factory=dict)
    leaked: list[str] = field(default_factory=list)
    faults: dict[str, list[object]] = field(default_factory=dict)
    lies: dict[str, dict[str, str]] = field(default_factory=dict)
    pace: float = 0.0
    url: str = ""
    storage: str = ""

    def add(self, name: str, files: dict[str, bytes], *, gated: bool = False) -> str:
        """Publish a repository and return its commit."""
        return self.repositories.setdefault(name, Repository(gated=gated)).commit(files)

    def fault(self, key: str) -> object | None:
        """Take the next fault of a path."""
        waiting = self.faults.get(key, [])
        return waiting.pop(0) if waiting else None


@contextmanager
def serve(hub: Hub) -> Iterator[Hub]:
    """Serve `hub` and its storage on two loopback ports and set `url` and `storage`."""
    with _running(_handler(hub, _HubSide)) as hub.url, _running(_handler(hub, _StorageSide)) as hub.storage:
        yield hub


@contextmanager
def _running(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    class Server(ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            """Say nothing when a client goes away: tests do that on purpose."""

    server = Server(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(hub: Hub, side: Callable[[Hub, BaseHTTPRequestHandler], object]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

        def do_HEAD(self) -> None:
            side(hub, self)

        def do_GET(self) -> None:
            side(hub, self)

    return Handler


class _Side:
    """One request and its answer."""

    def __init__(self, hub: Hub, request: BaseHTTPRequestHandler) -> None:
        self.hub = hub
        self.request = request
        self.path = unquote(urlsplit(request.path).path)
        self.range = request.headers.get("Range", "")
        hub.requests.append((request.command, self.path, self.range))
        self.answer()

    def answer(self) -> None:
        """Answer the request."""

    def send(self, status: int, data: bytes = b"", headers: dict[str, str] | None = None) -> None:
        """Send a whole answer."""
        self.request.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **(headers or {})}.items():
            self.request.send_header(name, value)
        self.request.end_headers()
        if self.request.command != "HEAD":
            self.request.wfile.write(data)


class _HubSide(_Side):
    def answer(self) -> None:
        fault = self.hub.fault(self.path)
        if isinstance(fault, tuple):
            self.send(fault[0], b"{}", {"Retry-After": fault[1]})
        elif isinstance(fault, int):
            self.send(fault, b"{}")
        elif match := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/(revision|tree)/([^/]+))?", self.path):
            self._about(match[1], match[2] or "revision", match[3] or "main")
        elif match := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", self.path):
            self._resolve(match[1], match[2], match[3])
        else:
            self.send(404, b"{}")

    def _opened(self, name: str, revision: str) -> tuple[str, dict[str, bytes]] | None:
        """Return commit and files, or answer why not."""
        shown = self.request.headers.get("Authorization", "").removeprefix("Bearer ")
        repository = self.hub.repositories.get(name)
        if shown and shown not in self.hub.tokens:
            self.send(401, b"{}", {"X-Error-Message": "Invalid credentials in Authorization header"})
        elif repository is None:
            self.send(404 if shown else 401, b"{}", {"X-Error-Code": "RepoNotFound"})
        elif repository.gated and shown not in repository.accepted:
            self.send(403 if shown else 401, b"{}", {"X-Error-Code": "GatedRepo"})
        else:
            commit = repository.branches.get(revision, revision)
            if commit in repository.commits:
                return commit, repository.commits[commit]
            self.send(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
        return None

    def _about(self, name: str, kind: str, revision: str) -> None:
        opened = self._opened(name, revision)
        if opened is None:
            return
        commit, files = opened
        if kind == "revision":
            siblings = [{"rfilename": path} for path in sorted(files)]
            document = {"id": name, "modelId": name, "sha": commit, "siblings": siblings, "tags": []}
            self.send(200, json.dumps(document).encode(), {"Content-Type": "application/json"})
            return
        start = int(parse_qs(urlsplit(self.request.path).query).get("cursor", ["0"])[0])
        entries = [_entry(path, files[path]) for path in sorted(files)]
        links: dict[str, str] = {}
        if start + _PAGE < len(entries):
            there = f"{self.hub.url}{self.path}?recursive=True&cursor={start + _PAGE}"
            links = {"Link": f'<{there}>; rel="next"'}
        body = json.dumps(entries[start : start + _PAGE]).encode()
        self.send(200, body, {"Content-Type": "application/json"} | links)

    def _resolve(self, name: str, revision: str, path: str) -> None:
        opened = self._opened(name, revision)
        if opened is None:
            return
        commit, files = opened
        if path not in files:
            self.send(404, b"{}", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit})
            return
        data = files[path]
        headers = {"X-Repo-Commit": commit, "ETag": f'"{blob_name(data)}"'}
        if path.endswith(_LARGE):
            large = {
                "X-Linked-Etag": f'"{sha256(data)}"',
                "X-Linked-Size": str(len(data)),
                "Location": f"{self.hub.storage}/{name}/{commit}/{path}?signature=secret",
            }
            self.send(302, b"", headers | large | self.hub.lies.get(path, {}))
        else:
            self.send(200, data, headers | self.hub.lies.get(path, {}))


class _StorageSide(_Side):
    def answer(self) -> None:
        if "Authorization" in self.request.headers:
            self.hub.leaked.append(self.request.headers["Authorization"])
        owner, name, commit, path = self.path.strip("/").split("/", 3)
        data = self.hub.repositories[f"{owner}/{name}"].commits[commit][path]
        fault = self.hub.fault(f"storage:{path}")
        if isinstance(fault, int):
            self.send(fault, b"refused")
            return
        if fault == "other-bytes":
            data = bytes(len(data))
        if fault == "longer":
            data *= 2
        start = int(self.range.removeprefix("bytes=").rstrip("-")) if self.range else 0
        if fault == "no-range":
            start = 0
        if start >= len(data) and start:
            self.send(416)
            return
        told = 7 if fault == "wrong-range" else start
        self.request.send_response(206 if start else 200)
        self.request.send_header("Content-Length", str(len(data) - start))
        self.request.send_header("ETag", f'"{sha256(data)}"')
        if start:
            self.request.send_header("Content-Range", f"bytes {told}-{len(data) - 1}/{len(data)}")
        self.request.end_headers()
        end = start + fault[1] if isinstance(fault, tuple) else len(data)
        self._stream(path, data[start:end])
        if isinstance(fault, tuple):
            self.request.close_connection = True

    def _stream(self, path: str, data: bytes) -> None:
        for begin in range(0, len(data), _PIECE):
            piece = data[begin : begin + _PIECE]
            self.request.wfile.write(piece)
            self.hub.sent[path] = self.hub.sent.get(path, 0) + len(piece)
            if self.hub.pace:
                time.sleep(self.hub.pace)


def _entry(path: str, data: bytes) -> dict[str, object]:
    entry: dict[str, object] = {"type": "file", "path": path, "size": len(data), "oid": blob_name(data)}
    if path.endswith(_LARGE):
        entry["lfs"] = {"oid": sha256(data), "size": len(data), "pointerSize": 134}
    return entry
