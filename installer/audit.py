"""`state/audit.jsonl`: append-only, who changed what and how it ended."""

from __future__ import annotations

import getpass
import os
import time

from .journal import append_line
from .paths import Prefix


def actor() -> str:
    """Return the person behind the process as well as the system tells: the user, and who called sudo."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError, ImportError):
        name = str(os.getuid()) if hasattr(os, "getuid") else "unknown"
    caller = os.environ.get("SUDO_USER", "")
    return f"{caller} (sudo {name})" if caller else name


def record(prefix: Prefix, action: str, outcome: str, **facts: object) -> None:
    """Append one entry.

    Raises:
        OSError: it could not be written; the caller decides whether that matters at this point.
    """
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    append_line(
        prefix.audit, {"time": moment, "actor": actor(), "action": action, "outcome": outcome, **facts}, 0o600
    )
