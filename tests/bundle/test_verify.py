"""Attacks on an unpacked bundle, each refused, and the honest bundle accepted."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from builder.sealing.signing import SigningKey
from bundle import checksums, sshsig, verify
from bundle.errors import IntegrityError, PolicyError, RagTraceError, SignatureError
from bundle.trust import Anchors
from tests.support.trees import FILES, write_tree

WHEEL = "02_Dependencies/wheels/a-1-py3-none-any.whl"


def opened(root: Path, **options: object) -> verify.VerifiedBundle:
    return verify.open_bundle(root, Anchors(), allow_unverified_origin=True, **options)  # type: ignore[arg-type]


def test_an_honest_bundle_is_accepted(tmp_path: Path) -> None:
    key = write_tree(tmp_path)
    found = verify.open_bundle(tmp_path, Anchors(allowed_signers=key.allowed_signers()))
    assert found.origin.status == "verified"
    assert {entry.path for entry in found.manifest.files} == set(FILES)


def test_every_byte_is_counted_for_progress(tmp_path: Path) -> None:
    write_tree(tmp_path)
    counted: list[int] = []
    opened(tmp_path, on_bytes=counted.append)
    assert sum(counted) == sum(len(data) for data in FILES.values())


def test_without_an_anchor_the_operator_must_allow_it(tmp_path: Path) -> None:
    key = write_tree(tmp_path)
    with pytest.raises(SignatureError, match="origin not verified") as caught:
        verify.open_bundle(tmp_path, Anchors())
    assert caught.value.hint is not None and key.public.fingerprint in caught.value.hint.en


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


ATTACKS: dict[str, tuple[Callable[[Path], object], type[RagTraceError], str]] = {
    "changed byte": (lambda root: flip(root / WHEEL), IntegrityError, "changed bytes: " + WHEEL),
    "appended byte": (
        lambda root: (root / WHEEL).write_bytes((root / WHEEL).read_bytes() + b"x"),
        IntegrityError,
        "size differs",
    ),
    "truncated file": (lambda root: os.truncate(root / WHEEL, 10), IntegrityError, "size differs"),
    "missing file": (lambda root: (root / WHEEL).unlink(), IntegrityError, "missing file: " + WHEEL),
    "extra file": (
        lambda root: (root / "04_Scripts/sitecustomize.py").touch(),
        IntegrityError,
        "undeclared file",
    ),
    "extra file at the top": (
        lambda root: (root / "README").touch(),
        IntegrityError,
        "undeclared file: README",
    ),
    "file replaced by a link to itself": (
        lambda root: (shutil.move(root / WHEEL, root / "x"), (root / WHEEL).symlink_to(root / "x")),
        IntegrityError,
        "not a regular file",
    ),
    "folder replaced by a link": (
        lambda root: (
            shutil.move(root / "03_Source", root.parent / "s"),
            (root / "03_Source").symlink_to(root.parent / "s"),
        ),
        IntegrityError,
        "undeclared file: 03_Source",
    ),
    "file replaced by a pipe": (
        lambda root: ((root / WHEEL).unlink(), os.mkfifo(root / WHEEL)),
        IntegrityError,
        "not a regular file",
    ),
    "changed manifest": (lambda root: flip(root / "MANIFEST.json"), SignatureError, "does not fit"),
    "no signature": (lambda root: (root / "MANIFEST.json.sig").unlink(), SignatureError, "not signed"),
    "empty signature": (
        lambda root: (root / "MANIFEST.json.sig").write_bytes(b""),
        SignatureError,
        "cannot be read",
    ),
    "no manifest": (lambda root: (root / "MANIFEST.json").unlink(), IntegrityError, "not a bundle"),
    "changed checksums": (
        lambda root: flip(root / "checksums.sha256"),
        IntegrityError,
        "checksums.sha256 differs",
    ),
    "manifest is a pipe": (
        lambda root: ((root / "MANIFEST.json").unlink(), os.mkfifo(root / "MANIFEST.json")),
        IntegrityError,
        "not a regular file",
    ),
    "no checksums": (
        lambda root: (root / "checksums.sha256").unlink(),
        IntegrityError,
        "missing file: checksums",
    ),
    "manifest is a link": (
        lambda root: (
            shutil.move(root / "MANIFEST.json", root.parent / "m"),
            (root / "MANIFEST.json").symlink_to(root.parent / "m"),
        ),
        IntegrityError,
        "not a regular file",
    ),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_attack_is_refused(tmp_path: Path, name: str) -> None:
    attack, error, message = ATTACKS[name]
    root = tmp_path / "bundle"
    write_tree(root)
    attack(root)
    with pytest.raises(error) as caught:
        opened(root)
    assert message in caught.value.render("en")
    assert caught.value.exit_code == 10


def test_all_findings_are_reported_together(tmp_path: Path) -> None:
    write_tree(tmp_path)
    flip(tmp_path / WHEEL)
    (tmp_path / "05_Documentation/empty.txt").unlink()
    (tmp_path / "04_Scripts/extra").touch()
    with pytest.raises(IntegrityError) as caught:
        opened(tmp_path)
    assert len(caught.value.details) == 3


def test_another_products_bundle_is_refused(tmp_path: Path) -> None:
    write_tree(tmp_path, product="something-else")
    with pytest.raises(PolicyError, match="another product"):
        opened(tmp_path)


def test_an_expired_bundle_is_refused(tmp_path: Path) -> None:
    write_tree(tmp_path, expires="2026-12-01T00:00:00Z")
    opened(tmp_path, now=datetime(2026, 11, 30, tzinfo=timezone.utc))
    with pytest.raises(PolicyError, match="expired"):
        opened(tmp_path, now=datetime(2026, 12, 1, tzinfo=timezone.utc))


def test_checksums_cover_every_other_file(tmp_path: Path) -> None:
    write_tree(tmp_path)
    lines = (tmp_path / "checksums.sha256").read_text(encoding="utf-8").splitlines()
    listed = {line.split("  ", 1)[1] for line in lines}
    assert listed == {*FILES, "MANIFEST.json", "MANIFEST.json.sig"}
    assert checksums.checksum_lines([("b", "2"), ("a", "1")]) == b"1  a\n2  b\n"


def with_further(root: Path, *, count: int = 1) -> tuple[SigningKey, list[SigningKey]]:
    """Write a bundle and sign its manifest once more by `count` other keys."""
    key = write_tree(root)
    others = [SigningKey(Ed25519PrivateKey.generate(), f"reviewer-{number}") for number in range(count)]
    for number, other in enumerate(others, 2):
        (root / f"MANIFEST.json.{number}.sig").write_bytes(other.sign((root / "MANIFEST.json").read_bytes()))
    return key, others


def test_a_signature_added_later_leaves_the_bundle_intact(tmp_path: Path) -> None:
    key, (other,) = with_further(tmp_path)
    found = verify.open_bundle(tmp_path, Anchors(key.allowed_signers() + other.allowed_signers(), (), 2))
    assert [item.principal for item in found.origin.trusted] == ["tests", "reviewer-0"]
    assert len(found.signatures) == 2


def test_the_first_signature_is_where_stock_tools_look_for_it(tmp_path: Path) -> None:
    key, _ = with_further(tmp_path, count=7)
    assert (
        sshsig.verify(
            (tmp_path / "MANIFEST.json").read_bytes(), (tmp_path / "MANIFEST.json.sig").read_bytes()
        )
        == key.public
    )
    assert len(opened(tmp_path).signatures) == 8


@pytest.mark.parametrize(
    "name", ["MANIFEST.json.3.sig", "MANIFEST.json.9.sig", "MANIFEST.json.02.sig", "manifest.json.2.SIG"]
)
def test_a_signature_under_another_name_than_the_next_is_an_undeclared_file(
    tmp_path: Path, name: str
) -> None:
    with_further(tmp_path)
    os.rename(tmp_path / "MANIFEST.json.2.sig", tmp_path / name)
    with pytest.raises(IntegrityError) as caught:
        opened(tmp_path)
    assert f"undeclared file: {name}" in caught.value.render("en")


@pytest.mark.parametrize("spoil", [flip, lambda path: path.write_bytes(b"")])
def test_a_broken_further_signature_is_refused_however_good_the_first(
    tmp_path: Path, spoil: Callable[[Path], object]
) -> None:
    key, _ = with_further(tmp_path)
    spoil(tmp_path / "MANIFEST.json.2.sig")
    with pytest.raises(SignatureError) as caught:
        verify.open_bundle(tmp_path, Anchors(key.allowed_signers()))
    assert "MANIFEST.json.2.sig" in caught.value.where


def test_a_further_signature_that_is_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    write_tree(tmp_path)
    os.mkfifo(tmp_path / "MANIFEST.json.2.sig")
    with pytest.raises(IntegrityError, match="not a regular file"):
        opened(tmp_path)


def test_fewer_trusted_signers_than_required_are_refused_by_policy(tmp_path: Path) -> None:
    key, (other,) = with_further(tmp_path)
    with pytest.raises(PolicyError, match="1 of 2") as caught:
        verify.open_bundle(tmp_path, Anchors(key.allowed_signers(), (), 2))
    assert caught.value.exit_code == 11
    with pytest.raises(PolicyError, match="0 of 2"):
        verify.open_bundle(tmp_path, Anchors("", (), 2), allow_unverified_origin=True)
    (tmp_path / "MANIFEST.json.2.sig").unlink()
    both = Anchors(key.allowed_signers() + other.allowed_signers(), (), 2)
    with pytest.raises(PolicyError, match="1 of 2"):
        verify.open_bundle(tmp_path, both)


def test_a_clock_before_the_bundles_making_is_told(tmp_path: Path) -> None:
    write_tree(tmp_path, expires="2026-12-01T00:00:00Z")
    early = datetime(2026, 11, 1, tzinfo=timezone.utc)
    manifest = opened(tmp_path, now=early).manifest
    (warning,) = verify.clock_warnings(manifest, Anchors(), early)
    assert "2026-11-01" in warning.en and manifest.created in warning.ko
    assert verify.clock_warnings(manifest, Anchors(), datetime(2026, 11, 20, tzinfo=timezone.utc)) == []
