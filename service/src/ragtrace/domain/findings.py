"""What a check of the service found: plain data, the same for the validator, `/readyz` and the status page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from ragtrace.text import Text

Status = Literal["pass", "warn", "fail", "skip", "unknown", "error"]


@dataclass(frozen=True)
class Finding:
    """The outcome of one check; `unknown` means that this user cannot see what it needs."""

    status: Status
    details: Text
    measured: str = ""
    expected: str = ""
    cause: Text | None = None

    def plain(self) -> dict[str, Any]:
        """Return what a plugin of the validator gives."""
        return {
            "status": self.status,
            "details": self.details._asdict(),
            "measured": self.measured,
            "expected": self.expected,
            "cause": self.cause._asdict() if self.cause else None,
        }


def human_size(size: int) -> str:
    """Return a number of bytes for people."""
    amount = float(size)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"
