"""Shorten lists for findings: the first few names and the number of all."""

from __future__ import annotations

from typing import Iterable

from validator import limits


def listed(names: Iterable[object]) -> str:
    """Return ``a, b, c (+ 4)``."""
    every = [str(name) for name in names]
    shown = ", ".join(every[: limits.NAMES_LISTED])
    rest = len(every) - limits.NAMES_LISTED
    return f"{shown} (+ {rest})" if rest > 0 else shown
