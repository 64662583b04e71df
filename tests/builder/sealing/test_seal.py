"""The seal of a bundle, and a further signature on one that is sealed."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from builder.sealing.countersign import countersign
from builder.sealing.seal import seal
from builder.sealing.signing import Signer, SigningKey, allowed_signers
from bundle import verify
from bundle.errors import IntegrityError, SignatureError, UsageProblem
from bundle.trust import Anchors
from tests.support.tokens import token
from tests.support.trees import FILES, manifest_of, write_tree


def key(name: str) -> SigningKey:
    return SigningKey(Ed25519PrivateKey.generate(), name)


def test_each_signer_signs_the_manifest_in_the_order_given() -> None:
    signers: list[Signer] = [key("one"), token(), key("three")]
    sealed = seal(manifest_of(FILES), signers)
    names = [name for name, _ in sealed.files()]
    assert names == [
        "MANIFEST.json",
        "MANIFEST.json.sig",
        "MANIFEST.json.2.sig",
        "MANIFEST.json.3.sig",
        "checksums.sha256",
    ]
    assert sealed.signatures == tuple(signer.sign(sealed.manifest) for signer in signers)


def test_further_signers_change_no_other_byte_of_the_bundle() -> None:
    one, other = key("one"), key("other")
    alone, both = (dict(seal(manifest_of(FILES), keys).files()) for keys in ([one], [one, other]))
    assert both == {**alone, "MANIFEST.json.2.sig": both["MANIFEST.json.2.sig"]}


def test_a_countersigned_bundle_is_intact_and_known_by_both(tmp_path: Path) -> None:
    first, reviewer = write_tree(tmp_path), key("reviewer")
    place, earlier = countersign(tmp_path / "MANIFEST.json", reviewer)
    assert (place.name, earlier) == ("MANIFEST.json.2.sig", [first.public.fingerprint])
    found = verify.open_bundle(tmp_path, Anchors(allowed_signers([first, reviewer]), (), 2))
    assert [item.principal for item in found.origin.trusted] == ["tests", "reviewer"]


def test_a_key_signs_once_and_eight_keys_at_most(tmp_path: Path) -> None:
    first = write_tree(tmp_path)
    with pytest.raises(UsageProblem, match="signed already"):
        countersign(tmp_path / "MANIFEST.json", first)
    for number in range(7):
        countersign(tmp_path / "MANIFEST.json", key(f"k{number}"))
    with pytest.raises(UsageProblem, match="at most 8"):
        countersign(tmp_path / "MANIFEST.json", key("one-too-many"))


def test_what_is_broken_is_not_countersigned(tmp_path: Path) -> None:
    write_tree(tmp_path)
    manifest = tmp_path / "MANIFEST.json"
    with pytest.raises(UsageProblem, match="not the MANIFEST"):
        countersign(tmp_path / "checksums.sha256", key("k"))
    manifest.write_bytes(manifest.read_bytes().replace(b"starter", b"startes"))
    with pytest.raises(SignatureError, match="does not fit"):
        countersign(manifest, key("k"))
    manifest.unlink()
    with pytest.raises(IntegrityError, match="not a bundle"):
        countersign(manifest, key("k"))
    assert not (tmp_path / "MANIFEST.json.2.sig").exists()
