"""Look into wheels before they are unpacked: uv passes over some of what a wheel may not hold, and says nothing.

Their bytes are those that were signed. This is for the case that whoever signed was deceived, and costs milliseconds:
directories and RECORD are read, nothing is unpacked. That each file is what RECORD says is checked afterwards, on the
disk (`environment.record_problems`).
"""

from __future__ import annotations

import configparser
import csv
import io
from pathlib import Path
from typing import Iterable, List, Set

from bundle.errors import IntegrityError
from bundle.text import Text
from bundle.ziparchive import Archive, opened
from bundle.zipstructure import Malformed

# RECORD does not name itself with a hash, nor its signatures (PEP 376, PEP 427).
_UNLISTED = ("RECORD", "RECORD.jws", "RECORD.p7s")
_COMMANDS = ("console_scripts", "gui_scripts")


def require_sound(wheels: Iterable[Path]) -> None:
    """Refuse wheels that are no sound archives, reach out of their place, or differ from their RECORD in names.

    Raises:
        IntegrityError: naming every wheel and everything found.
    """
    problems = [f"{path.name}: {line}" for path in wheels for line in problems_of(path)]
    if problems:
        raise IntegrityError(
            Text(
                f"휠이 올바르지 않습니다: {len(problems)}건",
                f"wheels are not sound: {len(problems)} finding(s)",
            ),
            details=[Text(line, line) for line in problems[:20]],
            hint=Text(
                "이 번들을 쓰지 말고 만든 쪽에 알리십시오", "do not use this bundle; tell whoever built it"
            ),
        )


def problems_of(path: Path) -> List[str]:
    """Return what is wrong with one wheel, as short lines."""
    try:
        with opened(path) as archive:
            found = [f"{problem.check}: {problem.detail}" for problem in archive.problems]
            return found or [*_record_problems(archive), *_command_problems(archive)]
    except Malformed as error:
        return [f"{error.problem.check}: {error.problem.detail}"]


def _record_problems(archive: Archive) -> List[str]:
    names = {member.name for member in archive.files()}
    records = [name for name in names if name.count("/") == 1 and name.endswith(".dist-info/RECORD")]
    if len(records) != 1:
        return [f"record-form: {len(records)} RECORD files"]
    folder = records[0].rpartition("/")[0]
    listed = _listed(archive, records[0])
    unlisted = names - listed - {f"{folder}/{name}" for name in _UNLISTED}
    return [
        *(f"record-complete: {name} is not in RECORD" for name in sorted(unlisted)),
        *(f"record-complete: RECORD names {name}, which is not there" for name in sorted(listed - names)),
    ]


def _listed(archive: Archive, record: str) -> Set[str]:
    (member,) = (item for item in archive.members if item.name == record)
    try:
        rows = list(csv.reader(io.StringIO(archive.read(member).decode("utf-8")), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise Malformed("record-form", f"RECORD: {error}") from error
    return {row[0] for row in rows if row}


def _command_problems(archive: Archive) -> List[str]:
    """Return commands whose names are paths: uv writes them where the name says."""
    found = []
    for member in archive.files():
        if not member.name.endswith(".dist-info/entry_points.txt"):
            continue
        parser = configparser.ConfigParser(delimiters=("=",), interpolation=None, strict=False)
        try:
            parser.read_string(archive.read(member).decode("utf-8"))
        except (configparser.Error, UnicodeDecodeError) as error:
            raise Malformed("entry-point", f"entry_points.txt: {str(error).splitlines()[0]}") from error
        for group in _COMMANDS:
            names = parser.options(group) if parser.has_section(group) else []
            found += [
                f"script-name: {name!r}" for name in names if "/" in name or "\\" in name or ".." in name
            ]
    return found
