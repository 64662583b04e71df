"""Advisory services on loopback: OSV's queries and records, PyPI's JSON API, and a proxy to reach them by.

What pip-audit asks of ``https://pypi.org`` cannot be sent elsewhere by any option of it; a proxy that the
environment names, and whose certificate the environment trusts, answers in its place - as in a company.
"""

from __future__ import annotations

import contextlib
import json
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

HOSTS = ("pypi.org", "api.osv.dev")
CRITICAL_VECTOR = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"


def osv_record(identifier: str, package: str, fixed: str = "9.9", **changes: Any) -> dict[str, Any]:
    """Return an advisory in OSV's format."""
    events = [{"introduced": "0"}, {"fixed": fixed}]
    affected = {
        "package": {"name": package, "ecosystem": "PyPI"},
        "ranges": [{"type": "ECOSYSTEM", "events": events}],
    }
    record = {"schema_version": "1.6.0", "id": identifier, "aliases": [], "summary": f"{package} is bad"}
    return {**record, "affected": [affected], **changes}


@dataclass
class Services:
    """What is known, by package and version, and the faults to show, by package.

    A fault is a status code or one of ``garbage``, ``truncated``, ``hang``, ``schema``. `records` are what
    ``/v1/vulns/ID`` gives besides the known advisories; `requests` every path or queried package.
    """

    known: dict[tuple[str, str], list[dict[str, Any]]] = field(default_factory=dict)
    records: dict[str, dict[str, Any]] = field(default_factory=dict)
    faults: dict[str, int | str] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    url: str = ""
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def osv_url(self) -> str:
        """Return where queries are answered."""
        return f"{self.url}/v1/query"

    def add(self, version: str, record: dict[str, Any]) -> None:
        """Make an advisory known against one version of the package it names."""
        name = record["affected"][0]["package"]["name"]
        self.known.setdefault((name, version), []).append(record)

    def asked_about(self) -> set[str]:
        """Return the names of the packages that somebody asked about."""
        return {item.split()[0] for item in self.requests if not item.startswith("/")}


@contextlib.contextmanager
def serve(services: Services | None = None, tls: ssl.SSLContext | None = None) -> Iterator[Services]:
    """Serve on a loopback port; with `tls` also as a proxy that answers for every host asked for."""
    served = services or Services()
    served.add("2.4.1", osv_record("PYSEC-2014-8", "jinja2", "2.7.2"))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Head and body in one packet: two small ones wait for each other (Nagle, delayed acknowledgement).
        wbufsize = -1

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

        def do_CONNECT(self) -> None:
            assert tls is not None
            self.send_response(200)
            self.end_headers()
            self.wfile.flush()
            self.rfile.close()
            self.connection = tls.wrap_socket(self.connection, server_side=True)
            self.rfile = self.connection.makefile("rb")
            self.wfile = self.connection.makefile("wb")
            self.close_connection = False

        def finish(self) -> None:
            super().finish()
            if isinstance(self.connection, ssl.SSLSocket):
                self.connection.close()

        def do_POST(self) -> None:
            query = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            name, version = query["package"]["name"], query["version"]
            served.requests.append(f"{name} {version}")
            found = [dict(item) for item in served.known.get((name, version), [])]
            if served.faults.get(name) == "schema":
                found = [{**item, "schema_version": "2.0.0"} for item in found]
            self._answer(name, {"vulns": found} if found else {})

        def do_GET(self) -> None:
            parts = self.path.strip("/").split("/")
            if parts[0] == "pypi":
                served.requests.append(f"{parts[1]} {parts[2]}")
                found = served.known.get((parts[1], parts[2]), [])
                self._answer(parts[1], {"vulnerabilities": [_as_pypi(item) for item in found]})
                return
            served.requests.append(self.path)
            every = {item["id"]: item for listed in served.known.values() for item in listed}
            record = {**every, **served.records}.get(parts[-1])
            self._answer("records" if record is not None else "", record or {}, 200 if record else 404)

        def _answer(self, name: str, document: dict[str, Any], status: int = 200) -> None:
            fault = served.faults.get(name)
            body = json.dumps(document).encode()
            if fault == "hang":
                served.over.wait(30)
            if isinstance(fault, int):
                status, body = fault, b"refused"
            elif fault == "garbage":
                body = b"<html>maintenance</html>"
            self.send_response(status)
            self.send_header("Content-Length", str(len(body) + 50 * (fault == "truncated")))
            self.end_headers()
            self.wfile.write(body)
            if fault == "truncated":
                self.close_connection = True

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    served.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield served
    finally:
        served.over.set()
        server.shutdown()
        server.server_close()


def _as_pypi(record: dict[str, Any]) -> dict[str, Any]:
    events = record["affected"][0]["ranges"][0]["events"]
    return {
        "id": record["id"],
        "aliases": record["aliases"],
        "summary": record["summary"],
        "details": "",
        "fixed_in": [event["fixed"] for event in events if "fixed" in event],
        "withdrawn": record.get("withdrawn"),
    }


def authority(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """Return the server side of TLS for `HOSTS`, and the certificate that a client has to trust."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a company's proxy")])
    now = datetime.now(timezone.utc)
    names = [x509.DNSName(host) for host in HOSTS]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    trusted, private = folder / "authority.pem", folder / "key.pem"
    trusted.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(trusted, private)
    return context, trusted
