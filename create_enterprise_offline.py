#!/usr/bin/env python3
"""Make an offline bundle: `python create_enterprise_offline.py --help`. Sets itself up on the first run."""

import sys

if __name__ == "__main__":
    if sys.version_info < (3, 11):
        sys.exit(
            "error: Python 3.11 or newer is needed to build (this is %d.%d) / 빌드에는 Python 3.11 이상이 필요합니다"
            % sys.version_info[:2]
        )
    from builder import bootstrap

    sys.exit(bootstrap.run_inside("builder", sys.argv[1:]))
