"""`state/audit.jsonl`: append-only and hash-chained; who did what when, from which bundle, and how it ended.

Facts name things (releases, digests, keys of the configuration) and never hold a value of the configuration or the
text of an error, so that no secret can get here.
"""

from __future__ import annotations

from typing import Protocol

from bundle import chaincheck, chainlog
from bundle.trust import Origin

from .paths import Prefix


class Described(Protocol):
    """What an entry says about a bundle; every source of one has it."""

    @property
    def digest(self) -> str:
        """The manifest's SHA-256."""

    @property
    def origin(self) -> Origin:
        """What was established about the signers."""


def actor() -> str:
    """Return the person behind the process as well as the system tells: the user, and who called sudo."""
    return chainlog.stamp()["actor"]


def record(prefix: Prefix, action: str, outcome: str, **facts: object) -> None:
    """Append one entry; when, who and where are added. Another writer is waited for.

    Args:
        prefix: the installation.
        action: what was done: ``install``, ``rollback``, ``recovery:restart`` …
        outcome: ``ok``, or the reference of the error it ended with.
        facts: more of it; no values of the configuration.

    Raises:
        OSError: it could not be written; the caller decides whether that matters at this point.
    """
    chainlog.append(prefix.state, {"action": action, "outcome": outcome, **facts})


def provenance(bundle: Described) -> dict[str, object]:
    """Return the facts about the bundle that something was made from."""
    signers = sorted({signer.key.fingerprint for signer in bundle.origin.signers})
    return {"manifest": bundle.digest, "origin": bundle.origin.status, "signers": signers}


def read(prefix: Prefix) -> chaincheck.Log:
    """Read the log and check its chain.

    Raises:
        OSError: a file cannot be read.
    """
    return chaincheck.read(prefix.state)
