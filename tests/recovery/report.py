"""Reports as plain data, for tests that need no validator run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def entry(identity: str, status: str = "fail", **more: Any) -> dict[str, Any]:
    """Return one result as a report holds it."""
    return {"id": identity, "raw_status": status, "details": "x", "duration_s": 0.25, **more}


def report(prefix: object = "/opt/x", *entries: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Return a report about *prefix*."""
    found = list(entries) or [entry("RAG-004", recommendation="$(touch /tmp/owned)")]
    base = {
        "format": 1,
        "timestamp": "2026-01-01T00:00:00Z",
        "prefix": str(prefix),
        "system_info": {"memory_gb": 7.5},
        "validation_results": found,
    }
    return {**base, **changes}


def write(path: Path, document: Any) -> Path:
    """Write a report and return its file."""
    path.write_text(json.dumps(document), "utf-8")
    return path
