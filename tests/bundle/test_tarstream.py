"""The archive reader takes what our writer writes, and refuses everything a hostile archive can hold."""

from __future__ import annotations

import gzip
import hashlib
import io
import random
import tarfile
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bundle.archive import ArchiveWriter
from bundle.errors import IntegrityError
from bundle.tarstream import TarReader

NAMES = ["MANIFEST.json", "07_Models/m.safetensors", "03_Source/" + "긴이름" * 30 + ".md", "e.txt"]
CONTENTS = [b"{}\n" * 500, random.Random(1).randbytes(300_000), "본문".encode(), b""]


def archive() -> bytes:
    stream = io.BytesIO()
    writer = ArchiveWriter(stream, "Top", 1_700_000_000)
    for name, data in zip(NAMES, CONTENTS, strict=True):
        digest = hashlib.sha256(data).hexdigest()
        writer.add(name, data, len(data), digest, 0o644, store=name.endswith(".safetensors"))
    writer.close()
    return stream.getvalue()


ARCHIVE = archive()


def members(data: bytes, most: int = 1 << 30) -> dict[str, bytes]:
    stream = io.BytesIO(data)
    reader = TarReader(lambda count: stream.read(min(count, most)), "test")
    found = {}
    while (member := reader.next()) is not None:
        found[member.name] = reader.content(1 << 20)
    return found


def test_what_the_writer_writes_is_read_back_whatever_the_pieces() -> None:
    wanted = {f"Top/{name}": data for name, data in zip(NAMES, CONTENTS, strict=True)}
    for most in (1, 7, 65536, 1 << 30):
        assert members(ARCHIVE, most) == wanted


def test_members_may_be_passed_over() -> None:
    reader = TarReader(io.BytesIO(ARCHIVE).read, "test")
    names = []
    while (member := reader.next()) is not None:
        names.append(member.name)
    assert names == [f"Top/{name}" for name in NAMES]


def test_a_file_larger_than_eight_gigabytes_has_its_size_in_an_extended_header() -> None:
    info = tarfile.TarInfo("Top/large")
    info.size = 10 * 2**30
    stream = io.BytesIO(gzip.compress(info.tobuf(tarfile.PAX_FORMAT)))
    member = TarReader(stream.read, "test").next()
    assert member is not None and member.size == 10 * 2**30


def test_every_truncation_is_refused() -> None:
    for length in [*range(0, 60), *range(60, len(ARCHIVE), 997), *range(len(ARCHIVE) - 30, len(ARCHIVE))]:
        with pytest.raises(IntegrityError):
            members(ARCHIVE[:length])


@settings(max_examples=150, deadline=None)
@given(st.integers(10, len(ARCHIVE) - 1), st.integers(0, 7))
def test_a_flipped_bit_anywhere_is_refused_unless_it_means_nothing(position: int, bit: int) -> None:
    data = bytearray(ARCHIVE)
    data[position] ^= 1 << bit
    try:
        found = members(bytes(data))
    except IntegrityError:
        return
    # Bits that only fill a byte before a stored block (RFC 1951, 3.2.4) are read by nobody.
    assert found == members(ARCHIVE)


@pytest.mark.parametrize(
    "tail", [b"x", b"\0", gzip.compress(b""), ARCHIVE], ids=["byte", "zero", "empty", "second"]
)
def test_bytes_behind_the_archive_are_refused(tail: bytes) -> None:
    with pytest.raises(IntegrityError, match="after the end"):
        members(ARCHIVE + tail)


def made(change: Callable[[tarfile.TarFile], None], form: int = tarfile.PAX_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", format=form) as tar:
        change(tar)
    return buffer.getvalue()


def special(kind: bytes, **fields: object) -> Callable[[tarfile.TarFile], None]:
    def change(tar: tarfile.TarFile) -> None:
        info = tarfile.TarInfo("Top/x")
        info.type = kind
        for name, value in fields.items():
            setattr(info, name, value)
        tar.addfile(info)

    return change


@pytest.mark.parametrize(
    "change",
    [
        special(tarfile.SYMTYPE, linkname="/etc/passwd"),
        special(tarfile.LNKTYPE, linkname="Top/y"),
        special(tarfile.DIRTYPE),
        special(tarfile.FIFOTYPE),
        special(tarfile.CHRTYPE),
        special(tarfile.CONTTYPE),
        special(tarfile.GNUTYPE_SPARSE),
        special(tarfile.REGTYPE, pax_headers={"linkpath": "y"}),
        special(tarfile.REGTYPE, pax_headers={"GNU.sparse.major": "1"}),
        special(tarfile.REGTYPE, pax_headers={"comment": "c" * 10_000}),
        special(tarfile.REGTYPE, pax_headers={"size": "-5"}),
        special(tarfile.REGTYPE, pax_headers={"size": "9" * 30}),
    ],
    ids=lambda change: "",
)
def test_anything_but_plain_files_with_plain_headers_is_refused(
    change: Callable[[tarfile.TarFile], None],
) -> None:
    with pytest.raises(IntegrityError):
        members(made(change))


def test_gnu_long_names_and_global_headers_are_refused() -> None:
    with pytest.raises(IntegrityError):
        members(made(special(tarfile.REGTYPE, name="Top/" + "n" * 200), tarfile.GNU_FORMAT))
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", pax_headers={"path": "other"}) as tar:
        tar.addfile(tarfile.TarInfo("Top/x"))
    with pytest.raises(IntegrityError):
        members(buffer.getvalue())


def test_a_header_whose_sum_is_wrong_is_refused() -> None:
    block = bytearray(tarfile.TarInfo("Top/x").tobuf())
    block[0] ^= 1
    with pytest.raises(IntegrityError, match="header"):
        members(gzip.compress(bytes(block) + bytes(1024)))


def test_a_bomb_is_refused_before_it_is_expanded() -> None:
    info = tarfile.TarInfo("Top/x")
    info.size = 10**9
    bomb = gzip.compress(info.tobuf(tarfile.PAX_FORMAT) + bytes(50_000_000), 9)
    reader = TarReader(io.BytesIO(bomb).read, "test")
    assert reader.next() is not None
    with pytest.raises(IntegrityError, match="size limit"):
        reader.content(1 << 20)
    zeros = gzip.compress(bytes(100_000_000), 9)
    with pytest.raises(IntegrityError, match="after the end"):
        TarReader(io.BytesIO(zeros).read, "test").next()


@pytest.mark.parametrize(
    "data",
    [b"", b"not gzip at all", b"\x1f\x8b\x08\x00", gzip.compress(b"")],
    ids=["nothing", "text", "head", "empty"],
)
def test_what_is_no_archive_is_refused(data: bytes) -> None:
    with pytest.raises(IntegrityError):
        members(data)
