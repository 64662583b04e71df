"""Run the command line as ``python -m ragtrace``."""

from __future__ import annotations

from ragtrace.entrypoints.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
