"""`--rollback`."""

from __future__ import annotations

import argparse

from ..console import Console
from ..operations.rollback import rollback
from ..paths import Prefix
from .common import report_done


def run(options: argparse.Namespace, prefix: Prefix, console: Console) -> int:
    """Carry out the command."""
    report_done(rollback(prefix, options.rollback, console), prefix, console)
    return 0
