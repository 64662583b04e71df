"""`--start` and `--stop`."""

from __future__ import annotations

import argparse

from ..console import Console
from ..operations.control import control
from ..paths import Prefix
from .common import report_done


def run(options: argparse.Namespace, prefix: Prefix, console: Console) -> int:
    """Carry out the command."""
    report_done(control(prefix, options.start, console), prefix, console)
    return 0
