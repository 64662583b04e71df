"""Which modules hold checks, and how they are found by category or id."""

from __future__ import annotations

import importlib
from typing import Iterable, List, Optional, Sequence, Tuple

from validator.model import Check

# By category, in the order in which they are shown.
_NAMES = (
    ("system", "accelerator"),
    ("tools",),
    ("packages", "binaries"),
    ("ragtrace", "process", "models", "answers"),
    ("performance", "model_speed"),
    ("security", "exposure", "origin", "outbound", "vulnerabilities", "secrets", "audit"),
)
MODULES: Tuple[str, ...] = tuple("validator.checks." + name for names in _NAMES for name in names)


def load(modules: Sequence[str] = MODULES) -> Tuple[Check, ...]:
    """Return every check of *modules* in order.

    Raises:
        ValueError: two checks share one id, which would make results ambiguous.
    """
    found: List[Check] = []
    for name in modules:
        found.extend(importlib.import_module(name).CHECKS)
    seen = set()
    for item in found:
        if item.id in seen:
            raise ValueError("two checks share the id " + item.id)
        seen.add(item.id)
    return tuple(found)


def select(
    checks: Iterable[Check], categories: Optional[Sequence[str]] = None, only: Optional[Sequence[str]] = None
) -> Tuple[Check, ...]:
    """Return the checks of the named categories and ids (case does not matter; nothing named means all)."""
    wanted = {name.lower() for name in categories or ()}
    ids = {name.upper() for name in only or ()}
    return tuple(
        item
        for item in checks
        if (not wanted or item.category.value.lower() in wanted) and (not ids or item.id in ids)
    )
