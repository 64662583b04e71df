"""Signing keys and signatures: Ed25519 in OpenSSH's formats, so that stock tools read them too."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bundle import layout, sshsig
from bundle.errors import UsageProblem
from bundle.text import Text


@dataclass(frozen=True)
class SigningKey:
    """A private key and the principal under which its signatures are to be trusted."""

    private: Ed25519PrivateKey
    principal: str

    @property
    def public(self) -> sshsig.PublicKey:
        """The key that verifiers need."""
        return public_key(self.private)

    def allowed_signers(self) -> str:
        """Return the ``allowed_signers`` line to carry to the isolated side, apart from the bundle."""
        return f'{self.principal} namespaces="{layout.NAMESPACE}" {self.public.openssh()}\n'


def public_key(private: Ed25519PrivateKey) -> sshsig.PublicKey:
    """Return the public half of `private`."""
    raw = private.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return sshsig.PublicKey(raw)


def sign_sshsig(private: Ed25519PrivateKey, message: bytes, namespace: str = layout.NAMESPACE) -> bytes:
    """Return the armored SSHSIG over `message`; Ed25519 is deterministic, so equal input gives equal bytes."""
    signature = private.sign(sshsig.signed_blob(message, namespace))
    return sshsig.armor(public_key(private), signature, namespace)


def default_key_path() -> Path:
    """Return where the key made on the first run lies: in the user's configuration, not in the project."""
    base = os.environ.get("XDG_CONFIG_HOME") or os.path.join(os.path.expanduser("~"), ".config")
    return Path(base) / "ragtrace" / "signing_key"


def load_key(path: Path, principal: str) -> SigningKey:
    """Read an unencrypted OpenSSH Ed25519 private key.

    Raises:
        UsageProblem: unreadable, encrypted, of another kind, or readable by others.
    """
    try:
        data = path.read_bytes()
        private = serialization.load_ssh_private_key(data, password=None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise UsageProblem(
            Text("서명 키를 읽을 수 없습니다", "the signing key cannot be read"),
            where=f"{path}: {error}",
            hint=Text(
                "암호 없는 OpenSSH Ed25519 개인 키가 필요합니다: ssh-keygen -t ed25519",
                "an OpenSSH Ed25519 private key without a passphrase is needed: ssh-keygen -t ed25519",
            ),
        ) from error
    if not isinstance(private, Ed25519PrivateKey):
        raise UsageProblem(
            Text("서명 키가 Ed25519가 아닙니다", "the signing key is not Ed25519"),
            where=str(path),
            hint=Text("ssh-keygen -t ed25519 로 만드십시오", "make one with ssh-keygen -t ed25519"),
        )
    if os.name == "posix" and path.stat().st_mode & 0o077:
        raise UsageProblem(
            Text("서명 키를 다른 사용자가 읽을 수 있습니다", "the signing key is readable by other users"),
            where=str(path),
            hint=Text(f"chmod 600 {path}", f"chmod 600 {path}"),
        )
    return SigningKey(private, principal)


def load_or_create_key(path: Path, principal: str) -> "tuple[SigningKey, bool]":
    """Return the key at `path` and whether it was made now (owner-only, written whole or not at all)."""
    if path.exists():
        return load_key(path, principal), False
    private = Ed25519PrivateKey.generate()
    data = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        # A link fails where the name exists: of two first runs at once, one makes the key, both use it.
        try:
            os.link(temporary, path)
        except FileExistsError:
            return load_key(path, principal), False
    finally:
        os.unlink(temporary)
    return SigningKey(private, principal), True
