"""`ragtrace serve`: the HTTP service until it is told to stop."""

from __future__ import annotations

import argparse
import os

from ragtrace.bootstrap import Container
from ragtrace.entrypoints.cli.console import Console
from ragtrace.entrypoints.http import server


def serve(container: Container, _arguments: argparse.Namespace, _console: Console) -> int:
    """Run the HTTP service."""
    return server.serve(container, os.environ)
