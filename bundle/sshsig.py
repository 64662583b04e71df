"""OpenSSH signatures (PROTOCOL.sshsig) with Ed25519 keys: parsing, the signed blob, verification.

``ssh-keygen -Y verify`` checks the same bytes. Signing lives with the builder; what is signed
(`signed_blob`) is defined here once, for both sides. Keys held by a FIDO token (PROTOCOL.u2f) are verified
too; of their signatures it is required that somebody touched the token.
"""

from __future__ import annotations

import base64
import hashlib
import struct
from dataclasses import dataclass
from typing import Optional, Tuple

from . import ed25519, layout, limits
from .errors import SignatureError
from .text import Text

MAGIC = b"SSHSIG"
VERSION = 1
KEY_TYPE = b"ssh-ed25519"
TOKEN_KEY_TYPE = b"sk-ssh-ed25519@openssh.com"
# Bit 0 of a token's flags: a person was present, that is, touched it.
_USER_PRESENT = 0x01
_BEGIN = b"-----BEGIN SSH SIGNATURE-----"
_END = b"-----END SSH SIGNATURE-----"
_HASHES = {b"sha512": hashlib.sha512, b"sha256": hashlib.sha256}


@dataclass(frozen=True)
class PublicKey:
    """An Ed25519 public key, 32 raw bytes; `application` is set for a key that a FIDO token holds."""

    raw: bytes
    application: str = ""

    @property
    def kind(self) -> bytes:
        """OpenSSH's name of the key type."""
        return TOKEN_KEY_TYPE if self.application else KEY_TYPE

    @property
    def blob(self) -> bytes:
        """The SSH wire form: type name and key, and a token's application, each with its length."""
        tail = ssh_string(self.application.encode()) if self.application else b""
        return ssh_string(self.kind) + ssh_string(self.raw) + tail

    @property
    def fingerprint(self) -> str:
        """The form that ``ssh-keygen -l`` prints: ``SHA256:`` and unpadded base64."""
        digest = base64.b64encode(hashlib.sha256(self.blob).digest()).rstrip(b"=")
        return "SHA256:" + digest.decode("ascii")

    def openssh(self) -> str:
        """The line of an ``.pub`` file, without a comment."""
        return f"{self.kind.decode()} {base64.b64encode(self.blob).decode('ascii')}"


def ssh_string(data: bytes) -> bytes:
    """Return `data` with its length in front (RFC 4251, section 5)."""
    return struct.pack(">I", len(data)) + data


def signed_blob(message: bytes, namespace: str, algorithm: bytes = b"sha512") -> bytes:
    """Return the bytes that the key signs for `message` (PROTOCOL.sshsig, section 3)."""
    digest = _HASHES[algorithm](message).digest()
    return (
        MAGIC + ssh_string(namespace.encode()) + ssh_string(b"") + ssh_string(algorithm) + ssh_string(digest)
    )


def token_blob(key: PublicKey, message: bytes, flags: int, counter: int) -> bytes:
    """Return what a FIDO token signs in place of `message` (PROTOCOL.u2f, SSH U2F signatures)."""
    application = hashlib.sha256(key.application.encode()).digest()
    return application + struct.pack(">BI", flags, counter) + hashlib.sha256(message).digest()


def parse_public_key(encoded: str) -> PublicKey:
    """Read the base64 middle part of an OpenSSH public key line.

    Raises:
        ValueError: it is not an Ed25519 key, neither plain nor of a FIDO token.
    """
    return parse_key_blob(base64.b64decode(encoded.encode("ascii"), validate=True))


def parse_key_blob(blob: bytes) -> PublicKey:
    """Read an OpenSSH public key in its wire form.

    Raises:
        ValueError: it is not an Ed25519 key, neither plain nor of a FIDO token.
    """
    kind, rest = take(blob)
    raw, rest = take(rest)
    application = ""
    if kind == TOKEN_KEY_TYPE:
        named, rest = take(rest)
        application = named.decode("ascii")
        # A credential of a website, whose application is its address, is no signing key.
        if not application.startswith("ssh:"):
            raise ValueError("the token's key is not for ssh")
    elif kind != KEY_TYPE:
        raise ValueError("not an ssh-ed25519 key")
    if len(raw) != 32 or rest:
        raise ValueError("not an ssh-ed25519 key")
    return PublicKey(raw, application)


def verify(
    message: bytes, armored: bytes, namespace: str = layout.NAMESPACE, where: str = layout.SIGNATURE
) -> PublicKey:
    """Return the key whose signature over `message` in `namespace` this is; `where` is named in errors.

    It says who could have signed, not whether that key is trusted: see `bundle.trust`.

    Raises:
        SignatureError: malformed, another namespace or key type, the signature does not fit, or nobody
            touched the token.
    """
    try:
        key, found, algorithm, signature = _parse(dearmor(armored))
    except (ValueError, struct.error) as error:
        raise _failure(
            f"서명 파일을 읽을 수 없습니다 ({error})", f"the signature file cannot be read ({error})", where
        ) from error
    if found != namespace.encode():
        raise _failure(
            "서명의 용도(namespace)가 다릅니다",
            "the signature was made for another purpose (namespace)",
            where,
        )
    if signature.flags is not None and not signature.flags & _USER_PRESENT:
        raise _failure(
            "보안 키를 만지지 않고 만든 서명입니다",
            "the signature was made without touching the token",
            where,
        )
    signed = signed_blob(message, namespace, algorithm)
    if signature.flags is not None:
        signed = token_blob(key, signed, signature.flags, signature.counter)
    if not ed25519.verify(key.raw, signed, signature.raw):
        raise _failure("서명이 서명된 파일과 맞지 않습니다", "the signature does not fit the file", where)
    return key


def _failure(korean: str, english: str, where: str) -> SignatureError:
    return SignatureError(
        Text(korean, english),
        where=where,
        hint=Text(
            "번들을 설치하지 말고 만든 쪽에 확인하십시오", "do not install the bundle; ask who built it"
        ),
    )


@dataclass(frozen=True)
class _RawSignature:
    """64 bytes, and what a FIDO token adds to them; `flags` is None for a plain key."""

    raw: bytes
    flags: Optional[int] = None
    counter: int = 0


def dearmor(armored: bytes) -> bytes:
    """Return the binary SSHSIG inside the armour.

    Raises:
        ValueError: there is none, or it is too large.
    """
    if len(armored) > limits.SIGNATURE_BYTES:
        raise ValueError("too large")
    lines = armored.replace(b"\r\n", b"\n").strip().split(b"\n")
    if len(lines) < 3 or lines[0] != _BEGIN or lines[-1] != _END:
        raise ValueError("not an SSH signature")
    return base64.b64decode(b"".join(lines[1:-1]), validate=True)


def enarmor(data: bytes) -> bytes:
    """Return a binary SSHSIG in its armour, in the lines that ``ssh-keygen`` writes."""
    encoded = base64.b64encode(data)
    lines = [encoded[start : start + 70] for start in range(0, len(encoded), 70)]
    return b"\n".join([_BEGIN, *lines, _END]) + b"\n"


def _parse(data: bytes) -> Tuple[PublicKey, bytes, bytes, _RawSignature]:
    if not data.startswith(MAGIC):
        raise ValueError("wrong magic")
    (version,) = struct.unpack(">I", data[6:10])
    if version != VERSION:
        raise ValueError(f"version {version}")
    blob, rest = take(data[10:])
    namespace, rest = take(rest)
    reserved, rest = take(rest)
    algorithm, rest = take(rest)
    wrapped, rest = take(rest)
    if rest or reserved or algorithm not in _HASHES:
        raise ValueError("unexpected content")
    key = parse_key_blob(blob)
    return key, namespace, algorithm, _signature(key, wrapped)


def _signature(key: PublicKey, wrapped: bytes) -> _RawSignature:
    kind, rest = take(wrapped)
    raw, rest = take(rest)
    # Flags and counter stand behind the signature, as one byte and four.
    if kind != key.kind or len(raw) != 64 or len(rest) != (5 if key.application else 0):
        raise ValueError("not an Ed25519 signature")
    if not key.application:
        return _RawSignature(raw)
    flags, counter = struct.unpack(">BI", rest)
    return _RawSignature(raw, flags, counter)


def take(data: bytes) -> Tuple[bytes, bytes]:
    """Return the string at the beginning of `data` (RFC 4251, section 5) and what follows it.

    Raises:
        ValueError: `data` ends before the string does.
    """
    if len(data) < 4:
        raise ValueError("truncated")
    (length,) = struct.unpack(">I", data[:4])
    if length > len(data) - 4:
        raise ValueError("truncated")
    return data[4 : 4 + length], data[4 + length :]


def armor(key: PublicKey, signature: bytes, namespace: str = layout.NAMESPACE) -> bytes:
    """Return the armored SSHSIG of a raw signature over `signed_blob`.

    `signature` is 64 bytes; a token's flags and counter follow them.
    """
    wrapped = ssh_string(key.kind) + ssh_string(signature[:64]) + signature[64:]
    return enarmor(
        MAGIC
        + struct.pack(">I", VERSION)
        + ssh_string(key.blob)
        + ssh_string(namespace.encode())
        + ssh_string(b"")
        + ssh_string(b"sha512")
        + ssh_string(wrapped)
    )
