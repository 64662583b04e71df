#!/usr/bin/env python3
"""Check a host and what is installed on it; the work is done in ``validator``.

This very file also lies in ``06_Verification/`` of a bundle and of an installation, where ``bundle`` is
found in ``../04_Scripts``. It writes no byte code: a bundle with extra files is not the one that was signed.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.dont_write_bytecode = True
HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "04_Scripts")]

if __name__ == "__main__":
    try:
        from validator.cli import main

        sys.exit(main(home=HERE))
    except KeyboardInterrupt:
        sys.exit(130)
