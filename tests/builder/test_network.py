"""The HTTP side: authorities, credentials, and what a person is told."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from builder import inputs, network
from bundle.errors import UsageProblem


@dataclass(frozen=True)
class SecureServer:
    """A TLS server on loopback and the authority that vouches for it."""

    url: str
    authority: Path


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[SecureServer]:
    """Serve one word over TLS, with a certificate no system knows."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "company authority")])
    begin = datetime.datetime(2020, 1, 1)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(begin)
        .not_valid_after(datetime.datetime(2120, 1, 1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    authority = tmp_path / "authority.pem"
    authority.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    secret = tmp_path / "key.pem"
    secret.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "5")
            self.end_headers()
            self.wfile.write(b"hello")

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            """Say nothing of clients that refuse the certificate."""

    server = Server(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority, secret)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield SecureServer(f"https://127.0.0.1:{server.server_port}/", authority)
    server.shutdown()
    server.server_close()
    thread.join()


def test_an_unknown_authority_is_refused_and_the_advice_names_the_variable(
    secure: SecureServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    with network.client() as client, pytest.raises(httpx.ConnectError) as caught:
        client.get(secure.url)
    reason, remedy = network.transport_advice(caught.value)
    assert "certificate" in reason.en and "SSL_CERT_FILE" in remedy.ko


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "PIP_CERT"])
def test_a_company_authority_is_honoured(
    secure: SecureServer, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "PIP_CERT", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, str(secure.authority))
    with network.client() as client:
        assert client.get(secure.url).text == "hello"


def test_credentials_are_found_where_uv_finds_them(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[[tool.uv.index]]\nname = "in-house.one"\nurl = "https://packages.example.org/simple/"\n'
    )
    (tmp_path / "netrc").write_text("machine mirror.example.org login me password of-netrc\n")
    project = inputs.ProjectSpec(tmp_path, tmp_path, "sample", "1")
    found = network.logins_of(
        project,
        {
            "NETRC": str(tmp_path / "netrc"),
            "UV_INDEX_IN_HOUSE_ONE_USERNAME": "builder",
            "UV_INDEX_IN_HOUSE_ONE_PASSWORD": "p%40ss",
            "UV_INDEX": "extra=https://u:p%40ss@extra.example.org/simple/",
        },
    )
    assert found == {
        "mirror.example.org": ("me", "of-netrc"),
        "packages.example.org": ("builder", "p%40ss"),
        "extra.example.org": ("u", "p@ss"),
    }


def test_a_broken_netrc_is_named_and_its_secrets_are_not_told(tmp_path: Path) -> None:
    (tmp_path / "netrc").write_text("machine a login b password s3cret\nnonsense s3cret\n")
    with pytest.raises(UsageProblem) as caught:
        network.logins_of(None, {"NETRC": str(tmp_path / "netrc")})
    assert str(tmp_path / "netrc") in caught.value.render("en") and "s3cret" not in caught.value.render("ko")
    assert network.logins_of(None, {"NETRC": str(tmp_path / "none")}) == {}


def test_a_shown_address_has_no_secrets() -> None:
    assert network.shown("https://me:pw@host.example:8443/a/b?token=1#x") == "https://host.example:8443/a/b"


@pytest.mark.parametrize("status", [401, 403, 404, 407, 418, 429, 500, 503])
def test_every_refusal_has_its_own_advice_in_both_languages(status: int) -> None:
    reason, remedy = network.status_advice(status)
    assert all((reason.ko, reason.en, remedy.ko, remedy.en))
    others = [network.status_advice(other)[0] for other in (401, 403, 404, 407, 429) if other != status]
    assert reason not in others
