"""A copy of this program outside the installation that it puts right.

A repair replaces the very release that the assistant may have been started from; it, and the checks that it runs
afterwards, must not lose their files half-way.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Sequence

from bundle import layout
from recovery.engine import wait
from validator.subject import find_prefix

# Where the operator started the assistant; only ever shown.
STARTED = "RAGTRACE_RECOVERY_STARTED"
SCRIPT = "recovery_assistant.py"


def needed(home: Path) -> bool:
    """Whether the entry's folder is part of an installed release."""
    return find_prefix(home) is not None


def run(home: Path, words: Sequence[str]) -> int:
    """Run the same command from a copy, with this terminal, and return its exit code.

    Raises:
        OSError: there is no room for a few megabytes in the temporary folder.
    """
    with tempfile.TemporaryDirectory(prefix="ragtrace-recovery-") as name:
        place = Path(name)
        # Parts of it are run as the service's user.
        place.chmod(0o755)
        skipped = shutil.ignore_patterns("__pycache__", "*.pyc")
        shutil.copytree(home, place / layout.VERIFICATION, ignore=skipped)
        shutil.copytree(
            home.parent / layout.SCRIPTS / "bundle", place / layout.SCRIPTS / "bundle", ignore=skipped
        )
        argv = [sys.executable, "-B", str(place / layout.VERIFICATION / SCRIPT), *words]
        if not any(word == "--prefix" or word.startswith("--prefix=") for word in words):
            argv += ["--prefix", str(find_prefix(home))]
        process = subprocess.Popen(argv, env={**os.environ, STARTED: os.path.abspath(sys.argv[0])})
        wait(process)
        return process.returncode
