"""OpenSSH signatures (PROTOCOL.sshsig) with Ed25519 keys: parsing, the signed blob, verification.

``ssh-keygen -Y verify`` checks the same bytes. Signing lives with the builder; what is signed
(`signed_blob`) is defined here once, for both sides.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import struct
from dataclasses import dataclass
from typing import Tuple

from . import ed25519, layout, limits
from .errors import SignatureError
from .text import Text

MAGIC = b"SSHSIG"
VERSION = 1
KEY_TYPE = b"ssh-ed25519"
_BEGIN = b"-----BEGIN SSH SIGNATURE-----"
_END = b"-----END SSH SIGNATURE-----"
_HASHES = {b"sha512": hashlib.sha512, b"sha256": hashlib.sha256}


@dataclass(frozen=True)
class PublicKey:
    """An Ed25519 public key, 32 raw bytes."""

    raw: bytes

    @property
    def blob(self) -> bytes:
        """The SSH wire form: type name and key, each with its length."""
        return ssh_string(KEY_TYPE) + ssh_string(self.raw)

    @property
    def fingerprint(self) -> str:
        """The form that ``ssh-keygen -l`` prints: ``SHA256:`` and unpadded base64."""
        digest = base64.b64encode(hashlib.sha256(self.blob).digest()).rstrip(b"=")
        return "SHA256:" + digest.decode("ascii")

    def openssh(self) -> str:
        """The line of an ``.pub`` file, without a comment."""
        return f"{KEY_TYPE.decode()} {base64.b64encode(self.blob).decode('ascii')}"


def ssh_string(data: bytes) -> bytes:
    """Return `data` with its length in front (RFC 4251, section 5)."""
    return struct.pack(">I", len(data)) + data


def signed_blob(message: bytes, namespace: str, algorithm: bytes = b"sha512") -> bytes:
    """Return the bytes that the key signs for `message` (PROTOCOL.sshsig, section 3)."""
    digest = _HASHES[algorithm](message).digest()
    return (
        MAGIC + ssh_string(namespace.encode()) + ssh_string(b"") + ssh_string(algorithm) + ssh_string(digest)
    )


def parse_public_key(encoded: str) -> PublicKey:
    """Read the base64 middle part of an OpenSSH public key line.

    Raises:
        ValueError: it is not an Ed25519 key.
    """
    blob = base64.b64decode(encoded.encode("ascii"), validate=True)
    kind, rest = _take(blob)
    raw, rest = _take(rest)
    if kind != KEY_TYPE or len(raw) != 32 or rest:
        raise ValueError("not an ssh-ed25519 key")
    return PublicKey(raw)


def verify(message: bytes, armored: bytes, namespace: str = layout.NAMESPACE) -> PublicKey:
    """Return the key whose signature over `message` in `namespace` this is.

    It says who could have signed, not whether that key is trusted: see `bundle.trust`.

    Raises:
        SignatureError: malformed, another namespace or key type, or the signature does not fit.
    """
    try:
        key, found, algorithm, signature = _parse(armored)
    except (ValueError, struct.error, binascii.Error) as error:
        raise _failure(
            f"서명 파일을 읽을 수 없습니다 ({error})", f"the signature file cannot be read ({error})"
        ) from error
    if found != namespace.encode():
        raise _failure(
            "서명의 용도(namespace)가 다릅니다", "the signature was made for another purpose (namespace)"
        )
    if not ed25519.verify(key.raw, signed_blob(message, namespace, algorithm), signature):
        raise _failure("서명이 매니페스트와 맞지 않습니다", "the signature does not fit the manifest")
    return key


def _failure(korean: str, english: str) -> SignatureError:
    return SignatureError(
        Text(korean, english),
        where=layout.SIGNATURE,
        hint=Text(
            "번들을 설치하지 말고 만든 쪽에 확인하십시오", "do not install the bundle; ask who built it"
        ),
    )


def _parse(armored: bytes) -> Tuple[PublicKey, bytes, bytes, bytes]:
    if len(armored) > limits.SIGNATURE_BYTES:
        raise ValueError("too large")
    lines = armored.replace(b"\r\n", b"\n").strip().split(b"\n")
    if len(lines) < 3 or lines[0] != _BEGIN or lines[-1] != _END:
        raise ValueError("not an SSH signature")
    data = base64.b64decode(b"".join(lines[1:-1]), validate=True)
    if not data.startswith(MAGIC):
        raise ValueError("wrong magic")
    (version,) = struct.unpack(">I", data[6:10])
    if version != VERSION:
        raise ValueError(f"version {version}")
    blob, rest = _take(data[10:])
    namespace, rest = _take(rest)
    reserved, rest = _take(rest)
    algorithm, rest = _take(rest)
    wrapped, rest = _take(rest)
    if rest or reserved or algorithm not in _HASHES:
        raise ValueError("unexpected content")
    key = parse_public_key(base64.b64encode(blob).decode("ascii"))
    kind, remainder = _take(wrapped)
    signature, remainder = _take(remainder)
    if kind != KEY_TYPE or len(signature) != 64 or remainder:
        raise ValueError("not an Ed25519 signature")
    return key, namespace, algorithm, signature


def _take(data: bytes) -> Tuple[bytes, bytes]:
    (length,) = struct.unpack(">I", data[:4])
    if length > len(data) - 4:
        raise ValueError("truncated")
    return data[4 : 4 + length], data[4 + length :]


def armor(key: PublicKey, signature: bytes, namespace: str = layout.NAMESPACE) -> bytes:
    """Return the armored SSHSIG of a raw 64-byte Ed25519 signature over `signed_blob`."""
    data = (
        MAGIC
        + struct.pack(">I", VERSION)
        + ssh_string(key.blob)
        + ssh_string(namespace.encode())
        + ssh_string(b"")
        + ssh_string(b"sha512")
        + ssh_string(ssh_string(KEY_TYPE) + ssh_string(signature))
    )
    encoded = base64.b64encode(data)
    lines = [encoded[start : start + 70] for start in range(0, len(encoded), 70)]
    return b"\n".join([_BEGIN, *lines, _END]) + b"\n"
