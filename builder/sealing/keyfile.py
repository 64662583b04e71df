"""Key files of OpenSSH: what a file holds, told without its secret, and why it cannot be used for signing."""

from __future__ import annotations

import base64
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from bundle import sshsig
from bundle.errors import UsageProblem
from bundle.sshsig import PublicKey, take
from bundle.text import Text

_BEGIN = b"-----BEGIN OPENSSH PRIVATE KEY-----"
_END = b"-----END OPENSSH PRIVATE KEY-----"
_MAGIC = b"openssh-key-v1\0"
# An Ed25519 key is half a kilobyte; even RSA keys stay below this.
_MOST_BYTES = 64 * 1024
_OTHER_PEM = re.compile(rb"-----BEGIN ((?:[A-Z0-9]+ )*)PRIVATE KEY-----")
_PUBLIC = re.compile(rb"(ssh|sk-ssh|ecdsa|sk-ecdsa)-[a-z0-9@.-]+ ")
_TYPE = re.compile(rb"(ssh|ecdsa|sk)-[a-z0-9@.-]{1,64}\Z")
_PRINCIPAL = re.compile(r"[^\s\",!*?#=\\][^\s\",!*?\\]{0,99}\Z")

_MAKE_ONE = Text(
    "Ed25519 키를 만드십시오: create_enterprise_offline.py keys new",
    "make an Ed25519 key: create_enterprise_offline.py keys new",
)


@dataclass(frozen=True)
class KeyFile:
    """What a key file tells without its secret. `private` is false for an ``.pub`` file."""

    path: Path
    data: bytes
    public: PublicKey
    private: bool
    encrypted: bool
    comment: str

    @property
    def token(self) -> bool:
        """Whether a FIDO token holds the secret."""
        return bool(self.public.application)


def read_key_file(path: Path) -> KeyFile:
    """Read an OpenSSH Ed25519 key, private or public, without asking for its passphrase.

    Raises:
        UsageProblem: no such file, a link, empty, of another kind or format, or readable by others.
    """
    data, mode = _read(path)
    if _PUBLIC.match(data):
        return _public(path, data)
    if not data.startswith(_BEGIN):
        raise _other_format(path, data)
    if os.name == "posix" and mode & 0o077:
        raise UsageProblem(
            Text("서명 키를 다른 사용자가 읽을 수 있습니다", "the signing key is readable by other users"),
            where=f"{path} ({mode & 0o777:04o})",
            hint=Text(f"chmod 600 {path}", f"chmod 600 {path}"),
        )
    try:
        cipher, blob = _opened(data)
    except ValueError as error:
        raise unreadable(path, str(error)) from error
    return KeyFile(path, data, _ed25519(path, blob), True, cipher != b"none", _comment_beside(path))


def principal_problem(name: str) -> UsageProblem | None:
    """Return why `name` cannot be a principal in an ``allowed_signers`` line, or None."""
    if _PRINCIPAL.match(name):
        return None
    return UsageProblem(
        Text("서명자 이름으로 쓸 수 없습니다", "not usable as a signer's name"),
        where=repr(name),
        hint=Text(
            "공백, 따옴표, 쉼표, !, *, ? 없이 100자까지 (예: builder@example.com)",
            "up to 100 characters without blanks, quotes, commas, !, * and ? (as builder@example.com)",
        ),
    )


def unreadable(path: Path, why: str) -> UsageProblem:
    """Return the error for a key file that is damaged or cannot be opened."""
    return UsageProblem(
        Text("서명 키를 읽을 수 없습니다", "the signing key cannot be read"),
        where=f"{path}: {why}",
        hint=_MAKE_ONE,
    )


def _read(path: Path) -> tuple[bytes, int]:
    # O_NONBLOCK: opening a pipe must not wait for a writer.
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        if path.is_symlink():
            raise UsageProblem(
                Text("서명 키가 심볼릭 링크입니다", "the signing key is a symbolic link"),
                where=f"{path} -> {os.readlink(path)}",
                hint=Text("파일 자체를 지정하십시오", "name the file itself"),
            )
        with open(os.open(path, flags), "rb") as stream:
            status = os.fstat(stream.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise unreadable(path, "not a regular file")
            data = stream.read(_MOST_BYTES + 1)
    except OSError as error:
        raise unreadable(path, error.strerror or str(error)) from error
    if not data.strip():
        raise unreadable(path, "empty")
    if len(data) > _MOST_BYTES:
        raise unreadable(path, "too large")
    return data, status.st_mode


def _opened(data: bytes) -> tuple[bytes, bytes]:
    """Return cipher and public key of an OpenSSH private key (PROTOCOL.key): both stand in the clear."""
    lines = data.strip().splitlines()
    if lines[-1].strip() != _END:
        raise ValueError("truncated")
    body = base64.b64decode(b"".join(line.strip() for line in lines[1:-1]), validate=True)
    if not body.startswith(_MAGIC):
        raise ValueError("not openssh-key-v1")
    cipher, rest = take(body[len(_MAGIC) :])
    _, rest = take(rest)
    _, rest = take(rest)
    blob, _ = take(rest[4:])
    return cipher, blob


def _ed25519(path: Path, blob: bytes) -> PublicKey:
    try:
        return sshsig.parse_key_blob(blob)
    except ValueError as error:
        found = blob[4 : 4 + int.from_bytes(blob[:4], "big")]
        if not _TYPE.match(found) or found in (sshsig.KEY_TYPE, sshsig.TOKEN_KEY_TYPE):
            raise unreadable(path, str(error)) from error
        raise _not_ed25519(path, found.decode("ascii")) from error


def _public(path: Path, data: bytes) -> KeyFile:
    try:
        kind, encoded, *rest = data.decode("utf-8").splitlines()[0].split(None, 2)
        blob = base64.b64decode(encoded, validate=True)
    except ValueError as error:
        raise unreadable(path, str(error)) from error
    public = _ed25519(path, blob)
    if public.kind.decode() != kind:
        raise unreadable(path, f"{kind}?")
    return KeyFile(path, data, public, False, False, rest[0].strip() if rest else "")


def _comment_beside(path: Path) -> str:
    """Return the comment of the ``.pub`` file beside a private key: the key's own is inside the secret."""
    try:
        words = path.with_name(f"{path.name}.pub").read_text(encoding="utf-8").split(None, 2)
    except (OSError, UnicodeDecodeError):
        return ""
    return words[2].strip() if len(words) == 3 else ""


def _other_format(path: Path, data: bytes) -> UsageProblem:
    found = _OTHER_PEM.match(data)
    if found is not None and found.group(1).strip() in (b"RSA", b"DSA", b"EC"):
        return _not_ed25519(path, found.group(1).strip().decode())
    what = "PEM" if found is not None else "PuTTY" if data.startswith(b"PuTTY-") else "?"
    return UsageProblem(
        Text("서명 키가 OpenSSH 형식이 아닙니다", "the signing key is not in OpenSSH's format"),
        where=f"{path}: {what}",
        hint=_MAKE_ONE,
    )


def _not_ed25519(path: Path, found: str) -> UsageProblem:
    return UsageProblem(
        Text("서명 키가 Ed25519가 아닙니다", "the signing key is not Ed25519"),
        where=f"{path}: {found}",
        hint=_MAKE_ONE,
    )
