"""A keeper of signing keys, honest or not: makes trust records from a readable description.

    house = KeyHouse()
    house.record(["a", "b"], by=["a"])                  # number 1
    house.record(["b", "c"], by=["b"], revoked=["a"])   # number 2

Nothing is checked here: an attacker's record is made the same way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from builder.sealing.signing import SigningKey
from bundle import layout
from bundle.trustrecords import Carried, RevokedKey, TrustedKey, TrustRecord, record_name

SINCE = "2026-06-01T00:00:00Z"


def new_key(name: str) -> SigningKey:
    """Return a new key whose principal says its name."""
    return SigningKey(Ed25519PrivateKey.generate(), f"{name}@example")


@dataclass
class KeyHouse:
    """Keys by name, made when they are first spoken of, and the records made so far."""

    keys: dict[str, SigningKey] = field(default_factory=dict)
    records: list[Carried] = field(default_factory=list)

    def key(self, name: str) -> SigningKey:
        """Return the key of that name."""
        return self.keys.setdefault(name, new_key(name))

    def make(
        self,
        signers: Sequence[str],
        by: Sequence[str],
        revoked: Sequence[str] = (),
        times: Mapping[str, tuple[str | None, str | None]] | None = None,
        **fields: Any,
    ) -> Carried:
        """Return a record; `times` are valid-after and valid-before by name, `fields` override the record's."""
        spans = times or {}
        values: dict[str, Any] = {
            "version": len(self.records) + 1,
            "created": f"2026-07-{len(self.records) + 1:02d}T00:00:00Z",
            "threshold": 1,
            "signers": tuple(
                TrustedKey(self.key(name).principal, self.key(name).public, *spans.get(name, (None, None)))
                for name in signers
            ),
            "revoked": tuple(
                RevokedKey(self.key(name).public.fingerprint, SINCE, f"key {name} was lost")
                for name in revoked
            ),
        }
        made = TrustRecord(**{**values, **fields})
        return self.signed(made.to_bytes(), by, made.version)

    def signed(self, data: bytes, by: Sequence[str], version: int) -> Carried:
        """Return bytes as a record with these keys' signatures."""
        signatures = tuple(self.key(name).sign(data, layout.TRUST_NAMESPACE) for name in by)
        return Carried(record_name(version), data, signatures)

    def record(self, signers: Sequence[str], by: Sequence[str], **description: Any) -> Carried:
        """Make a record as `make` does and keep it as the next of the chain."""
        made = self.make(signers, by, **description)
        self.records.append(made)
        return made


def files(records: Sequence[Carried]) -> dict[str, bytes]:
    """Return the records' files by their path in a bundle."""
    return {f"{layout.TRUST}/{name}": data for item in records for name, data in item.files().items()}


def write(folder: Path, records: Sequence[Carried]) -> Path:
    """Write records into a folder, as they are carried by hand, and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    for item in records:
        for name, data in item.files().items():
            (folder / name).write_bytes(data)
    return folder
