"""Run the command line from the source tree: ``python cli.py --help``."""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":
    source = Path(__file__).resolve().parent / "src"
    if source.is_dir():
        sys.path.insert(0, str(source))
    from ragtrace.entrypoints.cli.main import main

    raise SystemExit(main())
