"""Look at the embedded vectors from outside: what each generation was made for, how far it is, and who has it open."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from ragtrace.adapters.vectors import files
from ragtrace.application.inspection import VectorFacts
from ragtrace.errors import StorageProblem


def generations(
    folder: Path, holder: Callable[[os.stat_result], int | None], changed: Iterable[float]
) -> tuple[VectorFacts, ...]:
    """Return the generations below a folder, the oldest first; no lock is taken and none waited for.

    Args:
        folder: of the vectors.
        holder: says which process holds the lock on a file; 0 for one that is not shown, None for nobody.
        changed: when the records were written to; an index that lags behind them is not quiet before.
    """
    latest = max(changed, default=0.0)
    return tuple(_facts(path, holder, latest) for path in sorted(folder.glob("g-*")) if path.is_dir())


def _facts(path: Path, holder: Callable[[os.stat_result], int | None], latest: float) -> VectorFacts:
    try:
        fingerprint = str((files.read_json(path / files.GENERATION) or {}).get("fingerprint", ""))
        mark = files.read_mark(path)
    except StorageProblem as problem:
        raise PermissionError(13, "Permission denied", str(path)) from problem
    written = max((_time(path / name) for name in (files.MARK, files.GENERATION)), default=0.0)
    try:
        owner = holder((path / files.OWNER).stat())
    except FileNotFoundError:
        owner = None
    return VectorFacts(path.name, fingerprint, mark, owner, max(0.0, time.time() - max(latest, written)))


def _time(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
