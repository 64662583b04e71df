"""Archives that would write outside the tree are refused; real ones unpack."""

from __future__ import annotations

import io
import os
import stat
import tarfile
from pathlib import Path

import pytest

from bundle.errors import IntegrityError
from bundle.hashing import sha256_bytes
from bundle.manifest import FileEntry
from installer import interpreter


def archive(path: Path, *members: tuple[str, bytes, str, int]) -> FileEntry:
    """Write a tar.gz of ``(name, type, link target or content, mode)`` and return its manifest entry."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, kind, text, mode in members:
            member = tarfile.TarInfo(name)
            member.type, member.mode = kind, mode
            if kind == tarfile.REGTYPE:
                member.size = len(text)
                tar.addfile(member, io.BytesIO(text.encode()))
            else:
                member.linkname = text
                tar.addfile(member)
    path.write_bytes(buffer.getvalue())
    return FileEntry("x", len(buffer.getvalue()), sha256_bytes(buffer.getvalue()), 0o644, "interpreter", "x")


FILE, DIRECTORY, LINK, HARD = tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE


def test_files_folders_and_inner_links_are_unpacked_without_the_top_folder(tmp_path: Path) -> None:
    entry = archive(
        tmp_path / "a.tar.gz",
        ("python", DIRECTORY, "", 0o755),
        ("python/bin/python3.11", FILE, "binary", 0o4777),
        ("python/bin/python3", LINK, "python3.11", 0o777),
        ("python/lib/x.py", FILE, "text", 0o600),
        ("python/share/up", LINK, "../lib", 0o777),
        ("python/bin/again", HARD, "python/bin/python3.11", 0o755),
    )
    out = tmp_path / "out"
    interpreter.unpack(tmp_path / "a.tar.gz", entry, out)
    assert (out / "bin" / "python3").read_text() == "binary"
    assert stat.S_IMODE((out / "bin" / "python3.11").stat().st_mode) == 0o755, (
        "no set-uid, no write for others"
    )
    assert stat.S_IMODE((out / "lib" / "x.py").stat().st_mode) == 0o644
    assert (out / "bin" / "again").samefile(out / "bin" / "python3.11")
    assert interpreter.executable(out) == out / "bin" / "python3"


@pytest.mark.parametrize(
    "members",
    (
        [("python/../../evil", FILE, "x", 0o644)],
        [("/evil", FILE, "x", 0o644)],
        [("python/link", LINK, "/etc", 0o777)],
        [("python/a/link", LINK, "../../outside", 0o777)],
        [("python/link", LINK, "..", 0o777)],
        [("python/d", LINK, "lib", 0o777), ("python/d/evil", FILE, "x", 0o644)],
        [
            ("python/lib/x", FILE, "x", 0o644),
            ("python/d", LINK, "lib", 0o777),
            ("python/d/evil", FILE, "x", 0o644),
        ],
        [("python/hard", HARD, "/etc/passwd", 0o644)],
        [("python/hard", HARD, "python/missing", 0o644)],
        [("python/pipe", tarfile.FIFOTYPE, "", 0o644)],
        [("python/device", tarfile.CHRTYPE, "", 0o644)],
        [("python/big", FILE, "0" * 200_000, 0o644)],
    ),
)
def test_members_that_lead_out_or_are_something_else_are_refused(
    tmp_path: Path, members: list[tuple[str, bytes, str, int]]
) -> None:
    entry = archive(tmp_path / "a.tar.gz", *members)
    before = sorted(os.listdir(tmp_path))
    with pytest.raises((IntegrityError, OSError)):
        interpreter.unpack(tmp_path / "a.tar.gz", entry, tmp_path / "out")
    assert sorted(set(os.listdir(tmp_path)) - {"out"}) == before
    assert not any(path.name == "evil" for path in tmp_path.rglob("*"))


def test_an_archive_that_changed_since_verification_is_refused(tmp_path: Path) -> None:
    entry = archive(tmp_path / "a.tar.gz", ("python/x", FILE, "x", 0o644))
    archive(tmp_path / "a.tar.gz", ("python/y", FILE, "y", 0o644))
    with pytest.raises(IntegrityError):
        interpreter.unpack(tmp_path / "a.tar.gz", entry, tmp_path / "out")
    (tmp_path / "a.tar.gz").write_bytes(b"not an archive")
    with pytest.raises(IntegrityError):
        interpreter.unpack(tmp_path / "a.tar.gz", entry, tmp_path / "out2")
