"""Why a package cannot be had, and what to do about it: the words for every obstacle of a selection."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from packaging.tags import Tag

from bundle.text import Text

from ..inputs import TargetSpec
from . import tags
from .lock import Lock, LockedFile, LockedPackage

_FLOOR = re.compile(r"(manylinux|musllinux|macosx)_(\d+)_(\d+)_(.+)")
_FAMILY = {"glibc": "manylinux", "musl": "musllinux", "macos": "macosx"}


class Refusal(NamedTuple):
    """A reason and its remedy."""

    reason: Text
    remedy: Text


def no_wheel(package: LockedPackage, target: TargetSpec, python: str) -> Refusal:
    """Say why none of the package's wheels fits and no source can take their place."""
    if not package.wheels:
        return Refusal(
            Text("잠금에 파일이 하나도 없습니다", "the lock names no file of it"),
            Text(
                "색인에 그 버전이 아직 있는지 확인하고 다시 잠그십시오",
                "see whether the index still has this version, and lock again",
            ),
        )
    # Where no wheel is for this interpreter, those of the others still tell what the platform lacks.
    right = [wheel for wheel in package.wheels if _for_python(wheel, python)]
    told = right or package.wheels
    if any(_for_platform(wheel, target) for wheel in told):
        return Refusal(
            Text(
                f"이 파이썬용 휠도 sdist도 없습니다 (있는 것: {_names(package.wheels)})",
                f"there is no wheel for this Python and no sdist (has: {_names(package.wheels)})",
            ),
            Text(
                "다른 버전을 잠그거나 --python 으로 다른 파이썬을 고르십시오",
                "lock another version, or choose other interpreters with --python",
            ),
        )
    if any(tag.platform == f"linux_{target.arch}" for wheel in told for tag in wheel.tags):
        return plain_linux(package, told)
    newer = _lowest_floor(told, target)
    if newer is not None:
        return _above_the_floor(newer, target, told)
    return Refusal(
        Text(
            f"{target.name}용 휠도 sdist도 없습니다 (있는 것: {_names(told)})",
            f"there is no wheel for {target.name} and no sdist (has: {_names(told)})",
        ),
        Text(
            f"{target.name}용 파일이 있는 버전을 잠그거나, 환경 마커로 이 대상에서 빼십시오",
            f"lock a version that has one, or leave it out on {target.name} with a marker",
        ),
    )


def plain_linux(package: LockedPackage, wheels: Sequence[LockedFile]) -> Refusal:
    """Say that the only wheel is tagged plain linux."""
    return Refusal(
        Text(
            f"휠이 linux 태그뿐이라 어떤 C 라이브러리가 필요한지 알 수 없습니다 ({_names(wheels)})",
            f"its wheel is tagged plain linux and promises nothing about the C library ({_names(wheels)})",
        ),
        Text(
            f"manylinux나 musllinux 휠이 있는 버전을 잠그거나, 대상에서 시험했다면 --accept-plain-linux {package.name}",
            f"lock a version with a manylinux or musllinux wheel; or, once tried on the target, --accept-plain-linux {package.name}",
        ),
    )


def _above_the_floor(newer: tuple[int, int], target: TargetSpec, wheels: Sequence[LockedFile]) -> Refusal:
    needs = f"{target.libc} {newer[0]}.{newer[1]}"
    return Refusal(
        Text(
            f"휠에 {needs}이 필요한데 대상은 {target.libc_min}부터입니다 (있는 것: {_names(wheels)})",
            f"its wheels need {needs}, the target begins at {target.libc_min} (has: {_names(wheels)})",
        ),
        Text(
            f"더 오래된 버전을 잠그거나 manifests/targets/{target.name}.toml의 libc_min을 올리십시오",
            f"lock an older version, or raise libc_min in manifests/targets/{target.name}.toml",
        ),
    )


def no_hash(found: LockedFile) -> Refusal:
    """Say that the lock gives no SHA-256 or no address for the file that fits."""
    return Refusal(
        Text(
            f"{found.filename}에 SHA-256 또는 주소가 없습니다",
            f"{found.filename} has no SHA-256 or no address",
        ),
        Text("해시를 주는 색인에서 다시 잠그십시오", "lock again from an index that gives hashes"),
    )


REDACTED = Refusal(
    Text(
        "잠긴 주소의 암호가 가려져 있습니다 (****)", "the password in its locked address is redacted (****)"
    ),
    Text(
        "주소에서 인증 정보를 빼고 다시 잠그고, 인증은 UV_INDEX_… 변수나 netrc로 주십시오",
        "lock again without credentials in the address; give them as UV_INDEX_… variables or in netrc",
    ),
)


SECRET = Refusal(
    Text(
        "잠긴 주소에 암호나 토큰이 있어 번들의 문서에 실려 나가게 됩니다",
        "its locked address holds a password or token, which the bundle's documents would carry along",
    ),
    REDACTED.remedy,
)


def not_a_commit(commit: str) -> Refusal:
    """Say that a git source is not locked at one commit."""
    return Refusal(
        Text(f"git 커밋이 완전하지 않습니다: {commit!r}", f"its git commit is not complete: {commit!r}"),
        Text("커밋이 고정되도록 다시 잠그십시오", "lock again, so that the commit is fixed"),
    )


def not_git(kind: str) -> Refusal:
    """Say that a version control system is not served."""
    return Refusal(
        Text(f"{kind} 저장소는 담을 수 없습니다", f"a {kind} repository cannot be packed"),
        Text("색인에 올리거나 git으로 옮기십시오", "publish it to an index, or move it to git"),
    )


def rivals(versions: Iterable[str]) -> Refusal:
    """Say that one interpreter would need two versions, or two files, of a package."""
    listed = ", ".join(versions)
    return Refusal(
        Text(
            f"파이썬 하나에 둘이 필요합니다: {listed} (패치 버전에 따라 갈립니다)",
            f"one interpreter needs two of it: {listed} (they differ by patch release)",
        ),
        Text(
            "requires-python이나 마커를 X.Y 단위로 좁혀 다시 잠그십시오",
            "lock again with requires-python or markers that split between X.Y versions only",
        ),
    )


def bad_marker(marker: str, why: str) -> Refusal:
    """Say that a marker has no answer on the target."""
    return Refusal(
        Text(f"마커를 평가할 수 없습니다: {marker} ({why})", f"its marker has no answer: {marker} ({why})"),
        Text("마커를 고쳐 다시 잠그십시오", "correct the marker and lock again"),
    )


def wrong_python(lock: Lock) -> Refusal:
    """Say that the project excludes an interpreter."""
    return Refusal(
        Text(
            f"프로젝트는 Python {lock.requires_python} 필요",
            f"the project requires Python {lock.requires_python}",
        ),
        Text("--python 으로 맞는 버전을 고르십시오", "choose a fitting version with --python"),
    )


def outside_environments(lock: Lock, target: TargetSpec) -> Refusal:
    """Say that the lock was made for other environments only."""
    limits = " | ".join(lock.environments)
    return Refusal(
        Text(
            f"잠금이 다른 환경으로 제한되어 있습니다: {limits}",
            f"the lock is limited to other environments: {limits}",
        ),
        Text(
            f"tool.uv.environments에 {target.name}을(를) 더해 다시 잠그십시오",
            f"add {target.name} to tool.uv.environments and lock again",
        ),
    )


def _for_python(wheel: LockedFile, python: str) -> bool:
    """Return whether the interpreter and ABI fit, whatever the platform."""
    return any(_any_platform(tag) in _interpreter_tags(python) for tag in wheel.tags)


def _for_platform(wheel: LockedFile, target: TargetSpec) -> bool:
    accepted = {"any", *tags.platform_tags(target)}
    return any(tag.platform in accepted for tag in wheel.tags)


def _any_platform(tag: Tag) -> Tag:
    return Tag(tag.interpreter, tag.abi, "any")


def _interpreter_tags(python: str) -> frozenset[Tag]:
    anywhere = TargetSpec("", "windows", "any", "", "", {})
    return frozenset(_any_platform(tag) for tag in tags.ranks(anywhere, python))


def _lowest_floor(wheels: Sequence[LockedFile], target: TargetSpec) -> tuple[int, int] | None:
    """Return the lowest floor above the target's that a wheel for its processor has."""
    if target.libc not in _FAMILY:
        return None
    served = (_FLOOR.fullmatch(tag) for tag in tags.platform_tags(target))
    arches = {match.group(4) for match in served if match}
    found = []
    for wheel in wheels:
        for tag in wheel.tags:
            match = _FLOOR.fullmatch(tag.platform)
            if match and match.group(1) == _FAMILY[target.libc] and match.group(4) in arches:
                found.append((int(match.group(2)), int(match.group(3))))
    return min((each for each in found if each > tags.floor(target)), default=None)


def _names(wheels: Sequence[LockedFile]) -> str:
    more = len(wheels) - 3
    return ", ".join(wheel.filename for wheel in wheels[:3]) + (f", +{more}" if more > 0 else "")
