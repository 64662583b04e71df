"""`--status`."""

from __future__ import annotations

import argparse

from ..console import Console
from ..paths import Prefix
from ..status import describe, status


def run(options: argparse.Namespace, prefix: Prefix, console: Console) -> int:
    """Carry out the command."""
    document = status(prefix)
    console.report(describe(document), document)
    return 0
