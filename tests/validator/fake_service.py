"""The service of the fake installation: small, but a real process that answers over real sockets."""

from __future__ import annotations

import ctypes
import json
import os
import socket
import struct
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

# Whoever starts it with another home still gets the answers of the installation it was installed into.
ROOT = Path(sys.prefix).parent.parent.parent


def facts() -> Any:
    return json.loads((ROOT / "data" / "facts.json").read_text())


class Handler(BaseHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass

    def send(self, status: int, body: object) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def events(self, names: list[str]) -> None:
        self.send_response(200 if names else 404)
        self.end_headers()
        for name in names:
            self.wfile.write(f"event: {name}\ndata: {{}}\n\n".encode())

    def do_GET(self) -> None:
        now = facts()
        generation = now.get("generation") or os.environ.get("RAGTRACE_GENERATION", "")
        if self.path == "/healthz":
            self.send(200, {"status": "ok", "version": "0.1.0", "generation": generation})
        elif self.path == "/readyz":
            parts = {name: {"ready": ready, "detail": "x"} for name, ready in now["parts"].items()}
            self.send(200 if all(now["parts"].values()) else 503, {"status": "ready", "parts": parts})
        else:
            self.send(404, {"error": "no"})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        now = facts()
        if now["call_out_at_question"]:
            call_out(now["call_out_at_question"])
        if self.path == "/v1/chat/completions":
            self.send(now["chat_status"], now["chat"])
            return
        if self.path == "/query_stream":
            self.events(now["events"])
            return
        items = [{"rsp_type": "R", "rsp_tit": "a", "rsp_data": "b"}] * now["sources"]
        self.send(
            now["query_status"],
            {
                "status_code": now["query_status"],
                "result": "ok",
                "detail": "d",
                "data_list": [*items, {"rsp_type": "A", "rsp_data": "answer"}],
            },
        )


def call_out(how: str) -> None:
    """Try to reach a documentation address (RFC 5737), as a Python library or as native code would."""
    if how.startswith("native"):
        libc = ctypes.CDLL(None, use_errno=True)
        kind = socket.SOCK_DGRAM if how == "native-udp" else socket.SOCK_STREAM
        place = struct.pack("=H", socket.AF_INET) + struct.pack("!H", 443) + bytes([192, 0, 2, 7]) + bytes(8)
        number = libc.socket(socket.AF_INET, kind | socket.SOCK_NONBLOCK, 0)
        if how == "native-udp":
            libc.sendto(number, b"x", 1, 0, place, len(place))
        else:
            libc.connect(number, place, len(place))
        os.close(number)
        return
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as stranger:
        stranger.settimeout(1)
        try:
            stranger.connect(("192.0.2.7", 443))
        except OSError:
            pass


def main() -> int:
    words = sys.argv[1:]
    now = facts()
    if words[:1] == ["--help"]:
        print("usage: ragtrace [--help]")
    elif words[:2] == ["config", "show"]:
        if now["unknown_key"]:
            print("unknown key: " + now["unknown_key"], file=sys.stderr)
            return 2
        print(json.dumps({"server": {}}))
    elif words[:2] == ["documents", "list"]:
        print(json.dumps({"total": 2, "documents": [{"title": "휴가 규정"}]}))
    elif words[:1] == ["status"]:
        print(json.dumps(now["status"]))
    elif words[:1] == ["ask"]:
        if now["call_out"]:
            call_out(now["call_out"])
        print("answer")
    elif words[:1] == ["serve"]:
        if now["call_out_at_start"]:
            call_out(now["call_out_at_start"])
        host = os.environ.get("FAKE_LISTEN") or os.environ["RAGTRACE_SERVER_HOST"]
        server = ThreadingHTTPServer((host, int(os.environ["RAGTRACE_SERVER_PORT"])), Handler)
        server.serve_forever()
    else:
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
