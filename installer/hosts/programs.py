"""How a host adapter runs the programs of its service manager; tests give it recorded answers instead."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Mapping, Protocol, Sequence

from bundle.atomic import patiently

from ..children import minimal_environment
from .interface import ServiceDefinition, ServiceError

TIMEOUT_S = 180


class Run(Protocol):
    """Runs one program to its end."""

    def __call__(self, command: Sequence[str], stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """Return how it ended and what it said."""


class Programs:
    """Runs programs with a bare environment and the variables given here."""

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self.environment = environment or {}

    def __call__(self, command: Sequence[str], stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """Return how it ended and what it said."""
        return subprocess.run(
            list(command), input=stdin, capture_output=True, timeout=TIMEOUT_S, check=False,
            env=minimal_environment(self.environment), start_new_session=True,
        )  # fmt: skip


def call(run: Run, *command: str, stdin: bytes = b"") -> str:
    """Run a program that has to succeed and return what it wrote.

    Raises:
        ServiceError: it is not there, does not end, or fails; with what it said.
    """
    try:
        done = run(command, stdin)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ServiceError(f"{' '.join(command)}: {error}") from error
    if done.returncode != 0:
        said = (done.stderr or done.stdout).decode("utf-8", "replace").strip()
        raise ServiceError(f"{' '.join(command)}: {said or done.returncode}")
    return done.stdout.decode("utf-8", "replace")


def succeeds(run: Run, *command: str) -> bool:
    """Return whether a program says yes by its exit status; one that is not there says no."""
    try:
        return run(command).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def carried(definition: ServiceDefinition, name: str) -> Path:
    """Return a script of this package as it lies in the generation: what a service manager starts later must not
    lie on the medium the bundle came on."""
    folder = definition.home / "generations" / definition.generation / "tools" / "04_Scripts"
    return folder / "installer" / "hosts" / name


def rotate(log: Path, limit: int = 16 * 1024 * 1024) -> None:
    """Put a long log aside before a service begins to write to it again."""
    try:
        if log.stat().st_size > limit:
            patiently(lambda: os.replace(log, log.with_name(log.name + ".1")))
    except FileNotFoundError:
        return
