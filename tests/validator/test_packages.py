"""Packages checks: each passes on an untouched generation and fails on a changed one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bundle.manifest import Package
from tests.validator.fakes import PYTHON, Installation, run, status
from validator.checks import packages
from validator.model import Status


@pytest.mark.parametrize("item", packages.CHECKS, ids=lambda c: c.id)
def test_an_untouched_generation_passes(installation: Installation, item: object) -> None:
    assert status(item, installation.subject()) is Status.PASS  # type: ignore[arg-type]


def _changed(place: Installation) -> None:
    (place.site / "toy_index" / "__init__.py").write_text("VALUE = 2\n")


def _missing(place: Installation) -> None:
    (place.site / "toy_index" / "__init__.py").unlink()


def _extra(place: Installation) -> None:
    (place.site / "planted.pth").write_text("import os\n")


def _mode(place: Installation) -> None:
    (place.site / "toy_index" / "__init__.py").chmod(0o600)


def _link(place: Installation) -> None:
    python = place.generation / "venv" / "bin" / "python"
    python.unlink()
    python.symlink_to("/bin/sh")


def _kind(place: Installation) -> None:
    file = place.site / "toy_index" / "__init__.py"
    file.unlink()
    file.mkdir()


@pytest.mark.parametrize("defect", [_changed, _missing, _extra, _mode, _link, _kind])
def test_any_difference_from_the_receipt_fails_and_is_named(
    installation: Installation, defect: Callable[[Installation], None]
) -> None:
    defect(installation)
    outcome = run(packages.receipt_holds, installation.subject())
    assert outcome.status is Status.FAIL
    assert any(word in outcome.details.en for word in ("toy_index", "planted", "python"))


def test_a_models_digest_is_the_business_of_another_check_but_not_its_size(
    installation: Installation,
) -> None:
    model = installation.generation / "models" / "toy" / "model.safetensors"
    model.parent.mkdir(parents=True)
    model.write_bytes(b"weights")
    installation.seal()
    model.write_bytes(b"changed")
    assert status(packages.receipt_holds, installation.subject()) is Status.PASS
    model.write_bytes(b"longer than it was")
    assert status(packages.receipt_holds, installation.subject()) is Status.FAIL


@pytest.mark.parametrize("text", ["", "{}", '{"checksum": "x", "entries": []}', "[1]", "\xff"])
def test_a_damaged_receipt_fails(installation: Installation, text: str) -> None:
    (installation.generation / "RECEIPT.json").write_text(text, encoding="latin-1")
    assert status(packages.receipt_holds, installation.subject()) is Status.FAIL


def test_a_missing_a_foreign_and_an_outdated_package_fail(installation: Installation) -> None:
    installation.package("stranger", "1.0", {"__init__.py": ""})
    (installation.site / "ragtrace-0.1.0.dist-info").rename(installation.site / "ragtrace-0.0.9.dist-info")
    for file in (installation.site / "toy_index-2.0.dist-info").iterdir():
        file.unlink()
    (installation.site / "toy_index-2.0.dist-info").rmdir()
    details = run(packages.installed_set, installation.subject()).details.en
    assert "toy-index missing" in details
    assert "ragtrace 0.0.9 (expected 0.1.0)" in details
    assert "stranger not in the manifest" in details


def test_a_package_for_another_python_is_not_expected(tmp_path: Path) -> None:
    listed = (
        Package("ragtrace", "0.1.0", (PYTHON,)),
        Package("toy-index", "2.0", (PYTHON,)),
        Package("tomli", "2.0", ("3.9",)),
    )
    subject = Installation(tmp_path / "prefix", packages=listed).subject()
    assert status(packages.installed_set, subject) is Status.PASS


def test_of_two_versions_split_by_patch_release_either_may_be_installed(tmp_path: Path) -> None:
    listed = tuple(Package("toy-index", version, (PYTHON,)) for version in ("1.0", "2.0", "3.0"))
    own = Package("ragtrace", "0.1.0", (PYTHON,))
    for index, (packages_listed, wanted) in enumerate(
        [(listed[:2], Status.PASS), (listed[1:], Status.PASS), (listed[::2], Status.FAIL)]
    ):
        subject = Installation(tmp_path / str(index), packages=(own, *packages_listed)).subject()
        assert status(packages.installed_set, subject) is wanted


def test_an_unreadable_manifest_is_unknown(installation: Installation) -> None:
    (installation.generation / "tools" / "MANIFEST.json").write_text("{")
    assert status(packages.installed_set, installation.subject()) is Status.UNKNOWN


@pytest.mark.parametrize("defect", [_changed, _missing])
def test_a_file_that_differs_from_record_fails(
    installation: Installation, defect: Callable[[Installation], None]
) -> None:
    defect(installation)
    outcome = run(packages.record_hashes, installation.subject())
    assert outcome.status is Status.FAIL
    assert "__init__.py" in outcome.details.en


def test_a_missing_record_fails(installation: Installation) -> None:
    (installation.site / "toy_index-2.0.dist-info" / "RECORD").unlink()
    assert status(packages.record_hashes, installation.subject()) is Status.FAIL


def test_a_package_that_cannot_be_imported_fails_by_name(installation: Installation) -> None:
    (installation.site / "toy_index" / "__init__.py").write_text("raise ImportError('no libfoo.so')\n")
    outcome = run(packages.imports, installation.subject())
    assert outcome.status is Status.FAIL
    assert "toy_index (ImportError: no libfoo.so)" in outcome.details.en


def test_an_interpreter_that_does_not_run_fails(installation: Installation) -> None:
    _link(installation)
    assert status(packages.imports, installation.subject()) is Status.FAIL


def test_a_missing_environment_fails(installation: Installation) -> None:
    (installation.generation / "venv").rename(installation.generation / "gone")
    for item in (packages.installed_set, packages.record_hashes, packages.imports):
        assert status(item, installation.subject()) is Status.FAIL
