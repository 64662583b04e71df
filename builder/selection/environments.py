"""Marker environments of a target (PEP 508), and markers evaluated once for each of them."""

from __future__ import annotations

from collections.abc import Sequence, Set
from functools import cache

from packaging.markers import Marker, UndefinedEnvironmentName

from ..inputs import TargetSpec

# A bundle serves every patch release of an interpreter; a package needed at either end is carried.
FIRST_PATCH, LAST_PATCH = 0, 99
# The kernel's version: every host of a target has its own.
_HOST_ONLY = ("platform_release", "platform_version")


class Host:
    """One interpreter on a target: answers markers, and remembers the answers, for locks repeat them."""

    def __init__(self, target: TargetSpec, python: str, patch: int) -> None:
        self.python = python
        self.full_version = f"{python}.{patch}"
        self._environment: dict[str, str | Set[str]] = {
            **target.environment,
            "implementation_name": "cpython",
            "implementation_version": self.full_version,
            "platform_python_implementation": "CPython",
            **dict.fromkeys(_HOST_ONLY, ""),
            "python_version": python,
            "python_full_version": self.full_version,
            "extras": frozenset[str](),
            "dependency_groups": frozenset[str](),
        }
        self._answers: dict[str, bool] = {}

    def fits(self, marker: str) -> bool:
        """Return whether the marker holds here; an empty one always does.

        Raises:
            InvalidMarker: it is not a marker.
            UndefinedEnvironmentName: it asks for what only the host itself knows.
        """
        if not marker:
            return True
        known = self._answers.get(marker)
        if known is None:
            for name in _HOST_ONLY:
                if name in marker:
                    raise UndefinedEnvironmentName(name)
            known = _parsed(marker).evaluate(self._environment, context="lock_file")
            self._answers[marker] = known
        return known


def both_ends(target: TargetSpec, python: str) -> tuple[Host, Host]:
    """Return the first and the last patch release of the interpreter on the target."""
    return Host(target, python, FIRST_PATCH), Host(target, python, LAST_PATCH)


def patches(markers: Sequence[str], target: TargetSpec, python: str) -> list[str] | None:
    """Return, for each marker, the condition on patch releases of `python` under which it holds.

    None where they do not split the patch releases into spans that exclude one another.

    Raises:
        InvalidMarker: one is not a marker.
    """
    spans = []
    every = range(FIRST_PATCH, LAST_PATCH + 1)
    releases = [Host(target, python, patch) for patch in every]
    for marker in markers:
        held = [patch for patch in every if releases[patch].fits(marker)]
        spans.append(range(held[0], held[-1] + 1) if held else range(0))
        if list(spans[-1]) != held:
            return None
    taken = [patch for span in spans for patch in span]
    if len(taken) != len(set(taken)):
        return None
    return [_condition(span, python) for span in spans]


def _condition(span: range, python: str) -> str:
    since = [f"python_full_version >= '{python}.{span.start}'"] if span.start > FIRST_PATCH else []
    until = [f"python_full_version < '{python}.{span.stop}'"] if span.stop <= LAST_PATCH else []
    return " and ".join([*since, *until])


@cache
def _parsed(marker: str) -> Marker:
    return Marker(marker)
