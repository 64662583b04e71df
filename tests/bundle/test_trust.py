"""Whom a signature makes us believe."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from builder.sealing.signing import SigningKey
from bundle import layout, trust
from bundle.errors import SignatureError

MESSAGE = b"manifest"
NOW = datetime(2026, 11, 20, tzinfo=timezone.utc)


@pytest.fixture
def key() -> SigningKey:
    return SigningKey(Ed25519PrivateKey.generate(), "builder@corp")


def origin(key: SigningKey, anchors: trust.Anchors) -> trust.Origin:
    return trust.establish_origin(MESSAGE, [key.sign(MESSAGE)], anchors, NOW)


def test_no_anchor_leaves_the_origin_unverified(key: SigningKey) -> None:
    assert origin(key, trust.Anchors()).status == "unverified"


def test_an_allowed_signer_is_named(key: SigningKey) -> None:
    found = origin(key, trust.Anchors(allowed_signers="# ours\n\n" + key.allowed_signers()))
    assert (found.status, found.principal) == ("verified", "builder@corp")


def test_a_fingerprint_is_an_anchor(key: SigningKey) -> None:
    assert origin(key, trust.Anchors(fingerprints=(key.public.fingerprint,))).status == "verified"


def test_another_signer_than_the_anchor_is_refused_never_unverified(key: SigningKey) -> None:
    other = SigningKey(Ed25519PrivateKey.generate(), "other")
    for anchors in (
        trust.Anchors(allowed_signers=other.allowed_signers()),
        trust.Anchors(fingerprints=(other.public.fingerprint,)),
    ):
        with pytest.raises(SignatureError, match="not by a signer you trust"):
            origin(key, anchors)


@pytest.mark.parametrize(
    ("options", "accepted"),
    [
        ('namespaces="git,ragtrace-bundle@v1"', True),
        ('namespaces="git"', False),
        ('valid-before="20260101"', False),
        ('valid-after="20270101Z"', False),
        ('valid-after="20260101",valid-before="202701010000"', True),
        (f'namespaces="{layout.NAMESPACE}",valid-before="20271231"', True),
    ],
)
def test_options_of_allowed_signers_are_respected(key: SigningKey, options: str, accepted: bool) -> None:
    anchors = trust.Anchors(allowed_signers=f"builder {options} {key.public.openssh()} comment\n")
    if accepted:
        assert origin(key, anchors).status == "verified"
    else:
        with pytest.raises(SignatureError):
            origin(key, anchors)


@pytest.mark.parametrize("line", ["builder", "builder cert-authority ssh-ed25519 AAAA", "b ssh-ed25519 !!!"])
def test_a_line_that_cannot_be_read_is_refused_with_its_number(key: SigningKey, line: str) -> None:
    with pytest.raises(SignatureError) as caught:
        origin(key, trust.Anchors(allowed_signers=f"\n{line}\n"))
    assert "allowed_signers:2" in caught.value.where


def test_keys_of_other_kinds_are_passed_over(key: SigningKey) -> None:
    text = "someone ecdsa-sha2-nistp256 AAAAE2VjZHNh\n" + key.allowed_signers()
    assert origin(key, trust.Anchors(allowed_signers=text)).status == "verified"
