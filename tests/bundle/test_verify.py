"""Attacks on an unpacked bundle, each refused, and the honest bundle accepted."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

import pytest

from bundle import checksums, verify
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
