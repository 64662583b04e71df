"""Ed25519 verification against RFC 8032, section 7.1, and against `cryptography`."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from bundle import ed25519

# (secret key is not needed to verify) public key, message, signature: TEST 1, 2, 3 and SHA(abc).
VECTORS = [
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
        "d25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c"
        "387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc659"
        "4a7c15e9716ed28dc027beceea1ec40a",
    ),
]
ORDER = 2**252 + 27742317777372353535851937790883648493


@pytest.mark.parametrize(("key", "message", "signature"), VECTORS)
def test_vectors_of_rfc_8032_verify(key: str, message: str, signature: str) -> None:
    assert ed25519.verify(bytes.fromhex(key), bytes.fromhex(message), bytes.fromhex(signature))


@settings(max_examples=25, deadline=None)
@given(message=st.binary(max_size=300), position=st.integers(0, 511))
def test_any_flipped_bit_of_a_signature_is_refused(message: bytes, position: int) -> None:
    private = Ed25519PrivateKey.generate()
    public = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    signature = bytearray(private.sign(message))
    assert ed25519.verify(public, message, bytes(signature))
    signature[position // 8] ^= 1 << position % 8
    assert not ed25519.verify(public, message, bytes(signature))


def test_s_beyond_the_group_order_is_refused() -> None:
    key, message, signature = (bytes.fromhex(item) for item in VECTORS[1])
    larger = int.from_bytes(signature[32:], "little") + ORDER
    assert not ed25519.verify(key, message, signature[:32] + larger.to_bytes(32, "little"))


def test_a_key_of_small_order_is_refused() -> None:
    identity = (1).to_bytes(32, "little")
    # With A and R the identity and S = 0 the equation holds for every message.
    assert not ed25519.verify(identity, b"anything", identity + bytes(32))


@pytest.mark.parametrize("key", [b"", b"\x00" * 31, b"\xff" * 32, (2).to_bytes(32, "little")])
def test_malformed_keys_are_refused(key: bytes) -> None:
    assert not ed25519.verify(key, b"", bytes.fromhex(VECTORS[0][2]))


def test_a_signature_of_another_length_is_refused() -> None:
    key, message, signature = (bytes.fromhex(item) for item in VECTORS[0])
    assert not ed25519.verify(key, message, signature[:-1])
    assert not ed25519.verify(key, message, signature + b"\0")
