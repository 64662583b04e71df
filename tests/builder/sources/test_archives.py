"""Source archives: hostile ones are refused on entry and when they are unpacked; nothing lands outside."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from builder import fetch
from builder.cache import Cache
from builder.plan import Artifact
from builder.sources import archives
from builder.sources.trees import SourceTree
from bundle.errors import BuildError, DownloadError

NAME = "thing-1.0.tar.gz"


def tar(*members: tuple[str, object], pack: Callable[[bytes], bytes] = gzip.compress) -> bytes:
    """Pack members: text is a file; a dict changes the member (type, linkname, size …)."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in members:
            member = tarfile.TarInfo(name)
            data = b""
            if isinstance(content, Mapping):
                for field, value in content.items():
                    setattr(member, field, value)
            else:
                data = str(content).encode()
                member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return pack(buffer.getvalue())


def link(target: str, kind: bytes = tarfile.SYMTYPE) -> dict[str, object]:
    return {"type": kind, "linkname": target}


def zipped(**settings: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in {"thing-1.0/setup.py": "x", **settings}.items():
            archive.writestr(name, text)
    return buffer.getvalue()


def sparse() -> bytes:
    """A file of 4 GB that takes one header."""
    member = tarfile.TarInfo("thing-1.0/huge")
    member.type = tarfile.GNUTYPE_SPARSE
    header = bytearray(member.tobuf(tarfile.GNU_FORMAT))
    header[386:398] = b"00000000000\0"
    header[483:495] = b"40000000000\0"
    checksum = 256 + sum(header[:148]) + sum(header[156:512])
    header[148:156] = b"%06o\0 " % checksum
    return gzip.compress(bytes(header) + bytes(1024))


def forged_size() -> bytes:
    """A long name that claims to be 1 GB: `tarfile` reads names at once."""
    member = tarfile.TarInfo("././@LongLink")
    member.type = tarfile.GNUTYPE_LONGNAME
    member.size = 1 << 30
    return gzip.compress(member.tobuf(tarfile.GNU_FORMAT) + bytes(4096))


def endless_record() -> bytes:
    """A pax record whose length is beyond what the machine counts (found by a random test)."""
    plain = tar(("thing-1.0/" + "n" * 120, "y"), pack=bytes)
    return plain.replace(b"140 path=thing-1.0/" + b"n" * 30, b"9" * 30 + b" path=thing-1.0/" + b"n" * 3, 1)


SETUP = ("thing-1.0/setup.py", "x")
DEFECTS: dict[str, tuple[bytes, str]] = {
    "no archive": (b"hello", "tar-readable"),
    "truncated": (tar(SETUP, ("thing-1.0/big", "y" * 100_000))[:-30], "tar-readable"),
    "traversal": (tar(SETUP, ("thing-1.0/../../evil", "x")), "tar-name"),
    "traversal from the top": (tar(SETUP, ("../evil", "x")), "tar-name"),
    "absolute": (tar(SETUP, ("/etc/evil", "x")), "tar-name"),
    "backslash": (tar(SETUP, ("thing-1.0\\..\\evil", "x")), "tar-name"),
    "drive": (tar(SETUP, ("C:/evil", "x")), "tar-name"),
    "the same name twice": (tar(SETUP, SETUP), "tar-name"),
    "a link out": (tar(SETUP, ("thing-1.0/a", link("../../../etc/passwd"))), "tar-link"),
    "an absolute link": (tar(SETUP, ("thing-1.0/a", link("/etc/passwd"))), "tar-link"),
    "a hard link out": (tar(SETUP, ("thing-1.0/a", link("../../etc/passwd", tarfile.LNKTYPE))), "tar-link"),
    "a device": (tar(SETUP, ("thing-1.0/null", {"type": tarfile.CHRTYPE})), "tar-link"),
    "a pipe": (tar(SETUP, ("thing-1.0/pipe", {"type": tarfile.FIFOTYPE})), "tar-link"),
    "a sparse file": (sparse(), "tar-link"),
    "a bomb": (tar(("thing-1.0/zeros", "\0" * 120_000_000)), "tar-bomb"),
    "a pax record without end": (endless_record(), "tar-readable"),
    "a name of one gigabyte": (forged_size(), "tar-bomb"),
}
ZIPS: dict[str, tuple[bytes, str]] = {
    "zip traversal": (zipped(**{"../evil": "x"}), "zip-name"),
    "zip with data in front": (b"#!/bin/sh\n" + zipped(), "zip-whole"),
}


@pytest.mark.parametrize("defect", [*DEFECTS, *ZIPS])
def test_a_hostile_source_archive_is_refused(tmp_path: Path, defect: str) -> None:
    data, check = {**DEFECTS, **ZIPS}[defect]
    filename = "thing-1.0.zip" if defect in ZIPS else NAME
    (tmp_path / filename).write_bytes(data)
    (problem,) = archives.problems_of(tmp_path / filename, filename)[:1]
    assert problem.check == check
    with pytest.raises(BuildError) as caught:
        archives.check(tmp_path / filename, filename)
    assert check in caught.value.render("ko")
    (tmp_path / "in").mkdir()
    with pytest.raises(BuildError):
        archives.unpack(tmp_path / filename, filename, SourceTree(tmp_path / "in" / "tree"))
    assert {path.name for path in tmp_path.iterdir()} == {filename, "in"}
    assert {path.name for path in (tmp_path / "in").iterdir()} == {"tree"}


def test_a_file_below_a_file_is_refused_when_unpacked(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(tar(SETUP, ("thing-1.0/setup.py/x", "x")))
    with pytest.raises(BuildError) as caught:
        archives.unpack(tmp_path / NAME, NAME, SourceTree(tmp_path / "tree"))
    assert "inside a file" in caught.value.render("en")


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress, bytes])
def test_a_sound_archive_is_unpacked_with_links_as_copies(
    tmp_path: Path, pack: Callable[[bytes], bytes]
) -> None:
    data = tar(
        ("./thing-1.0", {"type": tarfile.DIRTYPE}),
        ("./thing-1.0/docs/README", link("../README")),
        ("thing-1.0/README", link("setup.py")),
        ("thing-1.0/COPY", link("thing-1.0/setup.py", tarfile.LNKTYPE)),
        SETUP,
        ("thing-1.0/run", {"mode": 0o4777}),
        pack=pack,
    )
    (tmp_path / NAME).write_bytes(data)
    assert not archives.problems_of(tmp_path / NAME, NAME)
    tree = SourceTree(tmp_path / "tree")
    archives.unpack(tmp_path / NAME, NAME, tree)
    root = tree.project("", in_top_folder=True)
    assert root == tmp_path / "tree" / "thing-1.0"
    for name in ("README", "COPY", "docs/README"):
        assert (root / name).read_text() == "x" and not (root / name).is_symlink()
    assert (root / "run").stat().st_mode & 0o7777 == 0o755
    assert {path.stat().st_mtime for path in root.rglob("*") if path.is_file()} == {1_577_836_800}


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(tar(SETUP, ("thing-1.0/a", link("b")), ("thing-1.0/b", link("a"))))
    with pytest.raises(BuildError):
        archives.unpack(tmp_path / NAME, NAME, SourceTree(tmp_path / "tree"))


def test_a_zip_sdist_is_unpacked(tmp_path: Path) -> None:
    (tmp_path / "thing-1.0.zip").write_bytes(zipped(**{"thing-1.0/a/b.py": "y"}))
    tree = SourceTree(tmp_path / "tree")
    archives.unpack(tmp_path / "thing-1.0.zip", "thing-1.0.zip", tree)
    assert (tree.project("a", in_top_folder=True) / "b.py").read_text() == "y"


def test_a_hostile_sdist_does_not_enter_the_cache(tmp_path: Path, cache: Cache) -> None:
    data = DEFECTS["traversal"][0]
    (tmp_path / NAME).write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    item = Artifact("sdist", "thing", "1.0", NAME, (tmp_path / NAME).as_uri(), digest, 0, ("3.11",), "")
    with pytest.raises(DownloadError) as caught:
        fetch.fetch(cache, [item], lambda count: None)
    assert "tar-name" in caught.value.render("en") and not cache.has(digest)


@given(
    place=st.integers(0, 5000),
    value=st.integers(0, 255),
    pack=st.sampled_from([bytes, gzip.compress, bz2.compress, lzma.compress]),
)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_changed_byte_breaks_no_reader(
    tmp_path: Path, place: int, value: int, pack: Callable[[bytes], bytes]
) -> None:
    data = bytearray(
        tar(SETUP, ("thing-1.0/" + "n" * 120, "y"), ("thing-1.0/a", link("setup.py")), pack=pack)
    )
    data[place % len(data)] = value
    (tmp_path / NAME).write_bytes(data)
    for problem in archives.problems_of(tmp_path / NAME, NAME):
        assert problem.check.startswith("tar-")
