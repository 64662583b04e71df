"""What a cause is: the checks it shows in, what it means, what to do, and the actions that may remove it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Tuple

from bundle.text import Text


@dataclass(frozen=True)
class Cause:
    """One cause: the checks it shows in, the explanation, the advice, and the actions that may remove it, the
    cheapest and most certain one first."""

    id: str
    checks: Tuple[str, ...]
    title: Text
    explanation: Text
    advice: Text
    actions: Tuple[str, ...] = ()
