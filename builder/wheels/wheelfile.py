"""A wheel file as the cache takes it: checked from end to end on entry, and measured.

Neither pip nor uv compares a wheel with its RECORD. Format: the binary distribution format specification
(PEP 427), RECORD as in PEP 376. The checks, one by one: `catalogue`.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

from bundle import ziparchive as archives
from bundle.errors import BuildError
from bundle.text import Text
from bundle.zipstructure import Malformed, Problem

from . import catalogue
from .confinement import check_confined
from .identity import read_identity
from .record import check_record


def check(path: Path, filename: str) -> None:
    """Check the wheel at `path`, whose published name is `filename`.

    Raises:
        BuildError: everything that is wrong with it.
    """
    problems = problems_of(path, filename)
    if problems:
        raise BuildError(
            Text(f"휠이 올바르지 않습니다: {filename}", f"the wheel is not sound: {filename}"),
            details=catalogue.lines(problems),
            hint=Text(
                "다른 버전을 잠그거나 배포자에게 알리십시오",
                "lock another version, or tell whoever publishes it",
            ),
        )


def problems_of(path: Path, filename: str) -> list[Problem]:
    """Return everything that is wrong with a wheel; later checks wait until the archive itself is sound."""
    problems: list[Problem] = []
    try:
        with archives.opened(path) as archive:
            problems += archive.problems
            if problems:
                return problems
            identity = read_identity(archive, filename, problems)
            if identity is not None:
                check_record(archive, identity.folder, problems)
                check_confined(archive, identity, problems)
    except Malformed as error:
        problems.append(error.problem)
    return problems


def unpacked_size(path: Path) -> int:
    """Return how many bytes the wheel installs, from its directory."""
    with zipfile.ZipFile(path) as archive:
        return sum(info.file_size for info in archive.infolist())
