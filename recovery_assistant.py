#!/usr/bin/env python3
"""Explain and correct what a validator report found; the work is done in ``recovery``.

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
    from recovery.cli import main

    sys.exit(main(home=HERE))
