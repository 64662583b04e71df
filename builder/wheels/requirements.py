"""The pinned requirements file of a target: every version, every hash, a marker where interpreters differ."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol


class Pinned(Protocol):
    """A wheel as the requirements file needs it: `pythons` are the interpreters (``X.Y``) that install it."""

    @property
    def name(self) -> str:
        """The normalised package name."""

    @property
    def version(self) -> str:
        """The exact version."""

    @property
    def sha256(self) -> str:
        """The wheel's hexadecimal digest."""

    @property
    def pythons(self) -> tuple[str, ...]:
        """The interpreters that install it."""


def requirements_text(
    wheels: Iterable[Pinned],
    pythons: Sequence[str],
    limits: Mapping[tuple[str, str], Mapping[str, str]] | None = None,
) -> str:
    """Return the file's text, one package a line group, sorted; ``--require-hashes`` accepts it whole.

    Args:
        wheels: what to pin.
        pythons: the interpreters of the target.
        limits: of a package name and version, the patch releases of an interpreter that install it.
    """
    hashes: dict[tuple[str, str], set[str]] = {}
    used: dict[tuple[str, str], set[str]] = {}
    for wheel in wheels:
        key = (wheel.name, wheel.version)
        hashes.setdefault(key, set()).add(wheel.sha256)
        used.setdefault(key, set()).update(wheel.pythons)
    lines = []
    for name, version in sorted(hashes):
        marker = _marker(used[name, version], pythons, (limits or {}).get((name, version), {}))
        pins = "".join(f" \\\n    --hash=sha256:{digest}" for digest in sorted(hashes[name, version]))
        lines.append(f"{name}=={version}{marker}{pins}\n")
    return "".join(lines)


def _marker(used: set[str], pythons: Sequence[str], limits: Mapping[str, str]) -> str:
    if used >= set(pythons) and not limits:
        return ""
    return " ; " + " or ".join(_condition(python, limits) for python in pythons if python in used)


def _condition(python: str, limits: Mapping[str, str]) -> str:
    whole = f"python_version == '{python}'"
    return f"({whole} and {limits[python]})" if python in limits else whole
