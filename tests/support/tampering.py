"""Archives whose members were changed on the way, everything else left consistent."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

Change = Callable[[list[tuple[tarfile.TarInfo, bytes]]], None]


def tamper(archive: Path, change: Change) -> None:
    """Write an archive anew with its members changed."""
    with tarfile.open(archive) as tar:
        members = [(info, tar.extractfile(info).read()) for info in tar]  # type: ignore[union-attr]
    change(members)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for info, data in members:
            info.size = len(data) if info.isreg() else 0
            tar.addfile(info, io.BytesIO(data))
    archive.write_bytes(gzip.compress(buffer.getvalue(), compresslevel=1))


def added(name: str, data: bytes = b"evil", kind: bytes = tarfile.REGTYPE, link: str = "") -> Change:
    """Add a member at the end."""

    def change(members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, link
        members.append((info, data))

    return change


def replaced(suffix: str, data: bytes) -> Change:
    """Replace the contents of members whose names end so."""

    def change(members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
        members[:] = [(i, data if i.name.endswith(suffix) else d) for i, d in members]

    return change


def renamed(rename: Callable[[str], str]) -> Change:
    """Rename every member."""

    def change(members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
        for info, _ in members:
            info.name = rename(info.name)

    return change


def changes(top: str) -> Iterator[tuple[str, Change]]:
    """Yield every way in which an archive with this top folder is tampered with, by name."""
    yield "traversal", added(f"{top}/../../evil")
    yield "absolute", added("/tmp/ragtrace-evil")
    yield "outside the top folder", added("other/evil")
    yield "undeclared", added(f"{top}/04_Scripts/evil.py")
    yield "symbolic link", added(f"{top}/link", b"", tarfile.SYMTYPE, "/etc")
    yield "hard link", added(f"{top}/link", b"", tarfile.LNKTYPE, f"{top}/MANIFEST.json")
    yield "device", added(f"{top}/dev", b"", tarfile.CHRTYPE)
    yield "long name", added(f"{top}/" + "n" * 5000)
    yield "twice", lambda members: members.append(members[-1])
    yield "second manifest", lambda members: members.append(members[0])
    yield "manifest not first", lambda members: members.insert(1, members.pop(0))
    yield "no signature", lambda members: members.__delitem__(1)
    yield "missing file", lambda members: members.__delitem__(-1)
    yield "changed bytes", replaced("install.py", b"print('evil!')\n")
    yield "other length", replaced("install.py", b"x")
    yield "changed manifest", replaced("MANIFEST.json", b"{}")
    yield "changed checksums", replaced("checksums.sha256", b"")
    yield "top folder out of the place", renamed(lambda name: name.replace(top, ".."))
    yield "top folder of two", renamed(lambda name: f"a/{name}")
