"""Write what was done to the installation's audit log."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Sequence


def record(prefix: Path, action: str, outcome: str, checks: Sequence[str]) -> None:
    """Append one entry to ``<prefix>/state/audit.jsonl``: through the installer where it is present.

    Raises:
        OSError: it could not be written.
    """
    name = "recovery:" + action
    try:
        from installer import audit
        from installer.paths import Prefix
    except ImportError:
        _append(prefix, {"action": name, "outcome": outcome, "checks": list(checks)})
    else:
        audit.record(Prefix(prefix), name, outcome, checks=list(checks))


def _append(prefix: Path, facts: "dict[str, object]") -> None:
    actor = os.environ.get("SUDO_USER") or (str(os.getuid()) if hasattr(os, "getuid") else "unknown")
    entry = {"time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "actor": actor, **facts}
    line = json.dumps(entry, ensure_ascii=False, sort_keys=True).encode("utf-8") + b"\n"
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
    descriptor = os.open(prefix / "state" / "audit.jsonl", flags, 0o600)
    try:
        os.write(descriptor, line)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
