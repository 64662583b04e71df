"""Signers: whoever makes a signature that OpenSSH's tools read, and the key in a file as the plainest one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from bundle import layout, sshsig

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

# What an isolated host may believe of a key's signatures: bundles, how they were made, what carries them, who is to
# be believed next, and what has become known of the packages since.
NAMESPACES = (
    layout.NAMESPACE,
    layout.PROVENANCE_NAMESPACE,
    layout.VOLUMES_NAMESPACE,
    layout.TRUST_NAMESPACE,
    layout.ADVISORIES_NAMESPACE,
)


class Signer(Protocol):
    """A key that can be asked to sign, wherever its secret lies."""

    @property
    def principal(self) -> str:
        """The name under which its signatures are to be trusted."""

    @property
    def public(self) -> sshsig.PublicKey:
        """The key that verifiers need."""

    def sign(self, message: bytes, namespace: str = layout.NAMESPACE) -> bytes:
        """Return the armored SSHSIG over `message`."""

    def sign_statement(self, encoded: bytes) -> bytes:
        """Return a signature for a DSSE envelope over its pre-authentication encoding.

        64 raw Ed25519 bytes, which other tools read too, where the key can be had; else a binary SSHSIG.
        """


@dataclass(frozen=True)
class SigningKey:
    """A private key in memory and the principal under which its signatures are to be trusted."""

    private: Ed25519PrivateKey
    principal: str

    @property
    def public(self) -> sshsig.PublicKey:
        """The key that verifiers need."""
        return sshsig.PublicKey(self.private.public_key().public_bytes_raw())

    def sign(self, message: bytes, namespace: str = layout.NAMESPACE) -> bytes:
        """Return the armored SSHSIG over `message`; equal input gives equal bytes."""
        signature = self.private.sign(sshsig.signed_blob(message, namespace))
        return sshsig.armor(self.public, signature, namespace)

    def sign_statement(self, encoded: bytes) -> bytes:
        """Return the raw Ed25519 signature."""
        return self.private.sign(encoded)

    def allowed_signers(self) -> str:
        """Return the ``allowed_signers`` line of this key."""
        return allowed_signers([self])


def allowed_signers(signers: Iterable[Signer]) -> str:
    """Return the ``allowed_signers`` lines to carry to the isolated side, apart from the bundle."""
    return "".join(allowed_signers_line(signer.principal, signer.public) for signer in signers)


def allowed_signers_line(principal: str, public: sshsig.PublicKey) -> str:
    """Return the line that makes `public` known as `principal`, for our purposes only."""
    return f'{principal} namespaces="{",".join(NAMESPACES)}" {public.openssh()}\n'
