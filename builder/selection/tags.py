"""Wheel tags of a target, best first: what `packaging` says of a running interpreter, said of another host."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache

from packaging.tags import Tag, compatible_tags, cpython_tags, mac_platforms

from ..inputs import TargetSpec

# glibc's names before PEP 600 and the version each one stands for.
_LEGACY_MANYLINUX = {(2, 17): "manylinux2014", (2, 12): "manylinux2010", (2, 5): "manylinux1"}
# The processor as wheel tags of the system call it, where that is not our name.
_TAG_ARCH = {("macos", "aarch64"): "arm64", ("windows", "x86_64"): "amd64", ("windows", "aarch64"): "arm64"}


def target_tags(target: TargetSpec, python: str, *, plain_linux: bool = False) -> list[Tag]:
    """Return the wheel tags that the target accepts for CPython `python` (``X.Y``), best first.

    Plain ``linux_x86_64`` comes in, last of the platforms, only with `plain_linux`: such a wheel promises
    nothing about the C library.
    """
    major, minor = (int(part) for part in python.split("."))
    platforms = list(platform_tags(target))
    if plain_linux and target.os == "linux":
        platforms.append(f"linux_{target.arch}")
    interpreter = f"cp{major}{minor}"
    return [
        *cpython_tags((major, minor), [interpreter], platforms),
        *compatible_tags((major, minor), interpreter, platforms),
    ]


def platform_tags(target: TargetSpec) -> Iterator[str]:
    """Yield the platform tags that the target accepts, newest first: down from its floor."""
    arch = _TAG_ARCH.get((target.os, target.arch), target.arch)
    if target.os == "windows":
        yield f"win_{arch}"
        return
    major, minor = floor(target)
    if target.os == "macos":
        yield from mac_platforms((major, minor), arch)
    elif target.libc == "musl":
        yield from (f"musllinux_{major}_{older}_{arch}" for older in range(minor, -1, -1))
    else:
        for older in range(minor, 4, -1):
            yield f"manylinux_{major}_{older}_{arch}"
            if (major, older) in _LEGACY_MANYLINUX and _legacy(arch, older):
                yield f"{_LEGACY_MANYLINUX[major, older]}_{arch}"


def _legacy(arch: str, minor: int) -> bool:
    # manylinux1 and manylinux2010 were defined for Intel only.
    return minor == 17 or arch == "x86_64"


def floor(target: TargetSpec) -> tuple[int, int]:
    """Return the target's `libc_min` as numbers."""
    major, minor = target.libc_min.split(".")
    return int(major), int(minor)


def ranks(target: TargetSpec, python: str, plain_linux: bool = False) -> Mapping[Tag, int]:
    """Return each accepted tag's place in `target_tags`: the lowest is the best."""
    # The marker environment makes no difference to tags, and a mapping cannot be a key.
    return _ranks(target.os, target.arch, target.libc, target.libc_min, python, plain_linux)


@lru_cache(maxsize=256)
def _ranks(os: str, arch: str, libc: str, libc_min: str, python: str, plain_linux: bool) -> Mapping[Tag, int]:
    target = TargetSpec("", os, arch, libc, libc_min, {})
    places: dict[Tag, int] = {}
    for place, tag in enumerate(target_tags(target, python, plain_linux=plain_linux)):
        places.setdefault(tag, place)
    return places
