"""The `@reboot` line of an ordinary user's crontab: what brings a service back that nothing else starts."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Optional

from .interface import ServiceDefinition
from .programs import Run, call

# Where there is another crontab program, or none is to be used: then a path that does not exist.
PROGRAM_VARIABLE = "RAGTRACE_CRONTAB"
MARK = "# ragtrace-service="


def program() -> str:
    """Return the crontab program; nothing where there is none."""
    given = os.environ.get(PROGRAM_VARIABLE)
    if given is not None:
        return given if os.access(given, os.X_OK) else ""
    return shutil.which("crontab") or "" if sys.platform != "win32" else ""


def command_at_boot(definition: ServiceDefinition) -> str:
    """Return the shell line that starts the active release, whichever it is by then."""
    current = definition.home / "current"
    words = [current / "venv" / "bin" / "python", "-I", "-B", current / "tools" / "04_Scripts" / "install.py"]
    return " ".join(shlex.quote(str(word)) for word in [*words, "--prefix", definition.home, "--start"])


def line_for(definition: ServiceDefinition) -> str:
    """Return the crontab's line; a percent sign would be a line break to cron."""
    log = shlex.quote(str(definition.log.with_name("boot.log")))
    line = f"@reboot {command_at_boot(definition)} >>{log} 2>&1 {MARK}{definition.name}"
    return line.replace("%", "\\%")


class Crontab:
    """This user's crontab. A line of ours is found again by the service's name at its end."""

    def __init__(self, run: Run, path: str) -> None:
        self.run = run
        self.path = path

    def register(self, definition: ServiceDefinition) -> bool:
        """Write the line unless it is there; return whether it is there now."""
        wanted = line_for(definition)
        if not self.path or "\n" in wanted:
            return False
        lines = self._lines()
        if lines is None:
            return False
        if wanted not in lines:
            self._write([*_without(lines, definition.name), wanted])
        return True

    def registered(self, definition: ServiceDefinition) -> bool:
        """Return whether the line is there."""
        return bool(self.path) and line_for(definition) in (self._lines() or ())

    def lines_of(self, name: str) -> Optional[list[str]]:
        """Return what stands there for this service; None where this user may have no crontab."""
        lines = self._lines() if self.path else None
        return None if lines is None else [line for line in lines if line.endswith(MARK + name)]

    def remove(self, name: str) -> None:
        """Take the line out, and nothing else."""
        lines = self._lines() if self.path else None
        if lines and _without(lines, name) != lines:
            self._write(_without(lines, name))

    def _lines(self) -> Optional[list[str]]:
        """Return the crontab's lines; None where this user may have none."""
        try:
            shown = self.run([self.path, "-l"])
        except (OSError, subprocess.TimeoutExpired):
            return None
        if shown.returncode == 0:
            return shown.stdout.decode("utf-8", "surrogateescape").splitlines()
        said = shown.stderr.decode("utf-8", "replace")
        return [] if "no crontab" in said or "No such file" in said else None

    def _write(self, lines: list[str]) -> None:
        if not lines:
            call(self.run, self.path, "-r")
            return
        call(self.run, self.path, "-", stdin=("\n".join(lines) + "\n").encode("utf-8", "surrogateescape"))


def _without(lines: list[str], name: str) -> list[str]:
    return [line for line in lines if not line.endswith(MARK + name)]


def cron_runs(proc: Path = Path("/proc")) -> bool:
    """Return whether a cron daemon is at work (Linux); elsewhere it is taken for granted."""
    if not sys.platform.startswith("linux"):
        return True
    for process in proc.glob("[0-9]*/comm"):
        try:
            if process.read_text().strip() in ("cron", "crond", "fcron", "dcron"):
                return True
        except OSError:
            continue
    return False
