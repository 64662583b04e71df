"""`--rollback`."""

from __future__ import annotations

import argparse

from ..console import Console
from ..operations.rollback import decide, rollback
from ..operations.session import require_installation
from ..paths import Prefix
from .common import print_plan, report_done


def run(options: argparse.Namespace, prefix: Prefix, console: Console) -> int:
    """Carry out the command."""
    if options.dry_run:
        require_installation(prefix)
        print_plan(decide(prefix, options.rollback, options.restore_data).plan, prefix, console)
        return 0
    done = rollback(prefix, options.rollback, console, restore_data=options.restore_data)
    report_done(done, prefix, console)
    return 0
