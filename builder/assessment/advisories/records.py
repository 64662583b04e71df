"""How bad an advisory is: asked of OSV's records, because pip-audit does not say.

Best effort under a time limit: what cannot be learnt stays ``unknown``, and the policy counts that as bad.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import quote

from ..findings import Advisory, Severity
from . import cvss

if TYPE_CHECKING:
    import httpx

TIMEOUT_S = 5.0
LIMIT_S = 10.0
PARALLEL = 8
RECORD_BYTES = 1024 * 1024
_ORDER = (Severity.CRITICAL, Severity.HIGH, Severity.MEDIUM, Severity.LOW)
# GitHub's words, as OSV passes them on.
_WORDS = {
    "critical": Severity.CRITICAL,
    "high": Severity.HIGH,
    "moderate": Severity.MEDIUM,
    "medium": Severity.MEDIUM,
    "low": Severity.LOW,
}


def rate(
    advisories: Sequence[Advisory], osv_url: str, limit_s: float = LIMIT_S
) -> tuple[tuple[Advisory, ...], bool]:
    """Return the advisories with the severity that OSV's records give, and whether the records could be read.

    `osv_url` is that of OSV's queries.
    """
    if not advisories:
        return (), True
    import httpx

    from ... import network

    distinct = {item.id: item for item in advisories}
    with httpx.Client(timeout=TIMEOUT_S, verify=network.tls_context(), follow_redirects=True) as client:
        records = _Records(client, osv_url.removesuffix("/query"), time.monotonic() + limit_s)
        with ThreadPoolExecutor(max_workers=PARALLEL, thread_name_prefix="records") as pool:
            known = dict(zip(distinct, pool.map(records.severity, distinct.values()), strict=True))
    return tuple(replace(item, severity=known[item.id]) for item in advisories), not records.down


class _Records:
    """The records of one OSV service; after a broken connection, or too long, nobody waits for another."""

    def __init__(self, client: httpx.Client, base: str, deadline: float) -> None:
        self.client = client
        self.base = base
        self.deadline = deadline
        self.down = False

    def severity(self, advisory: Advisory) -> Severity:
        """Return the worst severity of the first record that states one."""
        # GitHub's records carry a severity far more often than the others.
        for name in sorted(advisory.names, key=lambda item: not item.startswith("GHSA-")):
            found = severity_of(self._record(name))
            if found is not Severity.UNKNOWN:
                return found
        return Severity.UNKNOWN

    def _record(self, name: str) -> object:
        import httpx

        if time.monotonic() > self.deadline:
            self.down = True
        if self.down:
            return None
        try:
            with self.client.stream("GET", f"{self.base}/vulns/{quote(name, safe='')}") as response:
                return _body(response, self.deadline) if response.status_code == 200 else None
        except httpx.TransportError:
            self.down = True
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, RecursionError):
            pass  # this record is of no use; the next one may be
        return None


def _body(response: httpx.Response, deadline: float) -> object:
    data = bytearray()
    for piece in response.iter_bytes():
        data += piece
        if len(data) > RECORD_BYTES or time.monotonic() > deadline:
            raise ValueError("too large or too slow")
    return json.loads(data)


def severity_of(record: object) -> Severity:
    """Return the worst severity that an OSV record states: CVSS 3 vectors, or the database's own word.

    A CVSS 4 vector alone says nothing here: its score needs tables, and the databases that use it add a word.
    """
    if not isinstance(record, dict):
        return Severity.UNKNOWN
    found = {_word(record.get("database_specific"))}
    found.update(_scores(record.get("severity")))
    affected = record.get("affected")
    for part in affected if isinstance(affected, list) else ():
        if isinstance(part, dict):
            found.update(_scores(part.get("severity")))
            found.add(_word(part.get("database_specific")))
            found.add(_word(part.get("ecosystem_specific")))
    return next((level for level in _ORDER if level in found), Severity.UNKNOWN)


def _word(holder: object) -> Severity:
    word = holder.get("severity") if isinstance(holder, dict) else None
    return _WORDS.get(word.lower(), Severity.UNKNOWN) if isinstance(word, str) else Severity.UNKNOWN


def _scores(listed: object) -> Iterable[Severity]:
    for item in listed if isinstance(listed, list) else ():
        # OSV has sent numbers where its schema promises names in `type`; the vector itself says what it is.
        vector = item.get("score") if isinstance(item, dict) else None
        try:
            yield cvss.rating(cvss.base_score(vector)) if isinstance(vector, str) else Severity.UNKNOWN
        except ValueError:
            yield Severity.UNKNOWN
