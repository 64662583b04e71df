"""Without another command: install or upgrade."""

from __future__ import annotations

import argparse

from ..console import Console
from ..operations.install import decide, install, verify
from ..paths import Prefix
from .common import anchors_of, bundle_of, print_plan, report_done, request_of


def run(options: argparse.Namespace, prefix: Prefix, console: Console) -> int:
    """Carry out the command."""
    request = request_of(options)
    trusted = anchors_of(options, prefix)
    if options.dry_run:
        bundle = verify(bundle_of(options), trusted, options.allow_unverified_origin, console)
        print_plan(decide(prefix, bundle, request).plan, prefix, console)
        return 0
    done = install(prefix, bundle_of(options), trusted, options.allow_unverified_origin, request, console)
    report_done(done, prefix, console)
    return 0
