"""`--status`."""

from __future__ import annotations

import argparse

from ..console import Console
from ..paths import Prefix
from ..status import describe, status
from ..trust_store import revocation_warnings, revoked_releases


def run(options: argparse.Namespace, prefix: Prefix, console: Console) -> int:
    """Carry out the command."""
    document = status(prefix)
    document["revoked_releases"] = [
        {"generation": name, **vars(revoked)} for name, revoked in revoked_releases(prefix)
    ]
    for warning in revocation_warnings(prefix):
        console.warn(warning)
    console.report(describe(document), document)
    return 0
