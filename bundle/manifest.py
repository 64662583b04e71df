"""MANIFEST.json: what a bundle declares about itself, written canonically and parsed strictly.

Format 1. Unknown fields are ignored unless the manifest names them in ``critical``; a reader that does
not know a critical field must refuse. `manifests/schema/manifest.schema.json` describes the same shape.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime, timezone
from typing import List, Mapping, Optional, Tuple

from . import expectations, layout, limits, names, strictjson
from .errors import IntegrityError
from .hashing import sha256_bytes
from .strictjson import Fields
from .text import Text

FORMAT = "ragtrace-bundle"
FORMAT_VERSION = 1
KINDS = (
    "uv",
    "interpreter",
    "wheel",
    "requirements",
    "checksums",
    "source",
    "config",
    "installer",
    "validator",
    "document",
    "model",
    "advisories",
    "trust",
)
_SHA256 = re.compile(r"[0-9a-f]{64}\Z")
_PYTHON = re.compile(r"3\.\d{1,2}\Z")
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}\Z")
_MODULE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*\Z")
_HOST = re.compile(r"[A-Za-z0-9.:-]{1,253}\Z")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z\Z")
_HEALTH = re.compile(r"/[A-Za-z0-9/_.-]{0,200}\Z")


@dataclass(frozen=True)
class FileEntry:
    """One file: relative POSIX path, size in bytes, hexadecimal SHA-256, permission bits, kind, component."""

    path: str
    size: int
    sha256: str
    mode: int
    kind: str
    component: str


@dataclass(frozen=True)
class Target:
    """The host a bundle is for. `libc_min` is the glibc floor (``"2.28"``); `pythons` are ``X.Y``."""

    name: str
    os: str
    arch: str
    libc: str
    libc_min: str
    pythons: Tuple[str, ...]


@dataclass(frozen=True)
class DataFormat:
    """The format in which a release's service keeps its data, and how it takes over an older one.

    `version` is what the service reads and writes, `migrates` the older ones that ``python -m module
    migrate…`` turns into it (the words are filled in like the service's arguments). `irreversible` are those
    of `migrates` after which putting the data folder back would not bring the old state back, because the
    migration changes something outside it.
    """

    version: int
    migrates: Tuple[int, ...] = ()
    migrate: Tuple[str, ...] = ()
    irreversible: Tuple[int, ...] = ()


@dataclass(frozen=True)
class ServiceSpec:
    """How to start and probe the service: ``python -m module arguments…``; seconds for readiness.

    Without `data` nobody knows the format of the service's data, and nothing is checked. `memory_limit_mb` is
    the most memory it may use, 0 for no limit.
    """

    module: str
    arguments: Tuple[str, ...]
    host: str
    port: int
    health_path: str
    ready_timeout_s: int
    data: Optional[DataFormat] = None
    memory_limit_mb: int = 0


@dataclass(frozen=True)
class Project:
    """The packed project's name and version."""

    name: str
    version: str


@dataclass(frozen=True)
class Package:
    """One locked package and the Python versions for which it is installed."""

    name: str
    version: str
    pythons: Tuple[str, ...]


@dataclass(frozen=True)
class Build:
    """How a wheel came to be that no index published: what it was built from and with what.

    `source_sha256` is the digest of the sdist, or of the sorted file list of a tree (``git archive`` order);
    `requires` are the build requirements as ``name==version``.
    """

    wheel: str
    sha256: str
    source: str
    source_sha256: str
    requires: Tuple[str, ...]


@dataclass(frozen=True)
class Model:
    """One model of the bundle: where it came from, at which commit, and the folder that holds its files.

    `role` is one of ``embedding``, ``reranker``, ``llm``; `source` a repository (``owner/name``) or ``local``.
    """

    name: str
    role: str
    folder: str
    source: str
    revision: str
    licence: str


@dataclass(frozen=True)
class Advisories:
    """The advisory snapshot that the bundle carries: its file, its date (UTC) and its digest."""

    path: str
    date: str
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """The signed statement of a bundle's contents.

    Sizes are bytes, `memory_mb` and `installed_bytes` what the installed service needs, `created` and
    `expires` UTC as ``YYYY-MM-DDTHH:MM:SSZ``. `expectations` are figures of the host's speed as decimal text, by
    the keys of `bundle.expectations`.
    """

    product: str
    version: str
    profile: str
    sequence: int
    created: str
    expires: Optional[str]
    target: Target
    project: Project
    service: Optional[ServiceSpec]
    memory_mb: int
    installed_bytes: int
    packages: Tuple[Package, ...]
    files: Tuple[FileEntry, ...]
    builds: Tuple[Build, ...] = ()
    models: Tuple[Model, ...] = ()
    advisories: Optional[Advisories] = None
    expectations: Mapping[str, str] = field(default_factory=dict)

    def of_kind(self, *kinds: str) -> Tuple[FileEntry, ...]:
        """Return the files of the given kinds, in manifest order."""
        return tuple(entry for entry in self.files if entry.kind in kinds)

    def to_bytes(self) -> bytes:
        """Return the canonical bytes: sorted keys, two-space indent, UTF-8, one final newline."""
        document = {"format": FORMAT, "format_version": FORMAT_VERSION, "critical": [], **asdict(self)}
        return (json.dumps(document, ensure_ascii=False, indent=1, sort_keys=True) + "\n").encode("utf-8")


def manifest_digest(data: bytes) -> str:
    """Return the SHA-256 by which generations, pointers and the audit log name a bundle."""
    return sha256_bytes(data)


def parse_time(value: str) -> datetime:
    """Return a manifest time as an aware datetime.

    Raises:
        ValueError: it is not ``YYYY-MM-DDTHH:MM:SSZ``.
    """
    # strptime alone takes digits of every script, and one where two are meant.
    if not _TIME.match(value):
        raise ValueError(f"time {value!r} is not YYYY-MM-DDTHH:MM:SSZ")
    return datetime.strptime(value, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)


def parse_manifest(data: bytes) -> Manifest:
    """Parse a manifest strictly.

    Raises:
        IntegrityError: too large, not UTF-8 JSON, duplicate keys, NaN, too deep, a number out of range, an
            unknown critical field, a missing or mistyped field, or a forbidden or colliding path.
    """
    if len(data) > limits.MANIFEST_BYTES:
        raise _refusal("larger than the limit", "크기 제한을 넘습니다")
    try:
        return _manifest(strictjson.parse(data, "manifest"))
    except ValueError as error:
        raise _refusal(f"malformed: {error}", f"형식이 잘못되었습니다: {error}") from error


def _refusal(english: str, korean: str) -> IntegrityError:
    return IntegrityError(
        Text(f"매니페스트를 받아들일 수 없습니다: {korean}", f"the manifest is refused: {english}"),
        where=layout.MANIFEST,
        hint=Text(
            "번들을 만든 쪽에 문의하고 다시 반입하십시오", "ask who built the bundle and carry it in again"
        ),
    )


_KNOWN = frozenset(item.name for item in fields(Manifest))


def _manifest(source: Fields) -> Manifest:
    if source.text("format") != FORMAT or source.number("format_version") != FORMAT_VERSION:
        raise ValueError("not a bundle of a format this installer knows; use the installer in the bundle")
    unknown = [name for name in source.texts("critical") if name not in _KNOWN]
    if unknown:
        raise ValueError(f"critical fields this installer does not know: {', '.join(unknown)}")
    created = source.text("created")
    parse_time(created)
    expires = None if source.value.get("expires") is None else source.text("expires")
    if expires is not None:
        parse_time(expires)
    project = source.child("project")
    files = source.items("files", _file)
    _check_paths([entry.path for entry in files])
    return Manifest(
        product=source.text("product", _LABEL),
        version=source.text("version", _LABEL),
        profile=source.text("profile", _LABEL),
        sequence=source.number("sequence", low=1),
        created=created,
        expires=expires,
        target=_target(source.child("target")),
        project=Project(project.text("name", _LABEL), project.text("version", _LABEL)),
        service=None if source.value.get("service") is None else _service(source.child("service")),
        memory_mb=source.number("memory_mb"),
        installed_bytes=source.number("installed_bytes"),
        packages=source.items("packages", _package),
        files=files,
        # Fields that bundles of the first releases do not have.
        builds=source.items("builds", _build) if "builds" in source.value else (),
        models=source.items("models", _model) if "models" in source.value else (),
        advisories=(
            None if source.value.get("advisories") is None else _advisories(source.child("advisories"))
        ),
        expectations=(
            expectations.parse(source.child("expectations")) if "expectations" in source.value else {}
        ),
    )


def _target(source: Fields) -> Target:
    pythons = source.texts("pythons", _PYTHON)
    if not pythons:
        raise ValueError("manifest.target.pythons is empty")
    return Target(
        name=source.text("name", _LABEL),
        os=source.text("os", _LABEL),
        arch=source.text("arch", _LABEL),
        libc=source.text("libc"),
        libc_min=source.text("libc_min"),
        pythons=pythons,
    )


def _service(source: Fields) -> ServiceSpec:
    return ServiceSpec(
        module=source.text("module", _MODULE),
        arguments=source.texts("arguments"),
        host=source.text("host", _HOST),
        port=source.number("port", 1, 65535),
        health_path=source.text("health_path", _HEALTH),
        ready_timeout_s=source.number("ready_timeout_s", 1, 3600),
        # Fields that bundles of the first releases do not have.
        data=None if source.value.get("data") is None else data_format(source.child("data")),
        memory_limit_mb=source.number("memory_limit_mb") if "memory_limit_mb" in source.value else 0,
    )


def data_format(source: Fields) -> DataFormat:
    """Read a data format strictly.

    Raises:
        ValueError: a missing or mistyped field, or fields that do not agree with each other.
    """
    made = DataFormat(
        version=source.number("version", 1),
        migrates=source.numbers("migrates", 1),
        migrate=source.texts("migrate"),
        irreversible=source.numbers("irreversible", 1),
    )
    if any(older >= made.version for older in made.migrates):
        raise ValueError(f"{source.name}.migrates holds a version that is not older")
    if made.migrates and not made.migrate:
        raise ValueError(f"{source.name}.migrate does not say how")
    if not set(made.irreversible) <= set(made.migrates):
        raise ValueError(f"{source.name}.irreversible holds a version that is not in migrates")
    return made


def _package(source: Fields) -> Package:
    return Package(
        source.text("name", _LABEL), source.text("version", _LABEL), source.texts("pythons", _PYTHON)
    )


def _build(source: Fields) -> Build:
    return Build(
        wheel=source.text("wheel"),
        sha256=source.text("sha256", _SHA256),
        source=source.text("source"),
        source_sha256=source.text("source_sha256", _SHA256),
        requires=source.texts("requires"),
    )


def _model(source: Fields) -> Model:
    return Model(
        name=source.text("name", _LABEL),
        role=source.text("role", _LABEL),
        folder=source.text("folder"),
        source=source.text("source"),
        revision=source.text("revision"),
        licence=source.text("licence"),
    )


def _advisories(source: Fields) -> Advisories:
    date = source.text("date")
    parse_time(date)
    path = source.text("path")
    if names.problem_with(path) is not None:
        raise ValueError(f"{source.name}.path is not a name in a bundle")
    return Advisories(path, date, source.text("sha256", _SHA256))


def _file(source: Fields) -> FileEntry:
    kind = source.text("kind")
    if kind not in KINDS:
        raise ValueError(f"{source.name}.kind {kind!r} is unknown")
    mode = source.number("mode")
    if mode not in (0o644, 0o755):
        raise ValueError(f"{source.name}.mode is neither 0644 nor 0755")
    return FileEntry(
        path=source.text("path"),
        size=source.number("size"),
        sha256=source.text("sha256", _SHA256),
        mode=mode,
        kind=kind,
        component=source.text("component"),
    )


def _check_paths(paths: List[str]) -> None:
    for path in paths:
        problem = names.problem_with(path)
        if problem is not None:
            raise ValueError(f"path {path!r}: {problem.en}")
        if path in layout.METADATA or path.split("/")[0] not in layout.FOLDERS:
            raise ValueError(f"path {path!r} is outside the numbered folders")
    collisions = names.colliding(paths)
    if collisions:
        raise ValueError(f"path {collisions[0]!r} collides with another name")
