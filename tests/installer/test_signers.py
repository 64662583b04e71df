"""Several signers on the isolated side: how many are demanded, who is pinned, what is kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from builder.sealing.signing import Signer, SigningKey, allowed_signers
from tests.support.bundles import Bundle
from tests.support.tokens import token

from .site import Run, Site

Make = Callable[..., Bundle]
REVIEWER = SigningKey(Ed25519PrivateKey.generate(), "reviewer@example")
OFFICER = token()


def countersigned(bundle: Bundle, signers: Sequence[Signer]) -> Bundle:
    """Add further signatures to a bundle, as ``keys sign`` does."""
    manifest = (bundle.root / "MANIFEST.json").read_bytes()
    for number, signer in enumerate(signers, 2):
        (bundle.root / f"MANIFEST.json.{number}.sig").write_bytes(signer.sign(manifest))
    return bundle


def verify(site: Site, bundle: Bundle, *words: str, trusting: Sequence[Signer]) -> Run:
    anchors = site.root.parent / "allowed_signers"
    anchors.write_text(allowed_signers(trusting))
    known = ["--bundle", str(bundle.root), "--allowed-signers", str(anchors)]
    return site.run(*known, "--service-manager", "process", "--json", *words)


def test_as_many_trusted_signers_as_demanded_are_enough_and_all_are_kept(
    site: Site, bundle_for: Make, builder_key: SigningKey
) -> None:
    bundle = countersigned(bundle_for(), [OFFICER])
    done = verify(site, bundle, "--require-signatures", "2", trusting=[builder_key, OFFICER])
    assert done.code == 0, done.err
    tools = site.prefix.generation(bundle.generation) / "tools"
    assert sorted(path.name for path in tools.glob("MANIFEST.json*")) == [
        "MANIFEST.json",
        "MANIFEST.json.2.sig",
        "MANIFEST.json.sig",
    ]
    pinned = site.prefix.allowed_signers.read_text()
    assert builder_key.public.openssh() in pinned and OFFICER.public.openssh() in pinned
    assert site.undeclared() == []
    assert site.run("--verify-only", "--bundle", str(tools)).code == 0
    later = countersigned(bundle_for(version="2.0.0", sequence=2), [OFFICER])
    again = site.run("--bundle", str(later.root))
    assert again.code == 0, again.err


def test_as_many_have_to_sign_the_next_bundle_until_the_operator_says_otherwise(
    site: Site, bundle_for: Make, builder_key: SigningKey
) -> None:
    first = countersigned(bundle_for(), [OFFICER])
    assert verify(site, first, "--require-signatures", "2", trusting=[builder_key, OFFICER]).code == 0
    alone = bundle_for(version="2.0.0", sequence=2)
    refused = site.run("--bundle", str(alone.root))
    assert refused.code == 11 and "1 of 2" in refused.err
    assert site.answering() == first.generation
    allowed = site.run("--bundle", str(alone.root), "--require-signatures", "1")
    assert allowed.code == 0, allowed.err
    assert site.run("--bundle", str(bundle_for(version="3.0.0", sequence=3).root)).code == 0


@pytest.mark.parametrize("signed", [1, 2])
def test_fewer_than_demanded_is_a_matter_of_policy_and_writes_nothing(
    site: Site, bundle_for: Make, builder_key: SigningKey, signed: int
) -> None:
    others: list[Signer] = [REVIEWER, OFFICER]
    bundle = countersigned(bundle_for(), others[: signed - 1])
    done = verify(site, bundle, "--require-signatures", "3", trusting=[builder_key, REVIEWER, OFFICER])
    assert done.code == 11 and f"{signed} of 3" in done.document["summary"]
    assert not site.root.exists()


def test_a_signature_by_a_stranger_does_not_count(
    site: Site, bundle_for: Make, builder_key: SigningKey
) -> None:
    bundle = countersigned(bundle_for(), [REVIEWER])
    words = ["--require-signatures", "2", "--verify-only"]
    assert verify(site, bundle, *words, trusting=[builder_key]).code == 11
    told = verify(site, bundle, "--verify-only", trusting=[builder_key]).document
    assert told["signers"] == [
        {"principal": "builder@example", "fingerprint": builder_key.public.fingerprint},
        {"principal": None, "fingerprint": REVIEWER.public.fingerprint},
    ]


@pytest.mark.parametrize("number", ["0", "9", "-1"])
def test_a_senseless_number_of_signatures_is_refused(site: Site, bundle_for: Make, number: str) -> None:
    done = site.install(bundle_for(), "--require-signatures", number)
    assert done.code == 2 and "from 1 to 8" in done.err


def test_a_clock_that_is_behind_is_warned_about_also_when_quiet(site: Site, bundle_for: Make) -> None:
    bundle = bundle_for(created="2999-01-01T00:00:00Z", expires="2999-02-01T00:00:00Z")
    done = site.install(bundle, "--verify-only", "--quiet", "--lang", "en")
    assert done.code == 0 and "earlier than the bundle" in done.err


def test_an_expired_bundle_is_refused_before_anything_is_written(site: Site, bundle_for: Make) -> None:
    bundle = bundle_for(created="2020-01-01T00:00:00Z", expires="2020-02-01T00:00:00Z")
    done = site.install(bundle)
    assert done.code == 11 and "2020-02-01" in done.err
    assert not Path(site.root).exists()
