"""A receipt notices everything that can differ."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from installer import receipt, sealed


@pytest.fixture
def generation(tmp_path: Path) -> tuple[Path, receipt.Receipt]:
    folder = tmp_path / "generation"
    (folder / "a" / "empty").mkdir(parents=True)
    (folder / "a" / "파일.txt").write_bytes(b"text")
    (folder / "b.bin").write_bytes(b"bytes")
    (folder / "link").symlink_to("b.bin")
    made = receipt.Receipt("000001-0123456789ab", "d", 1, "1.0", "now", tuple(receipt.take(folder)))
    receipt.write(folder, made)
    return folder, made


def test_an_untouched_generation_has_no_differences(generation: tuple[Path, receipt.Receipt]) -> None:
    folder, made = generation
    assert receipt.read(folder) == made
    assert receipt.differences(folder, made) == []


CHANGES: dict[str, Callable[[Path], object]] = {
    "changed: b.bin": lambda folder: (folder / "b.bin").write_bytes(b"BYTES"),
    "size differs: b.bin": lambda folder: (folder / "b.bin").write_bytes(b"longer bytes"),
    "missing: b.bin": lambda folder: (folder / "b.bin").unlink(),
    "missing: a/empty": lambda folder: (folder / "a" / "empty").rmdir(),
    "undeclared: new": lambda folder: (folder / "new").write_bytes(b""),
    "mode differs: b.bin": lambda folder: (folder / "b.bin").chmod(0o777),
    "mode differs: a": lambda folder: (folder / "a").chmod(0o777),
}


@pytest.mark.parametrize("expected", CHANGES)
def test_every_change_is_named(generation: tuple[Path, receipt.Receipt], expected: str) -> None:
    folder, made = generation
    CHANGES[expected](folder)
    assert receipt.differences(folder, made) == [expected]


def test_a_file_replaced_by_a_link_to_equal_bytes_is_noticed(
    generation: tuple[Path, receipt.Receipt], tmp_path: Path
) -> None:
    folder, made = generation
    os.rename(folder / "b.bin", tmp_path / "elsewhere")
    (folder / "b.bin").symlink_to(tmp_path / "elsewhere")
    assert receipt.differences(folder, made) == ["kind differs: b.bin"]
    (folder / "link").unlink()
    (folder / "link").symlink_to("/etc/passwd")
    assert "link differs: link" in receipt.differences(folder, made)


def test_a_quick_look_does_not_read_bytes_and_skipped_folders_are_still_listed(
    generation: tuple[Path, receipt.Receipt],
) -> None:
    folder, made = generation
    (folder / "a" / "파일.txt").write_bytes(b"TEXT")
    assert receipt.differences(folder, made, deep=False) == []
    assert receipt.differences(folder, made, skip=("a",)) == []
    (folder / "a" / "파일.txt").unlink()
    assert receipt.differences(folder, made, skip=("a",)) == ["missing: a/파일.txt"]


def test_an_edited_receipt_is_not_believed(generation: tuple[Path, receipt.Receipt]) -> None:
    folder, _ = generation
    path = folder / receipt.NAME
    path.write_bytes(path.read_bytes().replace(b"b.bin", b"c.bin"))
    with pytest.raises(sealed.Damaged):
        receipt.read(folder)


def test_a_device_or_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="pipe"):
        receipt.take(tmp_path)
