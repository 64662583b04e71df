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

INCOMPLETE_EXIT = 5

if __name__ == "__main__":
    try:
        from validator.cli import main
    except KeyboardInterrupt:
        sys.exit(130)
    except (ImportError, SyntaxError, ValueError, OSError) as error:
        # A file of the validator is missing or cut off, so that nothing of ours can say it.
        sys.stderr.write(
            f"enterprise_validator.py: 검증기 파일이 없거나 손상되었습니다: {error}. 번들에 있는 06_Verification의 "
            "검증기를 쓰십시오.\nA file of the validator is missing or damaged, so there is no verdict: use the one in "
            "the bundle's 06_Verification.\n"
        )
        sys.exit(INCOMPLETE_EXIT)
    try:
        sys.exit(main(home=HERE))
    except KeyboardInterrupt:
        sys.exit(130)
