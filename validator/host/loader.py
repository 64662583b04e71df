"""Which shared libraries this host's loader finds by itself."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Set

from validator.host import commands

_FOLDERS = ("/lib64", "/usr/lib64", "/lib", "/usr/lib", "/usr/local/lib")


def system_libraries() -> Set[str]:
    """Return the names that the loader finds by itself: its cache where it can be asked, and the usual folders."""
    names: Set[str] = set()
    program = next(
        (place for place in ("/sbin/ldconfig", "/usr/sbin/ldconfig") if os.access(place, os.X_OK)), ""
    )
    if program:
        done = commands.run([program, "-p"], timeout_s=10, environment={"LC_ALL": "C"})
        names = {line.split()[0] for line in done.output.splitlines() if "=>" in line and line.split()}
    folders = [Path(folder) for folder in _FOLDERS]
    for folder in [*folders, *Path("/usr/lib").glob("*-linux-*"), *Path("/lib").glob("*-linux-*")]:
        try:
            names.update(name for name in os.listdir(folder) if ".so" in name)
        except OSError:
            continue
    return names
