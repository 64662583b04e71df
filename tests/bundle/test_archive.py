"""The archive is an ordinary .tar.gz: GNU tar, gzip and Python read it, and equal inputs give equal bytes."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import tarfile
import threading
from pathlib import Path

import pytest

from bundle.archive import ArchiveWriter, SourceChanged

MEMBERS: list[tuple[str, bytes, bool]] = [
    ("MANIFEST.json", b"{}\n" * 1000, False),
    ("02_Dependencies/wheels/big.whl", os.urandom(3_000_001), True),
    ("02_Dependencies/wheels/block.whl", b"x" * 65535, True),
    ("02_Dependencies/wheels/empty.whl", b"", True),
    ("03_Source/" + "long-name/" * 15 + "한글.md", "본문".encode(), False),
    ("05_Documentation/text.txt", b"text " * 50_000, False),
]


def write(stream: io.BytesIO, epoch: int = 1_700_000_000) -> tuple[int, str]:
    writer = ArchiveWriter(stream, "Top", epoch)
    for name, data, store in MEMBERS:
        writer.add(name, data, len(data), hashlib.sha256(data).hexdigest(), 0o644, store=store)
    return writer.close()


def test_python_reads_every_member_back() -> None:
    stream = io.BytesIO()
    write(stream)
    stream.seek(0)
    with tarfile.open(fileobj=stream, mode="r:gz") as archive:
        found = {member.name: archive.extractfile(member) for member in archive}
        assert {name: file.read() for name, file in found.items() if file} == {
            f"Top/{name}": data for name, data, _ in MEMBERS
        }


def test_stock_tar_and_gzip_read_it(tmp_path: Path) -> None:
    stream = io.BytesIO()
    write(stream)
    (tmp_path / "a.tar.gz").write_bytes(stream.getvalue())
    subprocess.run(["gzip", "-t", "a.tar.gz"], cwd=tmp_path, check=True)
    subprocess.run(["tar", "xzf", "a.tar.gz"], cwd=tmp_path, check=True)
    for name, data, _ in MEMBERS:
        assert (tmp_path / "Top" / name).read_bytes() == data


def test_size_and_digest_are_those_of_the_bytes_written() -> None:
    stream = io.BytesIO()
    size, digest = write(stream)
    assert (size, digest) == (len(stream.getvalue()), hashlib.sha256(stream.getvalue()).hexdigest())


def test_equal_inputs_give_equal_bytes_and_another_time_other_bytes() -> None:
    first, second, third = io.BytesIO(), io.BytesIO(), io.BytesIO()
    write(first)
    write(second)
    write(third, epoch=1_700_000_001)
    assert first.getvalue() == second.getvalue() != third.getvalue()


def test_text_is_compressed_and_stored_members_cost_almost_nothing() -> None:
    stream = io.BytesIO()
    size, _ = write(stream)
    stored = sum(len(data) for _, data, store in MEMBERS if store)
    assert stored < size < stored * 1.01 + 10_000


@pytest.mark.parametrize("store", [True, False])
def test_a_source_that_changed_is_noticed(tmp_path: Path, store: bool) -> None:
    place = tmp_path / "wheel"
    place.write_bytes(b"other bytes")
    writer = ArchiveWriter(io.BytesIO(), "Top", 0)
    with pytest.raises(SourceChanged) as caught:
        writer.add("w", place, 11, hashlib.sha256(b"wheel bytes").hexdigest(), 0o644, store=store)
        writer.close()
    assert caught.value.name == "w"
    writer.abandon()


@pytest.mark.parametrize("length", [3, 70_000, 5_000_000])
def test_a_source_of_another_length_is_noticed_at_once(tmp_path: Path, length: int) -> None:
    place = tmp_path / "wheel"
    place.write_bytes(bytes(length))
    writer = ArchiveWriter(io.BytesIO(), "Top", 0)
    for promised in (length - 1, length + 1):
        with pytest.raises(SourceChanged):
            writer.add("w", place, promised, "0" * 64, 0o644, store=True)
    writer.abandon()


def test_a_disk_that_fails_is_told_and_no_thread_is_left() -> None:
    class Full(io.BytesIO):
        def write(self, data: object) -> int:
            raise OSError(28, "No space left on device")

    writer = ArchiveWriter(Full(), "Top", 0)
    with pytest.raises(OSError, match="No space"):
        writer.close()
    writer.abandon()
    assert not [item for item in threading.enumerate() if item.name.startswith("archive-")]


def test_a_stream_that_takes_less_than_it_was_given_gets_the_rest() -> None:
    class Slow(io.BytesIO):
        def write(self, data: memoryview) -> int:  # type: ignore[override]
            return super().write(data[:1000])

    slow, quick = Slow(), io.BytesIO()
    assert write(slow) == write(quick)
    assert slow.getvalue() == quick.getvalue()
