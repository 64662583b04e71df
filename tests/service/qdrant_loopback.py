"""A Qdrant server for tests: the REST calls that the adapter makes, answered by the client library's own engine."""

from __future__ import annotations

import json
import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from pydantic import TypeAdapter
from qdrant_client import QdrantClient
from qdrant_client.http import models


class Loopback(ThreadingHTTPServer):
    """The server; `failing` makes it answer 503, `asked` counts requests, `keys` keeps the API keys it was sent."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.engine = QdrantClient(":memory:")
        self.lock = threading.Lock()
        self.failing = False
        self.keys: set[str] = set()

    @property
    def url(self) -> str:
        """Return its address."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def answer(self, method: str, path: str, body: Any) -> Any:
        """Carry out one call. Raises KeyError for a call the adapter should not make."""
        engine = self.engine
        if (method, path) == ("GET", "/collections"):
            return engine.get_collections()
        match = re.fullmatch(r"/collections/([^/]+)(/.*)?", path)
        assert match is not None, path
        name, rest = match[1], match[2] or ""
        call = (method, rest)
        if call == ("GET", "/exists"):
            return {"exists": engine.collection_exists(name)}
        if call == ("PUT", ""):
            wanted = models.CreateCollection.model_validate(body)
            return engine.create_collection(
                name, vectors_config=wanted.vectors, sparse_vectors_config=wanted.sparse_vectors
            )
        if call == ("DELETE", ""):
            return engine.delete_collection(name)
        if not engine.collection_exists(name):
            raise LookupError(name)
        if call == ("PUT", "/index"):
            return {"status": "completed", "operation_id": 1}
        if call == ("PUT", "/points"):
            points = TypeAdapter(list[models.PointStruct]).validate_python(body["points"])
            engine.upsert(name, points)
            return {"status": "completed", "operation_id": 1}
        if call == ("POST", "/points/delete"):
            engine.delete(name, models.FilterSelector.model_validate(body))
            return {"status": "completed", "operation_id": 1}
        if call == ("POST", "/points/count"):
            return engine.count(name, models.CountRequest.model_validate(body).filter)
        if call == ("POST", "/points/scroll"):
            wish = models.ScrollRequest.model_validate(body)
            found, following = engine.scroll(
                name,
                wish.filter,
                wish.limit or 10,
                offset=wish.offset,
                with_payload=wish.with_payload or True,
            )
            return {"points": found, "next_page_offset": following}
        if call == ("POST", "/points"):
            return engine.retrieve(name, models.PointRequest.model_validate(body).ids)
        if call == ("POST", "/points/query"):
            asked = models.QueryRequest.model_validate(body)
            query: Any = asked.query
            return engine.query_points(
                name,
                query=getattr(query, "nearest", query),
                using=asked.using,
                prefetch=asked.prefetch,
                query_filter=asked.filter,
                limit=asked.limit or 10,
                with_payload=asked.with_payload or False,
            )
        raise KeyError(call)


class _Handler(BaseHTTPRequestHandler):
    server: Loopback
    protocol_version = "HTTP/1.1"

    def _serve(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        self.server.keys.add(self.headers.get("api-key") or "")
        status, result = 200, None
        if self.server.failing:
            status = 503
        else:
            try:
                with self.server.lock, warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    result = self.server.answer(self.command, self.path.partition("?")[0], body)
            except LookupError:
                status = 404
        data = TypeAdapter(Any).dump_json({"result": result, "status": "ok", "time": 0.0})
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_PUT = do_POST = do_DELETE = _serve

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def loopback() -> Iterator[Loopback]:
    """Run the server for the block."""
    server = Loopback()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        server.engine.close()
        thread.join()
