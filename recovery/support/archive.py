"""The file that leaves: members in a fixed order without anybody's name in their headers, checked before it is written."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
from pathlib import Path
from typing import Iterator, List, Sequence, Tuple

from recovery.support import limits
from recovery.support.canary import Survivor
from recovery.support.pipeline import Member
from validator.secrets.encodings import Known
from validator.secrets.shapes import private_keys

FOLDER = "ragtrace-support"
MODE = 0o600


def fitted(members: Sequence[Member], most: int = limits.BUNDLE_BYTES) -> List[Member]:
    """Return the members with the oldest lines of the largest logs dropped until all of them fit."""
    made = list(members)
    while sum(len(member.data) for member in made) > most:
        logs = [member for member in made if member.is_log and member.text]
        # Without logs left it is a listing or a report that is out of all proportion; then that one goes.
        victim = max(
            logs or [member for member in made if member.text],
            key=lambda member: len(member.data),
            default=None,
        )
        if victim is None:
            break
        made[made.index(victim)] = _shorter(victim)
    return made


def _shorter(member: Member) -> Member:
    lines = member.text.splitlines(keepends=True)
    kept = lines[(len(lines) + 1) // 2 :] if member.is_log else []
    note = "oldest lines dropped: too large" if member.is_log else "dropped: too large"
    return Member(member.name, "".join(kept), member.removed, member.is_log, note)


def pack(members: Sequence[Member]) -> bytes:
    """Return the archive; the same members give the same bytes."""
    tape, buffer = io.BytesIO(), io.BytesIO()
    with tarfile.open(fileobj=tape, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for member in members:
            info = tarfile.TarInfo(f"{FOLDER}/{member.name}")
            info.size, info.mode = len(member.data), 0o644
            archive.addfile(info, io.BytesIO(member.data))
    with gzip.GzipFile(filename="", mode="wb", fileobj=buffer, mtime=0) as stream:
        stream.write(tape.getvalue())
    return buffer.getvalue()


def unpacked(data: bytes) -> Iterator[Tuple[str, bytes]]:
    """Yield name and bytes of every member of a finished archive."""
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as archive:
        for info in archive:
            stream = archive.extractfile(info)
            yield info.name, stream.read() if stream else b""


def leaks(data: bytes, known: Sequence[str]) -> List[Survivor]:
    """Return where a known secret or a private key stands in a finished archive, in any form."""
    wanted = Known(known)
    found = []
    if any(value.encode("utf-8", "surrogatepass") in data for value in known):
        found.append(Survivor("known-value", "archive"))
    for name, content in unpacked(data):
        text = name + "\n" + content.decode("utf-8", "replace")
        if next(wanted.find(text), None) is not None:
            found.append(Survivor("known-value", name))
        if next(private_keys(text), None) is not None:
            found.append(Survivor("private-key", name))
    return found


def write(path: Path, data: bytes) -> None:
    """Create the file, readable by its owner only; one that is there already is never replaced.

    Raises:
        OSError: it exists, or it cannot be written; then nothing is left of it.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags, MODE)
    try:
        with open(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
    except BaseException:
        os.unlink(path)
        raise
