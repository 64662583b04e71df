"""RECORD compared with the archive: complete, and true. Each member is unpacked and hashed once."""

from __future__ import annotations

import base64
import csv
import hashlib
import io

from bundle.ziparchive import Archive
from bundle.zipstructure import Malformed, Member, Problem

_STRONG = ("sha256", "sha384", "sha512")
_UNHASHED = ("RECORD", "RECORD.jws", "RECORD.p7s")


def check_record(archive: Archive, folder: str, problems: list[Problem]) -> None:
    """Compare every member with RECORD (PEP 376, binary distribution format).

    Raises:
        Malformed: RECORD cannot be read.
    """
    members = {item.name: item for item in archive.files()}
    rows = _rows(archive, members[f"{folder}/RECORD"], problems)
    unhashed = {f"{folder}/{name}" for name in _UNHASHED}
    for name in sorted(set(members) - set(rows) - unhashed):
        problems.append(Problem("record-complete", f"{name} is not in RECORD"))
    for name in sorted(set(rows) - set(members)):
        problems.append(Problem("record-complete", f"RECORD names {name}, which is not there"))
    for name, member in members.items():
        if name in rows and name not in unhashed:
            _check_member(archive, member, *rows[name], problems)
        else:
            # Not hashed against anything, but read: what does not unpack is refused wherever it lies.
            _drain(archive, member, problems)


def _rows(archive: Archive, record: Member, problems: list[Problem]) -> dict[str, tuple[str, str]]:
    try:
        table = list(csv.reader(io.StringIO(archive.read(record).decode("utf-8")), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise Malformed("record-form", f"RECORD: {error}") from error
    rows: dict[str, tuple[str, str]] = {}
    for row in table:
        if len(row) != 3 or not row[0]:
            problems.append(Problem("record-form", f"RECORD has the line {','.join(row)[:100]!r}"))
        elif row[0] in rows:
            problems.append(Problem("record-form", f"RECORD names {row[0]} twice"))
        else:
            rows[row[0]] = (row[1], row[2])
    return rows


def _check_member(archive: Archive, member: Member, hashed: str, size: str, problems: list[Problem]) -> None:
    algorithm, _, expected = hashed.partition("=")
    if algorithm not in _STRONG:
        problems.append(Problem("record-strong", f"{member.name} has no strong hash in RECORD"))
        return
    digest = hashlib.new(algorithm)
    try:
        for piece in archive.pieces(member):
            digest.update(piece)
    except Malformed as error:
        problems.append(error.problem)
        return
    found = base64.urlsafe_b64encode(digest.digest()).rstrip(b"=").decode("ascii")
    # The specification wants base64; the hexadecimal spelling of some published wheels says the same.
    if expected.rstrip("=") not in (found, digest.hexdigest()) or (size and size != str(member.size)):
        problems.append(Problem("record-true", f"{member.name} differs from RECORD"))


def _drain(archive: Archive, member: Member, problems: list[Problem]) -> None:
    try:
        for _ in archive.pieces(member):
            continue
    except Malformed as error:
        problems.append(error.problem)
