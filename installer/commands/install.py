"""Without another command: install or upgrade."""

from __future__ import annotations

import argparse

from ..console import Console
from ..operations.examination import examine
from ..operations.install import decide, install
from ..paths import Prefix
from .common import offer_of, print_plan, report_done, request_of


def run(options: argparse.Namespace, prefix: Prefix, console: Console) -> int:
    """Carry out the command."""
    request = request_of(options)
    offer = offer_of(options, prefix)
    if options.dry_run:
        print_plan(decide(prefix, examine(prefix, offer, console), request).plan, prefix, console)
        return 0
    report_done(install(prefix, offer, request, console), prefix, console)
    return 0
