"""Select, for the target, the exact files of a lock. Pure: text in, artefacts and obstacles out.

uv decides versions, extras and groups (`uv export`), `packaging` evaluates markers and ranks wheel tags
for the *target*; here is what they leave: several interpreters in one bundle, files without a hash,
packages with no usable file, and all refusals at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast
from urllib.parse import unquote, urlsplit

import tomllib
from packaging.markers import Environment
from packaging.pylock import Package as LockedPackage
from packaging.pylock import PackageSdist, PackageWheel, Pylock, PylockSelectError, PylockValidationError
from packaging.tags import Tag, compatible_tags, cpython_tags

from bundle.errors import BuildError
from bundle.manifest import Package
from bundle.text import Text

from ..inputs import TargetSpec
from ..plan import Artifact, Obstacle

# glibc's names before PEP 600 and the version each one stands for.
_LEGACY_MANYLINUX = {(2, 17): "manylinux2014", (2, 12): "manylinux2010", (2, 5): "manylinux1"}


@dataclass
class Selection:
    """What was selected so far: artefacts by digest, packages by name and version, obstacles."""

    artifacts: dict[str, Artifact] = field(default_factory=dict)
    pythons: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    obstacles: dict[tuple[str, str, str], Obstacle] = field(default_factory=dict)

    def packages(self) -> tuple[Package, ...]:
        """Return the packages with the interpreters that install them, sorted."""
        return tuple(
            Package(name, version, tuple(used)) for (name, version), used in sorted(self.pythons.items())
        )

    def sorted_artifacts(self) -> tuple[Artifact, ...]:
        """Return the artefacts by kind, name and file name."""
        return tuple(sorted(self.artifacts.values(), key=lambda item: (item.kind, item.name, item.filename)))


def target_tags(target: TargetSpec, python: str) -> list[Tag]:
    """Return the wheel tags that the target accepts for CPython `python` (``X.Y``), best first.

    Plain ``linux_x86_64`` is left out: such a wheel promises nothing about the C library.
    """
    version = (int(python.split(".")[0]), int(python.split(".")[1]))
    platforms = list(_platforms(target))
    interpreter = f"cp{version[0]}{version[1]}"
    return [
        *cpython_tags(version, [interpreter], platforms),
        *compatible_tags(version, interpreter, platforms),
    ]


def _platforms(target: TargetSpec) -> Iterator[str]:
    if target.libc != "glibc":
        raise BuildError(
            Text("이 대상은 아직 지원하지 않습니다", "this target is not served yet"),
            where=f"libc = {target.libc!r}",
        )
    major, minor = (int(part) for part in target.libc_min.split("."))
    for candidate in range(minor, 4, -1):
        yield f"manylinux_{major}_{candidate}_{target.arch}"
        if (major, candidate) in _LEGACY_MANYLINUX:
            yield f"{_LEGACY_MANYLINUX[(major, candidate)]}_{target.arch}"


def environments(target: TargetSpec, python: str) -> list[Environment]:
    """Return the marker environments of the target: the first and the last patch release of `python`.

    A bundle serves every patch release, so a package needed at either end is carried.
    """
    found = []
    for patch in ("0", "99"):
        full = f"{python}.{patch}"
        values = {
            **target.environment,
            "implementation_name": "cpython",
            "implementation_version": full,
            "platform_python_implementation": "CPython",
            "platform_release": "",
            "platform_version": "",
            "python_version": python,
            "python_full_version": full,
        }
        found.append(cast(Environment, values))
    return found


def parse_pylock(text: str) -> Pylock:
    """Parse pylock TOML.

    Raises:
        BuildError: it is not a lock that this version understands.
    """
    try:
        return Pylock.from_dict(tomllib.loads(text))
    except (tomllib.TOMLDecodeError, PylockValidationError) as error:
        raise BuildError(
            Text("잠금 파일을 이해할 수 없습니다", "the lock cannot be understood"),
            where="uv.lock",
            details=[Text(str(error), str(error))],
        ) from error


def select(lock: Pylock, target: TargetSpec, pythons: Sequence[str]) -> Selection:
    """Select the files for every interpreter in `pythons`; problems are collected, never raised one by one."""
    selection = Selection()
    for python in pythons:
        tags = target_tags(target, python)
        for environment in environments(target, python):
            if not _python_fits(lock, environment, selection):
                continue
            for package in lock.packages:
                _select_package(package, environment, tags, python, selection)
    return selection


def _python_fits(lock: Pylock, environment: Environment, selection: Selection) -> bool:
    version = environment["python_full_version"]
    if lock.requires_python is None or lock.requires_python.contains(version):
        return True
    # The last patch release may be excluded by an upper bound such as <3.11.50; the first one decides.
    if version.endswith(".0"):
        _refuse(
            selection,
            "python",
            environment["python_version"],
            Text(
                f"프로젝트는 Python {lock.requires_python} 필요",
                f"the project requires Python {lock.requires_python}",
            ),
            Text("--python 으로 맞는 버전을 고르십시오", "choose a fitting version with --python"),
        )
    return False


def _select_package(
    package: LockedPackage, environment: Environment, tags: Sequence[Tag], python: str, selection: Selection
) -> None:
    # One package at a time: the library stops at the first refusal, a build engineer wants all of them.
    single = Pylock(lock_version=_ONE, created_by="builder", packages=[package])
    try:
        chosen = list(single.select(environment=environment, tags=tags))
    except PylockSelectError:
        chosen = [(package, None)]  # type: ignore[list-item]
    for _, source in chosen:
        version = str(package.version) if package.version is not None else ""
        if isinstance(source, (PackageWheel, PackageSdist)):
            _add(selection, package, version, source, python)
        elif source is None:
            _refuse(selection, package.name, version, _no_file(package), _NO_FILE_REMEDY)
        else:
            _refuse(
                selection,
                package.name,
                version,
                Text(
                    "git/경로/URL 소스는 아직 담지 못합니다", "a git, path or URL source cannot be packed yet"
                ),
                Text("패키지 색인에 올려 잠그십시오", "publish it to a package index and lock that"),
            )


def _no_file(package: LockedPackage) -> Text:
    names = ", ".join(wheel.filename for wheel in (package.wheels or [])[:3])
    return Text(
        f"대상에 맞는 휠도 sdist도 없습니다 (있는 것: {names})",
        f"no wheel fits the target and there is no sdist (has: {names})",
    )


_NO_FILE_REMEDY = Text(
    "다른 버전을 잠그거나 다른 --python/--target 을 고르십시오",
    "lock another version, or choose another --python or --target",
)


def _add(
    selection: Selection,
    package: LockedPackage,
    version: str,
    source: PackageWheel | PackageSdist,
    python: str,
) -> None:
    digest = source.hashes.get("sha256", "")
    location = source.url or (Path(source.path).absolute().as_uri() if source.path else "")
    if not digest or not location:
        _refuse(
            selection,
            package.name,
            version,
            Text(
                f"{source.filename}에 SHA-256 또는 주소가 없습니다",
                f"{source.filename} has no SHA-256 or no address",
            ),
            Text("해시를 주는 색인에서 다시 잠그십시오", "lock again from an index that gives hashes"),
        )
        return
    used = selection.pythons.setdefault((package.name, version), [])
    if python not in used:
        used.append(python)
    earlier = selection.artifacts.get(digest)
    pythons = earlier.pythons if earlier else ()
    selection.artifacts[digest] = Artifact(
        kind="wheel" if isinstance(source, PackageWheel) else "sdist",
        name=package.name,
        version=version,
        filename=unquote(urlsplit(source.filename).path.rsplit("/", 1)[-1]),
        source=location,
        sha256=digest,
        size=source.size or 0,
        pythons=pythons if python in pythons else (*pythons, python),
        reason="uv.lock" if isinstance(source, PackageWheel) else "uv.lock; no wheel: built on the build box",
    )


def _refuse(selection: Selection, name: str, version: str, reason: Text, remedy: Text) -> None:
    selection.obstacles[(name, version, reason.en)] = Obstacle(name, version, reason, remedy)


_ONE = Pylock.from_dict({"lock-version": "1.0", "created-by": "builder", "packages": []}).lock_version
