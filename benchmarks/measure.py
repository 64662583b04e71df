"""Timing of whole processes: wall seconds and peak memory, alternately for the two sides of a pair."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Run:
    """One finished process: wall seconds and the peak memory in MB of it or any child it waited for."""

    seconds: float
    peak_mb: float


@dataclass(frozen=True)
class Command:
    """A command line, its folder and extra environment; `prepare` runs before each timing, untimed.

    `operator` is for what runs on an isolated host, whose shell knows nothing of the build box's package sources.
    """

    words: Sequence[str]
    cwd: Path
    environment: Mapping[str, str] | None = None
    prepare: Callable[[], object] | None = None
    operator: bool = False


@dataclass(frozen=True)
class Pair:
    """Medians of both sides and the median of the ratios ours/theirs, pair by pair."""

    ours: Run
    theirs: Run
    ratio: float
    lowest: float
    highest: float


def run(command: Command) -> Run:
    """Run once and wait.

    Raises:
        RuntimeError: it failed; a failed run has no time.
    """
    if command.prepare is not None:
        command.prepare()
    # Bytecode is kept between runs on a user's machine, whatever the developer's shell says.
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "", **(command.environment or {})}
    if command.operator:
        environment = {
            key: value for key, value in environment.items() if not key.startswith(("PIP_", "UV_"))
        }
    begun = time.perf_counter()
    process = subprocess.Popen(
        command.words, cwd=command.cwd, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - begun
    process.returncode = os.waitstatus_to_exitcode(status)
    process.stderr.close()
    if process.returncode:
        raise RuntimeError(f"{' '.join(command.words)} failed:\n{errors.decode(errors='replace')}")
    return Run(seconds, usage.ru_maxrss / 1024)


def paired(ours: Command, theirs: Command, times: int = 5) -> Pair:
    """Run both alternately to their ends, A B A B …, after one warm-up each, and compare pair by pair."""
    return alternated(lambda: run(ours), lambda: run(theirs), times)


def alternated(ours: Callable[[], Run], theirs: Callable[[], Run], times: int) -> Pair:
    """Do the same with what is timed in another way than to the end of a process."""
    ours()
    theirs()
    pairs = [(ours(), theirs()) for _ in range(times)]
    ratios = [first.seconds / second.seconds for first, second in pairs]
    return Pair(
        _median([first for first, _ in pairs]),
        _median([second for _, second in pairs]),
        statistics.median(ratios),
        min(ratios),
        max(ratios),
    )


def _median(runs: Sequence[Run]) -> Run:
    return Run(statistics.median(item.seconds for item in runs), max(item.peak_mb for item in runs))
