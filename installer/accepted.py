"""`trust/accepted.json`: the commit record. Which releases passed, and the highest sequence seen."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Any, Optional

from bundle.atomic import write_atomic
from bundle.manifest import parse_time
from bundle.verify import CLOCK_AHEAD

from . import sealed
from .paths import GENERATION_NAME, Prefix, release_of

_FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}\Z")


@dataclass(frozen=True)
class Pin:
    """When a key was pinned, and with which release."""

    fingerprint: str
    since: str
    generation: str


@dataclass(frozen=True)
class Accepted:
    """Accepted releases, oldest first, the highest sequence among all there ever were, the last transaction
    that committed, how many trusted signatures the last bundle had to have, the newest time there is evidence
    of (UTC, or nothing), and when keys were pinned. `known` is false where the record is missing or damaged:
    then nobody can say that a release was *not* accepted."""

    known: bool = False
    highest_sequence: int = 0
    generations: tuple[str, ...] = ()
    transaction: str = ""
    signatures: int = 1
    newest: str = ""
    pins: tuple[Pin, ...] = ()

    def includes(self, generation: str) -> bool:
        """Return whether the release passed its health check here, under this name or before it was rebuilt."""
        return release_of(generation) in map(release_of, self.generations)

    def after(self, generation: str, sequence: int, transaction: str, signatures: int = 0) -> Accepted:
        """Return the record once `generation` has been accepted too; no `signatures`: as many as before."""
        others = tuple(name for name in self.generations if name != generation)
        return replace(
            self,
            known=True,
            highest_sequence=max(self.highest_sequence, sequence),
            generations=(*others, generation),
            transaction=transaction,
            signatures=signatures or self.signatures,
        )

    def seeing(self, *times: str, clock: Optional[datetime] = None) -> Accepted:
        """Return the record with the newest of these times, which somebody signed, and of the clock.

        A clock that runs absurdly far ahead is no evidence: one wrong date would end every later bundle.
        """
        newest = max(filter(None, [self.newest, *times]), key=parse_time, default="")
        if clock is not None:
            clock = clock.astimezone(timezone.utc).replace(microsecond=0)
            if not newest or parse_time(newest) < clock <= parse_time(newest) + CLOCK_AHEAD:
                newest = clock.strftime("%Y-%m-%dT%H:%M:%SZ")
        return replace(self, newest=newest)

    def pinning(self, fingerprints: tuple[str, ...], since: str, generation: str) -> Accepted:
        """Return the record with keys that are pinned now; one that was pinned before keeps its date."""
        known = {pin.fingerprint for pin in self.pins}
        added = tuple(Pin(name, since, generation) for name in fingerprints if name not in known)
        return replace(self, pins=(*self.pins, *added))

    def highest_seen(self, *sequences: int) -> int:
        """Return the highest sequence accepted here, or where that is not known, among what is installed."""
        return max(self.highest_sequence, *sequences, 0)

    def downgrade_of(self, generation: str, sequence: int) -> int:
        """Return the higher sequence accepted before, where this release is older and new here; else 0."""
        older = sequence < self.highest_sequence and not self.includes(generation)
        return self.highest_sequence if older else 0

    def newest_time(self) -> Optional[datetime]:
        """Return the newest time there is evidence of."""
        return parse_time(self.newest) if self.newest else None


# Nobody can say what was accepted.
UNKNOWN = Accepted()


def read(prefix: Prefix) -> Accepted:
    """Return the record; an unknown one where it is missing or damaged. Records of earlier releases lack the
    later fields."""
    try:
        document = sealed.unseal(prefix.accepted.read_bytes())
        names = tuple(str(name) for name in document["generations"])
        sequence = int(document["highest_sequence"])
        transaction = str(document["transaction"])
        signatures = int(document.get("signatures", 1))
        newest = str(document.get("newest", ""))
        if newest:
            parse_time(newest)
        pins = tuple(_pin(item) for item in document.get("pins", []))
    except (FileNotFoundError, NotADirectoryError, sealed.Damaged, KeyError, TypeError, ValueError):
        return UNKNOWN
    kept = tuple(name for name in names if GENERATION_NAME.match(name))
    return Accepted(True, sequence, kept, transaction, signatures, newest, pins)


def _pin(item: dict[str, Any]) -> Pin:
    fingerprint, since, generation = (str(item[name]) for name in ("fingerprint", "since", "generation"))
    parse_time(since)
    if not _FINGERPRINT.match(fingerprint):
        raise ValueError("not a fingerprint")
    return Pin(fingerprint, since, generation)


def write(prefix: Prefix, accepted: Accepted) -> None:
    """Replace the record."""
    document: dict[str, Any] = {
        "format": 1,
        "generations": list(accepted.generations),
        "highest_sequence": accepted.highest_sequence,
        "signatures": accepted.signatures,
        "transaction": accepted.transaction,
    }
    if accepted.newest:
        document["newest"] = accepted.newest
    if accepted.pins:
        document["pins"] = [vars(pin) for pin in accepted.pins]
    write_atomic(prefix.accepted, sealed.seal(document), 0o644)
