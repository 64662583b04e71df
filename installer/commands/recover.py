"""`--recover`: finish or undo what an earlier run left, and do nothing else."""

from __future__ import annotations

import argparse

from bundle.text import Text

from ..console import Console
from ..operations.session import opened, record, require_installation
from ..paths import Prefix
from ..state import read_state


def run(options: argparse.Namespace, prefix: Prefix, console: Console) -> int:
    """Carry out the command: whatever every other command does first."""
    require_installation(prefix)
    with opened(prefix, console, action="recover"):
        current = read_state(prefix).pointer
        name = current.generation if current is not None else ""
        record(prefix, console, "recover", "ok", to=name)
    document = {"ok": True, "action": "recover", "prefix": str(prefix.root), "generation": name or None}
    shown = name or "-"
    console.report(Text(f"복구를 마쳤습니다: {shown}", f"recovered: {shown}"), document)
    return 0
