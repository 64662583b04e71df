"""``python -m builder``: the command line, inside the prepared environment."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
