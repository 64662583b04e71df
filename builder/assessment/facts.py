"""What a wheel says about itself, read once and remembered by the wheel's digest.

Everything in it was written by others and is taken as text. What cannot be read becomes a complaint
that the dossier shows.
"""

from __future__ import annotations

import contextlib
import json
import re
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path, PurePosixPath
from typing import Any

from packaging.metadata import parse_email

from bundle.errors import IntegrityError
from bundle.hashing import sha256_bytes

from ..cache import Cache
from . import embedded
from .cleaning import block, line
from .embedded import EmbeddedComponent

# Raised when the reading changes: what an older version remembered is then read again.
_FORMAT = 2
# A member is read up to these sizes; what is larger is named instead.
_METADATA_BYTES = 4 << 20
_TEXT_BYTES = 1 << 20
_SBOM_BYTES = 32 << 20
# numpy carries 17 licence texts, torch's one is the largest known at half a megabyte.
_TEXTS = 400
_TEXTS_BYTES = 16 << 20

_LICENCE_NAME = re.compile(r"(licen[cs]e|copying|notice|copyright)", re.IGNORECASE)
_TEXT_SUFFIXES = ("", ".txt", ".md", ".rst", ".mit", ".bsd", ".apache", ".mpl2", ".lesser", ".gpl", ".html")
_NATIVE = re.compile(r"\.(so|pyd|dll|dylib|exe|a|lib)$|\.so(\.\d+)+$", re.IGNORECASE)
# ELF, and Mach-O of 64 bits and of several architectures, either byte order.
_EXECUTABLES = (
    b"\x7fELF",
    b"\xcf\xfa\xed\xfe",
    b"\xfe\xed\xfa\xcf",
    b"\xca\xfe\xba\xbe",
    b"\xbe\xba\xfe\xca",
)
# Python runs these by itself when an interpreter starts.
_AT_START = re.compile(r"(\.pth|(^|/)(sitecustomize|usercustomize)\.py)$")


@dataclass(frozen=True)
class LicenceText:
    """One licence or notice file of a wheel."""

    path: str
    text: str


@dataclass(frozen=True)
class WheelFacts:
    """METADATA of a wheel and what its contents mean for a reviewer.

    `native` are members that the processor runs directly, `at_start` those that Python runs unasked,
    `commands` the programs it installs, `embedded` what its own SBOMs name (`sboms` are their files).
    """

    name: str
    version: str
    summary: str
    author: str
    homepage: str
    licence_expression: str
    licence_field: str
    licence_classifiers: tuple[str, ...]
    texts: tuple[LicenceText, ...]
    requires: tuple[str, ...]
    generator: str
    members: int
    unpacked_bytes: int
    native: tuple[str, ...]
    native_bytes: int
    at_start: tuple[str, ...]
    commands: tuple[str, ...]
    sboms: tuple[str, ...]
    embedded: tuple[EmbeddedComponent, ...]
    complaints: tuple[str, ...]


def of_wheel(cache: Cache, sha256: str) -> WheelFacts:
    """Return the facts of a cached wheel, from an earlier reading if there was one.

    Raises:
        IntegrityError: the cached wheel is not what its name says.
    """
    key = f"facts-{_FORMAT}-{sha256}"
    record = cache.built(key)
    if record is not None:
        with contextlib.suppress(IntegrityError):
            # A damaged reading is dropped and made again: the wheel itself may be sound.
            return _from_json(cache.verified(record["sha256"]).read_bytes())
    facts = read(cache.verified(sha256))
    digest = cache_bytes(cache, json.dumps(asdict(facts), ensure_ascii=False, sort_keys=True).encode())
    cache.remember_built(key, {"sha256": digest})
    return facts


def cache_bytes(cache: Cache, data: bytes) -> str:
    """Put a document into the cache and return its digest."""
    digest = sha256_bytes(data)
    with cache.work_folder() as work:
        place = work / "document"
        place.write_bytes(data)
        cache.admit(place, digest)
    return digest


def read(path: Path) -> WheelFacts:
    """Read the wheel at `path`; what cannot be read stands in the facts' complaints."""
    complaints: list[str] = []
    try:
        with zipfile.ZipFile(path) as archive:
            return _read(archive, complaints)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError) as error:
        return _facts({}, complaints=(*complaints, line(f"not a readable wheel: {error}")))


def _read(archive: zipfile.ZipFile, complaints: list[str]) -> WheelFacts:
    members = [item for item in archive.infolist() if not item.is_dir()]
    names = sorted(item.filename for item in members)
    info = next((name.split("/")[0] for name in names if name.split("/")[0].endswith(".dist-info")), "")
    native = [item for item in members if _is_native(archive, item)]
    found: dict[str, Any] = _metadata(
        _member(archive, f"{info}/METADATA", _METADATA_BYTES, complaints), complaints
    )
    licence_files = found.pop("licence_files")
    sboms = tuple(name for name in names if name.startswith(f"{info}/sboms/") and name.endswith(".json"))
    return _facts(
        found,
        texts=_texts(archive, _licence_members(names, info, licence_files), complaints),
        generator=_generator(_member(archive, f"{info}/WHEEL", _METADATA_BYTES, complaints)),
        members=len(members),
        unpacked_bytes=sum(item.file_size for item in members),
        native=tuple(sorted(line(item.filename) for item in native)),
        native_bytes=sum(item.file_size for item in native),
        at_start=tuple(line(name) for name in names if _AT_START.search(name)),
        commands=_commands(archive, names, info, complaints),
        sboms=tuple(map(line, sboms)),
        embedded=_embedded(archive, sboms, complaints),
        complaints=tuple(complaints),
    )


def _is_native(archive: zipfile.ZipFile, item: zipfile.ZipInfo) -> bool:
    if _NATIVE.search(item.filename):
        return True
    # Programs have no suffix: uv is one.
    if PurePosixPath(item.filename).suffix or item.file_size < 4:
        return False
    try:
        with archive.open(item) as stream:
            return stream.read(4) in _EXECUTABLES
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError):
        return False


def _facts(found: Mapping[str, Any], **more: Any) -> WheelFacts:  # noqa: ANN401 - fields of many types
    empty = {item.name: {"int": 0, "str": ""}.get(str(item.type), ()) for item in fields(WheelFacts)}
    return WheelFacts(**{**empty, **found, **more})


def _metadata(data: bytes, complaints: list[str]) -> dict[str, Any]:
    raw, unread = parse_email(data)
    if unread:
        complaints.append(line(f"METADATA fields that cannot be read: {', '.join(sorted(unread))}"))
    homepage = raw.get("home_page", "")
    for label, url in sorted(raw.get("project_urls", {}).items()):
        if not homepage and label.lower() in ("homepage", "home", "repository", "source", "source code"):
            homepage = url
    prefix = "License :: "
    return {
        "name": line(raw.get("name", "")),
        "version": line(raw.get("version", "")),
        "summary": line(raw.get("summary", "")),
        "author": line(raw.get("author", "") or raw.get("author_email", "")),
        "homepage": line(homepage),
        "licence_expression": line(raw.get("license_expression", "")),
        # Some packages put the whole text into the field; its first line is enough to name it.
        "licence_field": line(next(iter(raw.get("license", "").strip().splitlines()), "")),
        "licence_classifiers": tuple(
            line(item.removeprefix(prefix)) for item in raw.get("classifiers", []) if item.startswith(prefix)
        ),
        "requires": tuple(line(item, 2000) for item in raw.get("requires_dist", [])),
        "licence_files": tuple(raw.get("license_files", [])),
    }


def _licence_members(names: Sequence[str], info: str, declared: Sequence[str]) -> list[str]:
    places = {f"{info}/{name}" for name in declared} | {f"{info}/licenses/{name}" for name in declared}
    found = []
    for name in names:
        path = PurePosixPath(name)
        named = _LICENCE_NAME.match(path.name) and path.suffix.lower() in _TEXT_SUFFIXES
        if name in places or name.startswith(f"{info}/licenses/") or named:
            found.append(name)
    return found


def _texts(archive: zipfile.ZipFile, names: Sequence[str], complaints: list[str]) -> tuple[LicenceText, ...]:
    found: list[LicenceText] = []
    room = _TEXTS_BYTES
    for number, name in enumerate(names):
        data = _member(archive, name, _TEXT_BYTES, complaints)
        room -= len(data)
        if number >= _TEXTS or room < 0:
            complaints.append(f"{len(names)} licence texts, {number} of them read")
            break
        if data:
            found.append(LicenceText(line(name), block(data.decode("utf-8", "replace"))))
    return tuple(found)


def _commands(
    archive: zipfile.ZipFile, names: Sequence[str], info: str, complaints: list[str]
) -> tuple[str, ...]:
    found = {line(name.rpartition("/")[2]) for name in names if ".data/scripts/" in name}
    listed = f"{info}/entry_points.txt"
    if listed in names:
        section = ""
        text = _member(archive, listed, _METADATA_BYTES, complaints).decode("utf-8", "replace")
        for row in map(str.strip, text.splitlines()):
            if row.startswith("["):
                section = row.strip("[] ")
            elif section in ("console_scripts", "gui_scripts") and "=" in row:
                found.add(line(row.partition("=")[0]))
    return tuple(sorted(found))


def _embedded(
    archive: zipfile.ZipFile, names: Sequence[str], complaints: list[str]
) -> tuple[EmbeddedComponent, ...]:
    found: set[EmbeddedComponent] = set()
    for name in names:
        data = _member(archive, name, _SBOM_BYTES, complaints)
        components, complaint = embedded.read(data) if data else ((), "")
        found.update(components)
        if complaint:
            complaints.append(line(f"{name}: {complaint}"))
    return embedded.in_order(found)


def _generator(data: bytes) -> str:
    for row in data.decode("utf-8", "replace").splitlines():
        if row.startswith("Generator:"):
            return line(row.partition(":")[2])
    return ""


def _member(archive: zipfile.ZipFile, name: str, limit: int, complaints: list[str]) -> bytes:
    """Return a member's bytes, or none with a complaint where it is missing, damaged or too large."""
    try:
        with archive.open(name) as stream:
            data = stream.read(limit + 1)
    except (KeyError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        complaints.append(line(f"{name}: {error}"))
        return b""
    if len(data) > limit:
        complaints.append(line(f"{name} is larger than {limit} bytes and was not read"))
        return b""
    return data


def _from_json(data: bytes) -> WheelFacts:
    found = json.loads(data)
    found = {name: tuple(value) if isinstance(value, list) else value for name, value in found.items()}
    found["texts"] = tuple(LicenceText(**item) for item in found["texts"])
    found["embedded"] = tuple(
        EmbeddedComponent(**{**item, "hashes": tuple(map(tuple, item["hashes"]))})
        for item in found["embedded"]
    )
    return WheelFacts(**found)
