"""Which fields of each kind of record leave the host. What is not named here stays, whatever it is.

A leaf says how its value is treated: `KEEP` as it is (secrets and names are replaced later, everywhere), `QUIET`
without what may be people's content, `USER` and `HOST` replaced as a whole, `PLAIN` only where it is a simple word.
"""

from __future__ import annotations

import re
from typing import Any, Callable, Dict, Mapping, Union

from recovery.support import limits

KEEP, QUIET, USER, HOST, PLAIN = "keep", "quiet", "user", "host", "plain"
Allowed = Mapping[str, Any]
_PLAIN_WORD = re.compile(r"[A-Za-z0-9._:+ -]{0,120}\Z")

REPORT: Allowed = {
    "format": KEEP, "validator_version": KEEP, "timestamp": KEEP, "language": KEEP, "generation": PLAIN,
    "system_info": {
        "platform": KEEP, "os": KEEP, "architecture": KEEP, "python_version": KEEP, "libc": KEEP, "memory_gb": KEEP,
        "memory_available_gb": KEEP, "cpu_count": KEEP, "user_is_root": KEEP, "timezone": PLAIN,
    },
    "validation_results": [{
        "id": PLAIN, "category": PLAIN, "check_name": QUIET, "status": PLAIN, "raw_status": PLAIN, "severity": PLAIN,
        "details": QUIET, "evidence": {"measured": QUIET, "expected": QUIET}, "cause": QUIET, "remedy": {"id": PLAIN},
        "waiver": {"expires": PLAIN, "applied": KEEP}, "documentation": KEEP, "duration_s": KEEP,
    }],
    "summary": dict.fromkeys(("pass", "warn", "fail", "skip", "error", "unknown"), KEEP),
    "overall_status": PLAIN, "exit_code": KEEP, "duration_s": KEEP,
}  # fmt: skip
POINTER: Allowed = dict.fromkeys(("format", "generation", "manifest", "sequence", "previous"), PLAIN)
ACCEPTED: Allowed = {
    **dict.fromkeys(
        ("format", "highest_sequence", "generations", "transaction", "signatures", "newest"), PLAIN
    ),
    "pins": [{"fingerprint": KEEP, "since": PLAIN, "generation": PLAIN}],
}
SERVICE: Allowed = {
    "format": PLAIN, "manager": PLAIN, "name": PLAIN, "user": USER, "host": HOST, "port": PLAIN, "enabled": KEEP,
}  # fmt: skip
BREAKER: Allowed = {"format": PLAIN, "attempts": PLAIN}
DATA_NOTE: Allowed = dict.fromkeys(("format", "version", "phase", "generation", "transaction"), PLAIN)
DATA_FORMAT: Allowed = dict.fromkeys(("format", "version"), PLAIN)
RECEIPT: Allowed = dict.fromkeys(
    (
        "generation",
        "manifest",
        "sequence",
        "version",
        "created",
        "files",
        "folders",
        "links",
        "bytes",
        "finished",
    ),
    PLAIN,
)
MANIFEST: Allowed = {
    **dict.fromkeys(
        ("format", "format_version", "product", "version", "profile", "sequence", "created", "expires", "memory_mb",
         "installed_bytes", "files"), PLAIN),
    "target": dict.fromkeys(("name", "os", "arch", "libc", "libc_min", "pythons"), PLAIN),
    "project": {"name": PLAIN, "version": PLAIN},
    "service": dict.fromkeys(("module", "port", "health_path", "ready_timeout_s", "memory_limit_mb"), KEEP),
    "packages": [{"name": PLAIN, "version": PLAIN}],
    "models": [{"name": KEEP, "role": PLAIN, "revision": PLAIN}],
    "advisories": {"date": PLAIN, "sha256": PLAIN},
}  # fmt: skip
AUDIT: Allowed = {
    "actor": USER, "host": HOST, "signers": KEEP, "time": PLAIN, "gap": {"bytes": PLAIN, "sha256": PLAIN},
    **dict.fromkeys(
        ("n", "previous", "action", "outcome", "manifest", "generation", "from", "to", "origin", "checks", "sequence",
         "version", "transaction", "next", "missing", "kept", "removed", "bytes", "exit", "seconds", "downgrade_from",
         "keys", "unfinished"), PLAIN),
    "expected": {"n": PLAIN, "sha256": PLAIN}, "found": {"n": PLAIN, "sha256": PLAIN},
}  # fmt: skip
JOURNAL: Allowed = {
    **dict.fromkeys(
        ("event", "operation", "pid", "time", "step", "bytes", "outcome", "transaction", "generation", "from", "to",
         "manifest"), PLAIN),
    "cause": QUIET, "failures": QUIET,
}  # fmt: skip
SERVICE_LOG: Allowed = {
    **dict.fromkeys(
        ("time", "level", "logger", "event", "method", "status", "bytes", "ms", "port", "version"), PLAIN),
    "client": HOST, "host": HOST, "path": "path", "message": "message", "trace": QUIET,
}  # fmt: skip

Treat = Callable[[str, str, Mapping[str, Any]], str]


class Filter:
    """Applies an allow-list to plain data and counts what it leaves out."""

    def __init__(self, treat: Treat) -> None:
        self._treat = treat
        self.dropped = 0

    def apply(self, document: object, allowed: Union[Allowed, "list[Any]", str]) -> Any:  # noqa: ANN401 - plain JSON data
        """Return what *allowed* names of *document*, and nothing of another shape than expected."""
        if isinstance(allowed, str):
            return self._leaf(document, allowed, {})
        if isinstance(allowed, list):
            items = document[: limits.LIST_ITEMS] if isinstance(document, list) else []
            return [self.apply(item, allowed[0]) for item in items]
        if not isinstance(document, dict):
            self.dropped += document is not None
            return None
        made: Dict[str, Any] = {}
        for key, value in document.items():
            if key not in allowed:
                self.dropped += 1
            elif isinstance(allowed[key], str):
                made[key] = self._leaf(value, allowed[key], document)
            else:
                made[key] = self.apply(value, allowed[key])
        return made

    def _leaf(self, value: object, leaf: str, record: Mapping[str, Any]) -> Any:  # noqa: ANN401 - plain JSON data
        if value is None or isinstance(value, (bool, int, float)):
            return value
        if isinstance(value, (list, tuple)):
            return [
                self._leaf(item, leaf, record) for item in value[: limits.LIST_ITEMS] if not _nested(item)
            ]
        if not isinstance(value, str):
            self.dropped += 1
            return None
        if leaf == PLAIN and not _PLAIN_WORD.match(value):
            leaf = QUIET
        # Cut twice: a secret that the first cut halves lies behind the second.
        return self._treat(value[: 8 * limits.FIELD_CHARACTERS], leaf, record)[: limits.FIELD_CHARACTERS]


def _nested(value: object) -> bool:
    return isinstance(value, (dict, list))
