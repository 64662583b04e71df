"""A FIDO token made of software: what it signs, and as which key, follow OpenSSH's PROTOCOL.u2f."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bundle import layout, sshsig

TOUCHED = 0x01


@dataclass(frozen=True)
class Token:
    """A signer whose key is an ``sk-ssh-ed25519`` one; `flags` say whether somebody touched it."""

    private: Ed25519PrivateKey
    principal: str = "token@example"
    application: str = "ssh:"
    flags: int = TOUCHED
    counter: int = 41

    @property
    def public(self) -> sshsig.PublicKey:
        """The key that verifiers need."""
        return sshsig.PublicKey(self.private.public_key().public_bytes_raw(), self.application)

    def sign(self, message: bytes, namespace: str = layout.NAMESPACE) -> bytes:
        """Return the armored SSHSIG as ``ssh-keygen -Y sign`` writes it for a token."""
        signed = sshsig.signed_blob(message, namespace)
        raw = self.private.sign(sshsig.token_blob(self.public, signed, self.flags, self.counter))
        return sshsig.armor(self.public, raw + struct.pack(">BI", self.flags, self.counter), namespace)

    def sign_statement(self, encoded: bytes) -> bytes:
        """Return a binary SSHSIG over a statement."""
        return sshsig.dearmor(self.sign(encoded, layout.PROVENANCE_NAMESPACE))


def token(**changes: object) -> Token:
    """Return a new token."""
    return Token(Ed25519PrivateKey.generate(), **changes)  # type: ignore[arg-type]
