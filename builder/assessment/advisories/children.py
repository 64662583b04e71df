"""Child processes of advisory tools: several at once, all under one deadline, none outliving its caller."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

# A tool's import costs more CPU than its questions; more at once than this only makes them wait for each other.
PARALLEL = 4
OUTPUT_BYTES = 16 * 1024 * 1024
_POLL_S = 0.02


@dataclass(frozen=True)
class Ended:
    """How a child ended: its exit code (None: stopped at the deadline), and what it wrote."""

    code: int | None
    output: bytes
    errors: str

    @property
    def complaint(self) -> str:
        """Return the last line of its errors that says something."""
        if self.code is None:
            return "no answer in time"
        lines = [line.strip() for line in self.errors.splitlines() if line.strip()]
        return lines[-1] if lines else f"ended with code {self.code} and said nothing"


def run_all(
    commands: Sequence[Sequence[str]], environment: Mapping[str, str], work: Path, deadline: float
) -> list[Ended]:
    """Run the commands in `work`, a few at a time, and return how each ended, in order.

    What is not finished at `deadline` (of `time.monotonic`) is killed; so is everything on an exception.
    """
    children: list[_Child] = []
    try:
        while True:
            running = sum(child.process.poll() is None for child in children)
            if running == 0 and len(children) == len(commands):
                break
            if time.monotonic() > deadline:
                break
            if running < PARALLEL and len(children) < len(commands):
                children.append(_Child(commands[len(children)], environment, work, len(children)))
            else:
                time.sleep(_POLL_S)
        ended = [child.end() for child in children]
        return ended + [Ended(None, b"", "")] * (len(commands) - len(ended))
    finally:
        for child in children:
            child.end()


class _Child:
    """One running command; what it writes goes to files, so that no full pipe holds it up."""

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], work: Path, number: int
    ) -> None:
        self.files = [work / f"{number}.{name}" for name in ("out", "err")]
        with open(self.files[0], "wb") as output, open(self.files[1], "wb") as errors:
            self.process = subprocess.Popen(
                command,
                cwd=work,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
            )
        self.ended: Ended | None = None

    def end(self) -> Ended:
        if self.ended is None:
            stopped = self.process.poll() is None
            if stopped:
                self.process.kill()
            code = self.process.wait()
            output, errors = (_start(path) for path in self.files)
            self.ended = Ended(None if stopped else code, output, errors.decode("utf-8", "replace"))
        return self.ended


def _start(path: Path) -> bytes:
    with open(path, "rb") as stream:
        return stream.read(OUTPUT_BYTES)


def child_environment(*dropped: str) -> dict[str, str]:
    """Return this process's environment, proxies included, without the names that begin with `dropped`.

    The tools use `requests`, which knows neither the system's authorities nor SSL_CERT_FILE: it is told.
    """
    from ... import network

    kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    trusted = network.authorities()
    return {**kept, "REQUESTS_CA_BUNDLE": trusted} if trusted else kept
