"""Facts about the host: platform names as manifests write them, memory, processors, folders, times."""

from __future__ import annotations

import importlib
import os
import platform
import re
import sys
import time
from pathlib import Path
from typing import Dict, FrozenSet, Optional, Tuple

_SYSTEMS = {"Linux": "linux", "Darwin": "macos", "Windows": "windows"}
_ARCHITECTURES = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "aarch64", "arm64": "aarch64"}


def system() -> str:
    """Return the operating system as a manifest's target names it."""
    return _SYSTEMS.get(platform.system(), platform.system().lower())


def architecture() -> str:
    """Return the processor family as a manifest's target names it."""
    machine = platform.machine().lower()
    return _ARCHITECTURES.get(machine, machine)


def numbers(version: str) -> Tuple[int, ...]:
    """Return the leading numbers of a version for comparison."""
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


def minor(version: str) -> str:
    """Return ``3.11`` of ``3.11.7``."""
    return ".".join(version.split(".")[:2])


def usable_cpus() -> int:
    """Return the processors this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cpu_flags(source: Path = Path("/proc/cpuinfo")) -> Optional[FrozenSet[str]]:
    """Return the instruction sets of an x86 processor, or nothing when this system does not list them."""
    try:
        text = source.read_text("utf-8", "replace")
    except OSError:
        return None
    match = re.search(r"^flags\s*:\s*(.*)$", text, re.MULTILINE)
    return frozenset(match.group(1).split()) if match else None


def memory_bytes(proc: Path = Path("/proc"), cgroup: Path = Path("/sys/fs/cgroup")) -> Tuple[int, int]:
    """Return total and available memory, a smaller control group limit included. Zero means unknown."""
    try:
        lines = (proc / "meminfo").read_text("ascii").splitlines()
    except OSError:
        return _memory_elsewhere()
    table: Dict[str, int] = {}
    for line in lines:
        name, _, rest = line.partition(":")
        fields = rest.split()
        if fields and fields[0].isdigit():
            table[name] = int(fields[0]) * 1024
    total, available = table.get("MemTotal", 0), table.get("MemAvailable", 0)
    limit = _number(cgroup / "memory.max")
    if limit and limit < total:
        used = _number(cgroup / "memory.current") or 0
        total, available = limit, min(available, max(limit - used, 0))
    return total, available


def _number(path: Path) -> Optional[int]:
    try:
        text = path.read_text("ascii").strip()
    except (OSError, UnicodeError):
        return None
    return int(text) if text.isdigit() else None


def _memory_elsewhere() -> Tuple[int, int]:
    try:
        psutil = importlib.import_module("psutil")
    except ImportError:
        return 0, 0
    memory = psutil.virtual_memory()
    return int(memory.total), int(memory.available)


def nearest_existing(path: Path) -> Path:
    """Return *path* or the nearest folder above it that exists."""
    for candidate in (path, *path.parents):
        if candidate.is_dir():
            return candidate
    return Path(path.anchor or ".")


def utc(moment: float) -> str:
    """Return a time as ISO 8601 in UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))


def runs_as_root() -> bool:
    """Tell whether this process is root (never on Windows)."""
    return sys.platform != "win32" and os.geteuid() == 0
