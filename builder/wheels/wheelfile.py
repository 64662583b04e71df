"""Checks of a wheel when it enters the cache: archive sanity, RECORD complete and true, name = file name.

Neither pip nor uv compares a wheel with its RECORD. Format: the binary distribution format specification
(PEP 427), RECORD as in PEP 376.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import shutil
import zipfile
import zlib
from email.parser import BytesParser
from pathlib import Path

from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from bundle import names
from bundle.errors import BuildError
from bundle.hashing import sha256_file
from bundle.text import Text

from ..cache import Cache

# A wheel that unpacks to more than this many times its size, beyond the free allowance, is a bomb.
_RATIO = 200
_ALLOWANCE = 64 * 1024 * 1024
_UNHASHED = ("RECORD", "RECORD.jws", "RECORD.p7s")


def check(path: Path, filename: str) -> None:
    """Check the wheel at `path`, whose published name is `filename`.

    Raises:
        BuildError: everything that is wrong with it.
    """
    problems: list[str] = []
    try:
        with zipfile.ZipFile(path) as archive:
            _check_members(archive, path.stat().st_size, problems)
            if not problems:
                folder = _check_identity(archive, filename, problems)
                if folder:
                    _check_record(archive, folder, problems)
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        KeyError,
        UnicodeDecodeError,
        ValueError,
        OSError,
    ) as error:
        problems.append(f"not a readable wheel: {error}")
    if problems:
        raise BuildError(
            Text(f"휠이 올바르지 않습니다: {filename}", f"the wheel is not sound: {filename}"),
            where="; ".join(problems[:5]),
            hint=Text("다른 버전을 잠그십시오", "lock another version"),
        )


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
    with zipfile.ZipFile(cache.verified(wheel_sha256)) as archive, cache.work_folder() as work:
        members = [item for item in archive.namelist() if item.endswith(f".data/scripts/{name}")]
        if len(members) != 1:
            raise BuildError(
                Text(f"휠에 {name}가 없습니다", f"the wheel holds no {name}"), where=wheel_sha256
            )
        place = work / name
        with archive.open(members[0]) as source, place.open("wb") as target:
            shutil.copyfileobj(source, target, 1 << 20)
        digest = sha256_file(place)[1]
        cache.admit(place, digest)
    cache.remember_built(key, {"sha256": digest})
    return digest


def _check_members(archive: zipfile.ZipFile, size: int, problems: list[str]) -> None:
    listed = [info.filename for info in archive.infolist()]
    if len(set(listed)) != len(listed):
        problems.append("duplicate member")
    if names.colliding([name for name in listed if not name.endswith("/")]):
        problems.append("members that differ only in case")
    for info in archive.infolist():
        bare = info.filename.rstrip("/")
        wrong = names.problem_with(bare)
        if wrong is not None and (
            "\\" in bare or bare.startswith("/") or ".." in bare.split("/") or ":" in bare
        ):
            problems.append(f"member {info.filename!r}: {wrong.en}")
        if info.flag_bits & 0x1:
            problems.append(f"member {info.filename!r} is encrypted")
        if (info.external_attr >> 16) & 0o170000 == 0o120000:
            problems.append(f"member {info.filename!r} is a symbolic link")
    if sum(info.file_size for info in archive.infolist()) > size * _RATIO + _ALLOWANCE:
        problems.append("unpacks to an implausible size")


def _check_identity(archive: zipfile.ZipFile, filename: str, problems: list[str]) -> str:
    try:
        name, version, _, _ = parse_wheel_filename(filename)
    except (InvalidWheelFilename, InvalidVersion) as error:
        problems.append(str(error))
        return ""
    folders = {item.split("/")[0] for item in archive.namelist() if item.split("/")[0].endswith(".dist-info")}
    if len(folders) != 1:
        problems.append("not exactly one .dist-info folder")
        return ""
    folder = folders.pop()
    metadata = BytesParser().parsebytes(archive.read(f"{folder}/METADATA"), headersonly=True)
    if canonicalize_name(metadata.get("Name", "")) != name:
        problems.append(f"METADATA names {metadata.get('Name')!r}")
    if Version(metadata.get("Version", "0")) != version:
        problems.append(f"METADATA has version {metadata.get('Version')!r}")
    return folder


def _check_record(archive: zipfile.ZipFile, folder: str, problems: list[str]) -> None:
    record = f"{folder}/RECORD"
    rows = list(csv.reader(io.StringIO(archive.read(record).decode("utf-8"))))
    recorded = {row[0]: row[1] for row in rows if len(row) == 3}
    members = {name for name in archive.namelist() if not name.endswith("/")}
    unhashed = {f"{folder}/{name}" for name in _UNHASHED}
    for name in sorted(members - set(recorded) - unhashed):
        problems.append(f"{name} is not in RECORD")
    for name in sorted(set(recorded) - members):
        problems.append(f"RECORD names {name}, which is not there")
    for name in sorted(members & set(recorded) - unhashed):
        algorithm, _, encoded = recorded[name].partition("=")
        if algorithm not in ("sha256", "sha384", "sha512"):
            problems.append(f"{name} has no strong hash in RECORD")
        elif _digest(archive, name, algorithm) != encoded:
            problems.append(f"{name} differs from RECORD")


def _digest(archive: zipfile.ZipFile, name: str, algorithm: str) -> str:
    digest = hashlib.new(algorithm)
    with archive.open(name) as stream:
        while piece := stream.read(1 << 20):
            digest.update(piece)
    return base64.urlsafe_b64encode(digest.digest()).rstrip(b"=").decode("ascii")
