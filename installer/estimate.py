"""How long a plan will take, about. Pure: bytes of each step, and rates that were measured on this host.

An estimate is told as "about N s" and never promised. Reading and hashing: the rate at which this run has just
verified the bundle. Writing: a fraction of it, stated below, since nothing has been written yet. A step that a
committed run on this host has noted in the journal takes as long as it took then, in proportion to its bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, Iterable, Mapping, Tuple

from bundle.text import Text

from .plan import Plan, PlannedStep

# Where nothing was measured: a slow disk, so that nobody waits longer than they were told.
HASH_BYTES_PER_S = 100e6
# Copying, unpacking and synchronising, as a part of the rate of hashing.
WRITE_SHARE = 0.25
# Files that a slow disk lets go in a second.
REMOVED_PER_S = 4000.0
# Steps whose time does not come from bytes, where no earlier run has noted it.
FIXED_S = {"unit": 0.5, "start": 1.0, "health": 5.0, "retire": 2.0, "environment": 2.0}
LEAST_S = 0.1


@dataclass(frozen=True)
class Took:
    """What a step took once: seconds, and the bytes it was about (0 where nobody noted them)."""

    seconds: float
    bytes: int = 0


@dataclass(frozen=True)
class Rate:
    """What is known about this host: bytes hashed in a second, and the steps of earlier runs."""

    hashed: float = HASH_BYTES_PER_S
    earlier: Mapping[str, Took] = field(default_factory=dict)

    @property
    def written(self) -> float:
        """Bytes written in a second."""
        return self.hashed * WRITE_SHARE


def rate(hashed: float, journal: Iterable[Mapping[str, Any]]) -> Rate:
    """Return what is known from the bytes hashed in a second (0 where nothing was measured) and the journal."""
    return Rate(hashed or HASH_BYTES_PER_S, learned(journal))


def learned(journal: Iterable[Mapping[str, Any]]) -> Dict[str, Took]:
    """Return what each step took in the last committed run that had it. A journal that makes no sense teaches
    nothing."""
    known: Dict[str, Took] = {}
    current: Dict[str, Took] = {}
    step, since, size = "", 0.0, 0
    for record in journal:
        event, moment = record.get("event"), record.get("time")
        if not isinstance(moment, (int, float)):
            continue
        if step and moment >= since:
            current[step] = Took(moment - since, size)
        step = ""
        if event == "begin":
            current = {}
        elif event == "step":
            noted = record.get("bytes")
            step, since = str(record.get("step")), moment
            size = noted if isinstance(noted, int) and noted > 0 else 0
        elif event == "end" and record.get("outcome") == "committed":
            known.update(current)
            current = {}
    return known


def seconds(plan: Plan, known: Rate) -> Tuple[float, ...]:
    """Return about how long each step of the plan takes."""
    return steps(plan.steps, known)


def steps(planned: Iterable[PlannedStep], known: Rate) -> Tuple[float, ...]:
    """Return about how long each step takes."""
    listed = tuple(planned)
    total = sum(step.bytes for step in listed)
    return tuple(_one(step, total, known) for step in listed)


def _one(step: PlannedStep, total: int, known: Rate) -> float:
    earlier = known.earlier.get(step.name)
    if earlier is not None and (not step.bytes or earlier.bytes):
        return earlier.seconds * (step.bytes / earlier.bytes if step.bytes and earlier.bytes else 1)
    fixed = FIXED_S.get(step.name, LEAST_S)
    if step.name == "receipt":
        # Everything that was written is read back.
        return fixed + total / known.hashed
    return fixed + step.bytes / known.written


def removal(files: int) -> float:
    """Return about how long it takes to remove so many files."""
    return LEAST_S + files / REMOVED_PER_S


def about(amount: float) -> Text:
    """Return a time as it is told."""
    if amount < 1:
        return Text("약 1초 이내", "less than about 1 s")
    if amount < 120:
        return Text(f"약 {amount:.0f}초", f"about {amount:.0f} s")
    return Text(f"약 {amount / 60:.0f}분", f"about {amount / 60:.0f} min")
