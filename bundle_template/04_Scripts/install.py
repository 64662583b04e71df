#!/usr/bin/env python3
"""Install this bundle: a thin entry to `installer.cli`. Its syntax is valid for every Python, old ones too."""

import os
import sys


def main():  # type: () -> int  # noqa: ANN201
    """Check the interpreter, then hand over."""
    if sys.version_info < (3, 9):  # noqa: UP036
        sys.stderr.write(
            "error: Python 3.9 or newer is needed, this is %d.%d (%s).\n"
            "  next: sh install.sh, which uses the interpreter in the bundle\n"
            "(Python 3.9 or newer is needed / Python 3.9 isang-i pil-yohamnida)\n"
            % (sys.version_info[0], sys.version_info[1], sys.executable)
        )
        return 12
    # The bundle must not gain a single file: verification refuses extras.
    sys.dont_write_bytecode = True
    here = os.path.dirname(os.path.realpath(__file__))
    sys.path.insert(0, here)
    from pathlib import Path

    from installer.cli import main as run

    return run(script=Path(here) / "install.py")


if __name__ == "__main__":
    sys.exit(main())
