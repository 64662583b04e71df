"""The advisory snapshots that this installation has: the one its release carried, and the one brought in since."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, Optional

from bundle import limits, renewal
from bundle.atomic import write_atomic
from bundle.errors import RagTraceError
from bundle.renewal import VerifiedRenewal
from bundle.trust import Anchors
from bundle.trustrecords import Carried
from bundle.verify import read_capped

from . import trust_store
from .filesystem import make_directory
from .paths import Prefix


@dataclass(frozen=True)
class Held:
    """The renewed snapshot that is there: verified, or why it is not believed."""

    verified: Optional[VerifiedRenewal] = None
    problem: Optional[RagTraceError] = None

    @property
    def date(self) -> str:
        """Its date; empty where there is none that is believed."""
        return self.verified.renewal.date if self.verified is not None else ""


def held(prefix: Prefix, anchors: Anchors) -> Held:
    """Return the renewed snapshot; one that does not verify now says why, and stops nobody from bringing another."""
    try:
        data = read_capped(prefix.renewal, limits.RENEWAL_BYTES)
        if data is None:
            return Held()
        return Held(renewal.judge(renewal.unstored(data, "trust/advisories.json"), anchors))
    except NotADirectoryError:
        return Held()
    except RagTraceError as error:
        return Held(problem=error)


def write(prefix: Prefix, carried: Carried) -> None:
    """Replace the renewed snapshot, signatures included, in one step."""
    make_directory(prefix.trust)
    write_atomic(prefix.renewal, renewal.stored(carried), 0o644)


def described(prefix: Prefix, released: str) -> Dict[str, Any]:
    """Return the dates of the release's snapshot and of the renewed one for ``--status``, and why the renewed one
    is not believed."""
    try:
        found = held(prefix, trust_store.anchors(prefix, "", ()))
    except RagTraceError as error:
        found = Held(problem=error) if prefix.renewal.exists() else Held()
    problem = None if found.problem is None else found.problem.summary._asdict()
    return {"released": released or None, "renewed": found.date or None, "problem": problem}
