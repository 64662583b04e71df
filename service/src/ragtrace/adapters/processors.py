"""How many threads a computation should have on this host, and how much memory is left for it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_CPUS = Path("/sys/devices/system/cpu")
_CGROUPS = Path("/sys/fs/cgroup")
_OWN_GROUP = Path("/proc/self/cgroup")
_MEMORY = Path("/proc/meminfo")
# Analyzers and parsers gain little from more, and each worker takes memory.
_WORKERS = 8


def threads_for(wanted: int) -> int:
    """Return `wanted`, or for 0 what this process may use: whole cores of its processors, within its CPU quota.

    Two threads of one core share its arithmetic units: a matrix product gains nothing from the second.
    """
    if wanted > 0:
        return wanted
    return max(1, min(_cores(_processors()), _quota()))


def workers_for(wanted: int) -> int:
    """Return `wanted`, or for 0 how many workers may share this process's processors and its CPU quota; at most 8.

    Workers that read and wait do use the second thread of a core.
    """
    if wanted > 0:
        return wanted
    return max(1, min(len(_processors()), _quota(), _WORKERS))


def _processors() -> set[int]:
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return set(range(os.cpu_count() or 1))


def _cores(processors: set[int]) -> int:
    """Return how many cores they are; each counts as one where the system does not say."""
    cores = set()
    for number in processors:
        siblings = str(number)
        with suppress(OSError):
            siblings = (_CPUS / f"cpu{number}/topology/thread_siblings_list").read_text("ascii").strip()
        cores.add(siblings)
    return len(cores)


def _quota() -> int:
    """Return the least whole number of processors that the quotas of this control group (v2) and its parents leave."""
    least = os.cpu_count() or 1
    for group in _groups():
        with suppress(OSError, ValueError):
            quota, period = (group / "cpu.max").read_text("ascii").split()
            if quota != "max":
                least = min(least, max(1, int(quota) // int(period)))
    return least


def free_memory() -> int | None:
    """Return the bytes that can be had without swapping or being killed; None where the system does not say."""
    found = []
    with suppress(OSError, ValueError):
        for line in _MEMORY.read_text("ascii").splitlines():
            if line.startswith("MemAvailable:"):
                found.append(int(line.split()[1]) << 10)
    for group in _groups():
        with suppress(OSError, ValueError):
            most = (group / "memory.max").read_text("ascii").strip()
            if most != "max":
                found.append(max(0, int(most) - int((group / "memory.current").read_text("ascii"))))
    return min(found, default=None)


def _groups() -> Iterator[Path]:
    """Yield this process's control group (v2) and those above it."""
    own = ""
    with suppress(OSError):
        lines = _OWN_GROUP.read_text("utf-8").splitlines()
        own = next((line[3:] for line in lines if line.startswith("0::")), "")
    group = _CGROUPS / own.lstrip("/")
    for place in (group, *group.parents):
        yield place
        if place == _CGROUPS:
            return
