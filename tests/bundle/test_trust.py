"""Whom a signature makes us believe."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime, timezone

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from builder.sealing.signing import SigningKey, allowed_signers
from bundle import layout, trust
from bundle.errors import SignatureError
from tests.support.tokens import token

MESSAGE = b"manifest"
NOW = datetime(2026, 11, 20, tzinfo=timezone.utc)


@pytest.fixture
def key() -> SigningKey:
    return SigningKey(Ed25519PrivateKey.generate(), "builder@corp")


def origin(key: SigningKey, anchors: trust.Anchors) -> trust.Origin:
    return trust.origin_of(trust.signing_keys(MESSAGE, [key.sign(MESSAGE)]), anchors, NOW)


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
        ('namespaces="ragtrace-*"', True),
        ('namespaces="!ragtrace-bundle@v1,*"', False),
        ('namespaces="ragtrace-bundle@v?",valid-after="20260101Z"', True),
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


@pytest.mark.parametrize(
    "line",
    [
        "builder",
        "b ssh-ed25519 !!!",
        "b ssh-ed25519",
        '"builder ssh-ed25519 AAAA',
        "builder valid-before=20270101 ssh-ed25519 AAAA",
        'builder valid-before="2027" ssh-ed25519 AAAA',
        'builder valid-before="20271301" ssh-ed25519 AAAA',
        'builder no-touch-required="" ssh-ed25519 AAAA',
        "!builder ssh-ed25519 AAAA",
        "builder sk-ssh-ed25519@openssh.com AAAAC3NzaC1lZDI1NTE5AAAAIGuLIn7yCzUVJcYzZASO6rcO3x9gwUhm+aNToEOH2O/r",
    ],
)
def test_a_line_that_cannot_be_read_is_refused_with_its_number(key: SigningKey, line: str) -> None:
    with pytest.raises(SignatureError) as caught:
        origin(key, trust.Anchors(allowed_signers=f"\n{line}\n"))
    assert "allowed_signers:2" in caught.value.where


def test_keys_of_other_kinds_are_passed_over(key: SigningKey) -> None:
    text = "someone ecdsa-sha2-nistp256 AAAAE2VjZHNh\n" + key.allowed_signers()
    assert origin(key, trust.Anchors(allowed_signers=text)).status == "verified"


@pytest.mark.parametrize(
    "options", ["cert-authority", 'namespaces="a,b",cert-authority', 'cert-authority,namespaces="*"']
)
def test_a_certificate_authority_is_refused_by_name_and_never_taken_for_a_signer(
    key: SigningKey, options: str
) -> None:
    with pytest.raises(SignatureError) as caught:
        origin(key, trust.Anchors(allowed_signers=f"builder {options} {key.public.openssh()}\n"))
    assert "cert-authority is not supported" in caught.value.where


def test_times_without_a_z_are_this_hosts_as_ssh_keygen_reads_them(
    key: SigningKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Asia/Seoul")
    time.tzset()
    try:
        (line,) = trust.parse_allowed_signers(f'b valid-after="20261120" {key.public.openssh()}')
        (other,) = trust.parse_allowed_signers(f'b valid-after="20261120Z" {key.public.openssh()}')
    finally:
        monkeypatch.undo()
        time.tzset()
    assert line.valid_after == datetime(2026, 11, 19, 15, tzinfo=timezone.utc)
    assert other.valid_after == NOW


def test_a_lapsed_line_is_told_from_an_unknown_signer(key: SigningKey) -> None:
    anchors = trust.Anchors(f'builder valid-before="20260101Z" {key.public.openssh()}\n')
    with pytest.raises(SignatureError, match="not in force now: builder"):
        origin(key, anchors)


def test_a_principal_may_be_quoted_and_a_pattern(key: SigningKey) -> None:
    found = origin(key, trust.Anchors(f'"홍 길동" {key.public.openssh()}\n'))
    assert found.principal == "홍 길동"
    assert origin(key, trust.Anchors(f"*@corp,!mallory@corp {key.public.openssh()}\n")).status == "verified"


def test_a_tokens_key_can_be_an_anchor() -> None:
    made = token()
    anchors = trust.Anchors(allowed_signers([made]))
    found = trust.origin_of(trust.signing_keys(MESSAGE, [made.sign(MESSAGE)]), anchors, NOW)
    assert found.principal == "token@example"


def signed(keys: Sequence[SigningKey], anchors: trust.Anchors) -> trust.Origin:
    return trust.origin_of(trust.signing_keys(MESSAGE, [key.sign(MESSAGE) for key in keys]), anchors, NOW)


def test_of_several_signers_one_trusted_verifies_the_origin_and_all_are_named(key: SigningKey) -> None:
    other = SigningKey(Ed25519PrivateKey.generate(), "reviewer")
    found = signed([other, key], trust.Anchors(key.allowed_signers()))
    assert (found.status, found.principal, found.key) == ("verified", "builder@corp", key.public)
    assert [(item.key, item.principal) for item in found.signers] == [
        (other.public, ""),
        (key.public, "builder@corp"),
    ]
    assert len(found.trusted) == 1 and "1 further" in found.explanation.en
    both = signed([other, key], trust.Anchors(other.allowed_signers(), (key.public.fingerprint,)))
    assert len(both.trusted) == 2


def test_of_several_signatures_each_has_to_hold(key: SigningKey) -> None:
    other = SigningKey(Ed25519PrivateKey.generate(), "reviewer")
    anchors = trust.Anchors(key.allowed_signers())
    with pytest.raises(SignatureError) as caught:
        trust.origin_of(
            trust.signing_keys(MESSAGE, [key.sign(MESSAGE), other.sign(b"another manifest")]), anchors, NOW
        )
    assert "MANIFEST.json.2.sig" in caught.value.where


def test_one_key_does_not_count_twice(key: SigningKey) -> None:
    with pytest.raises(SignatureError, match="by one key"):
        signed([key, key], trust.Anchors(key.allowed_signers()))


def test_several_signers_of_whom_none_is_trusted_are_refused(key: SigningKey) -> None:
    stranger = SigningKey(Ed25519PrivateKey.generate(), "stranger")
    with pytest.raises(SignatureError, match="not by a signer you trust"):
        signed(
            [key, SigningKey(Ed25519PrivateKey.generate(), "x")], trust.Anchors(stranger.allowed_signers())
        )


@pytest.mark.parametrize("count", [0, 9])
def test_no_signature_and_too_many_are_refused(count: int) -> None:
    keys = [SigningKey(Ed25519PrivateKey.generate(), "k") for _ in range(count)]
    with pytest.raises(SignatureError, match="number of signatures"):
        signed(keys, trust.Anchors())


WORDS = st.sampled_from(
    [
        "builder",
        '"a b"',
        "ssh-ed25519",
        "AAAA",
        'namespaces="a,b"',
        'valid-after="2027"',
        ",",
        '"',
        "!x",
        "\0",
        "#",
    ]
)


@given(st.lists(WORDS | st.text(max_size=8), max_size=6).map(" ".join))
def test_whatever_an_allowed_signers_line_says_it_is_understood_or_refused(line: str) -> None:
    try:
        trust.parse_allowed_signers(line)
    except SignatureError as error:
        assert error.where.startswith("allowed_signers:")
