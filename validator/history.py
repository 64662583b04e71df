"""What this host measured before: `<prefix>/state/validator-history.jsonl`, one line a run, for comparison only.

Kept by whoever may write there (root, or the installation's owner), readable by the installation's owner alone. A line
that is damaged, or too long, is as if it were not there; nothing that goes wrong here changes a finding.
"""

from __future__ import annotations

import json
import math
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Dict, List, Mapping, NamedTuple, Optional, Sequence

from bundle.atomic import write_atomic
from bundle.expectations import EXPECTATIONS
from validator import limits
from validator.model import Result
from validator.subject import Subject, Unreadable, read_limited

FILE = "validator-history.jsonl"
# Runs that are kept, and how many of them a median needs to mean something.
RUNS = 50
ENOUGH = 5


class Run(NamedTuple):
    """One earlier run: when (UTC), which release, and what was measured by key of ``bundle.expectations``."""

    at: str
    release: str
    figures: Mapping[str, float]


class Median(NamedTuple):
    """What the earlier runs of the same release say of one figure."""

    value: float
    runs: int


def release_of(subject: Subject) -> str:
    """Return what earlier runs must agree in to be comparable: version and profile of the active release."""
    made = subject.manifest
    return f"{made.version} {made.profile}" if made is not None and subject.generation is not None else ""


def read(subject: Subject) -> List[Run]:
    """Return the earlier runs of any release, oldest first; none where there is no file that can be read."""
    try:
        lines = read_limited(_place(subject)).split(b"\n")
    except Unreadable:
        return []
    return [run for run in map(_run, lines) if run is not None][-RUNS:]


def _run(line: bytes) -> Optional[Run]:
    try:
        item = json.loads(line.decode("utf-8"))
        figures = {key: float(item["figures"][key]) for key in EXPECTATIONS if key in item["figures"]}
        at, release = item["at"], item["release"]
    except (ValueError, KeyError, TypeError, RecursionError, OverflowError):
        return None
    sound = all(math.isfinite(value) and value > 0 for value in figures.values())
    return Run(at, release, figures) if sound and isinstance(at, str) and isinstance(release, str) else None


def median(subject: Subject, key: str) -> Optional[Median]:
    """Return the median of a figure over the earlier runs of this release, when they are enough."""
    if "history" not in subject.remembered:
        subject.remembered["history"] = read(subject)
    runs: List[Run] = subject.remembered["history"]
    release = release_of(subject)
    values = [run.figures[key] for run in runs if run.release == release and key in run.figures]
    return Median(statistics.median(values), len(values)) if len(values) >= ENOUGH else None


def append(subject: Subject, results: Sequence[Result]) -> bool:
    """Add what this run measured; tell whether it was written. Without permission there is no history."""
    figures: Dict[str, float] = {}
    for result in results:
        for key, value in result.outcome.figures.items():
            known = EXPECTATIONS.get(key)
            # The figures of a check that is not the one that measures them are somebody's joke.
            if known is not None and known.check == result.check.id and math.isfinite(value) and value > 0:
                figures[key] = float(f"{value:.6g}")
    release, place = release_of(subject), _place(subject)
    if not figures or not release or not _is_ours(place.parent):
        return False
    now = Run(time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), release, figures)
    kept = [*read(subject), now][-RUNS:]
    data = "".join(json.dumps(run._asdict(), sort_keys=True, ensure_ascii=False) + "\n" for run in kept)
    try:
        if len(data) > limits.STATE_FILE_BYTES:
            return False
        write_atomic(place, data.encode("utf-8"), mode=0o600)
        _give_back(place)
    except OSError:
        # A full or read-only disk is another check's finding.
        return False
    return True


def _place(subject: Subject) -> Path:
    return subject.prefix / "state" / FILE


def _is_ours(folder: Path) -> bool:
    """Tell whether this user may keep the file: root or the owner of the folder, which is no link."""
    try:
        facts = os.lstat(folder)
    except OSError:
        return False
    if not os.path.isdir(folder) or os.path.islink(folder) or not os.access(folder, os.W_OK):
        return False
    return sys.platform == "win32" or os.geteuid() in (0, facts.st_uid)


def _give_back(place: Path) -> None:
    """Give a file that root wrote to the owner of the folder, so that the next run may be theirs."""
    if sys.platform != "win32" and os.geteuid() == 0:
        facts = os.lstat(place.parent)
        if facts.st_uid != 0:
            os.chown(place, facts.st_uid, facts.st_gid, follow_symlinks=False)
