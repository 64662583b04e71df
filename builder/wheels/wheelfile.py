"""A wheel file as the cache takes it: checked from end to end on entry, measured, and scripts taken out of it.

Neither pip nor uv compares a wheel with its RECORD. Format: the binary distribution format specification
(PEP 427), RECORD as in PEP 376. The checks, one by one: `catalogue`.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

from bundle.errors import BuildError
from bundle.hashing import sha256_file
from bundle.text import Text

from ..cache import Cache
from . import archive as archives
from . import catalogue
from .catalogue import Malformed, Problem
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


def script_in_cache(cache: Cache, wheel_sha256: str, name: str) -> str:
    """Take the script `name` out of a cached wheel into the cache and return its SHA-256.

    Raises:
        BuildError: the wheel has no such script.
        IntegrityError: the cached wheel is not what its name says.
    """
    key = f"script-{name}-{wheel_sha256}"
    known = cache.built(key)
    if known is not None:
        return known["sha256"]
    with archives.opened(cache.verified(wheel_sha256)) as archive, cache.work_folder() as work:
        members = [item for item in archive.files() if item.name.endswith(f".data/scripts/{name}")]
        if len(members) != 1:
            raise BuildError(
                Text(f"휠에 {name}가 없습니다", f"the wheel holds no {name}"), where=wheel_sha256
            )
        place = work / name
        with place.open("wb") as target:
            for piece in archive.pieces(members[0]):
                target.write(piece)
        digest = sha256_file(place)[1]
        cache.admit(place, digest)
    cache.remember_built(key, {"sha256": digest})
    return digest
