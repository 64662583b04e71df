"""`--verify`: the installed files against their receipts."""

from __future__ import annotations

import argparse

from bundle.text import Text

from ..console import Console
from ..paths import Prefix
from ..status import verify_installed
from ..trust_store import revocation_warnings


def run(options: argparse.Namespace, prefix: Prefix, console: Console) -> int:
    """Carry out the command."""
    document = verify_installed(prefix, console)
    warnings = revocation_warnings(prefix)
    for warning in warnings:
        console.warn(warning)
    if warnings:
        document["warnings"] = [warning.to(console.lang) for warning in warnings]
    console.report(Text("설치된 파일이 온전합니다", "the installation is intact"), document)
    return 0
