"""Become the service in this very process: run as a script by launchd, which can neither read an environment file nor
be told to; never imported by the product.

The operator's secrets are thus read at each start, and do not lie in a property list that everybody may read.
Arguments: the environment file, then the command. Run with ``-I -S -B`` out of the generation's own tools.
"""

from __future__ import annotations

import os
import sys


def main(arguments: list[str]) -> int:
    """Read the file and execute; only returns after a failure."""
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
    from pathlib import Path

    from installer.settings import read_variables

    settings, command = arguments[0], arguments[1:]
    try:
        environment = {**os.environ, **read_variables(Path(settings))}
        os.execve(command[0], command, environment)
    except OSError as error:
        sys.stderr.write("cannot start: %s\n" % error)
    return 4


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
