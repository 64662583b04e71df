"""The registration of the service with its manager: what it should be, and what drop-ins add to it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple, Optional, Tuple

from bundle import layout
from validator.host import commands
from validator.subject import Subject, Unreadable, read_limited

# Part of the generation's own installer; releases before it do not say what they register.
SCRIPT = Path(layout.SCRIPTS) / "installer" / "registration.py"
NOTHING = 3
# Where systemd looks for drop-ins of a unit, most important first (systemd.unit(5)); what a distribution ships for
# every service lies in /usr/lib and is not ours to judge.
SYSTEM_FOLDERS = tuple(
    map(
        Path,
        (
            "/etc/systemd/system.control",
            "/run/systemd/system.control",
            "/etc/systemd/system",
            "/run/systemd/system",
        ),
    )
)
# What a local drop-in may set without making the service less safe or another one: resources, restarts, order.
_HARMLESS = """
After Before Wants Requires BindsTo PartOf Conflicts Description Documentation OnFailure
StartLimitIntervalSec StartLimitBurst StartLimitInterval Restart RestartSec TimeoutSec
TimeoutStartSec TimeoutStopSec TasksMax TasksAccounting Nice CPUWeight CPUShares CPUQuota
CPUQuotaPeriodSec CPUAffinity CPUAccounting AllowedCPUs CPUSchedulingPolicy CPUSchedulingPriority
NUMAPolicy NUMAMask MemoryMax MemoryHigh MemoryLow MemoryMin MemorySwapMax MemoryLimit
MemoryAccounting IOWeight IOAccounting IOSchedulingClass IOSchedulingPriority BlockIOWeight
IPAccounting IODeviceWeight IOReadBandwidthMax IOWriteBandwidthMax OOMPolicy OOMScoreAdjust Slice
LogLevelMax LogRateLimitIntervalSec LogRateLimitBurst LogNamespace SyslogIdentifier SyslogFacility
SyslogLevel LimitNOFILE LimitNPROC LimitMEMLOCK LimitAS LimitCPU LimitSTACK WantedBy RequiredBy
Alias InaccessiblePaths ReadOnlyPaths IPAddressDeny SystemCallLog
"""
HARMLESS = frozenset(_HARMLESS.split())


class Registration(NamedTuple):
    """What should stand where: ``kind`` is ``file``, ``line`` (of a crontab) or ``none``."""

    manager: str
    kind: str
    place: str
    text: str
    found: str


class Unsaid(Exception):
    """The installer of this generation could not say it; the message is why. ``absent``: there is nothing to say."""

    def __init__(self, why: str, *, absent: bool = False) -> None:
        super().__init__(why)
        self.absent = absent


def expected(subject: Subject) -> Registration:
    """Ask the active generation's installer what it would register now.

    It is asked as a program of its own, as the user whose registration it is: the validator knows nothing about units.

    Raises:
        Unsaid: it does not say.
    """
    script = subject.generation / "tools" / SCRIPT if subject.generation else None
    if script is None or not script.is_file() or subject.python is None:
        raise Unsaid("this release's installer does not say what it registers", absent=True)
    environment = {key: os.environ[key] for key in ("PATH", "HOME", "RAGTRACE_CRONTAB") if key in os.environ}
    done = commands.run(
        [str(subject.python), "-I", "-S", "-B", str(script), str(subject.prefix)],
        timeout_s=15,
        environment={"LANG": "C.UTF-8", **environment},
        owner=_owner(subject.prefix),
        folder=Path("/"),
        tied=True,
    )
    if done.code == NOTHING:
        raise Unsaid("no service is registered", absent=True)
    if done.code != 0:
        raise Unsaid(done.complaint or f"exit {done.code}")
    try:
        told = json.loads(done.output)
        return Registration(
            *(str(told[name] or "") for name in ("manager", "kind", "place", "text", "found"))
        )
    except (ValueError, KeyError, TypeError) as error:
        raise Unsaid(f"unreadable answer: {str(error)[:200]}") from error


def _owner(prefix: Path) -> Optional[Tuple[int, int]]:
    """Return who has the registration when that is not us, and we may become that user."""
    facts = os.stat(prefix)
    return (facts.st_uid, facts.st_gid) if os.geteuid() == 0 and facts.st_uid != 0 else None


def changed_lines(wanted: str, found: str) -> List[str]:
    """Return the names of the settings in which two units differ; nothing of their values."""
    before, after = wanted.splitlines(), found.splitlines()
    odd = [line for line in after if line not in before] + [line for line in before if line not in after]
    names = [line.partition("=")[0].strip()[:60] for line in odd if not line.startswith("#") and line.strip()]
    return list(dict.fromkeys(names)) or ["order of lines or comments"]


def drop_ins(unit: Path, folders: Tuple[Path, ...] = SYSTEM_FOLDERS) -> Iterator[Path]:
    """Yield the drop-ins of a unit; for a user's own unit only those beside it."""
    places = dict.fromkeys([unit.parent, *(folders if unit.parent in folders else ())])
    for folder in places:
        yield from sorted((folder / (unit.name + ".d")).glob("*.conf"))


def loosened(text: str, wanted: str) -> List[str]:
    """Return the settings of a drop-in that change what is protected or what is run.

    Saying again what the unit says, and what only limits resources, is left to the operator.
    """
    same = {line.strip() for line in wanted.splitlines()}
    found = []
    for line in _logical_lines(text):
        name, mark, value = (part.strip() for part in line.partition("="))
        # Empty takes back what was set before; of what only adds up, that is a loosening.
        reset = name in ("IPAddressDeny", "InaccessiblePaths", "ReadOnlyPaths") and not value
        if mark and (name not in HARMLESS or reset) and line.strip() not in same:
            found.append(name[:60])
    return list(dict.fromkeys(found))


def _logical_lines(text: str) -> Iterator[str]:
    """Yield lines with a backslash at their end joined, comments and section names left out (systemd.syntax(7))."""
    waiting = ""
    for line in text.splitlines():
        stripped = line.strip()
        if stripped.startswith(("#", ";")) or (not waiting and (not stripped or stripped.startswith("["))):
            continue
        if stripped.endswith("\\"):
            waiting += stripped[:-1] + " "
            continue
        yield waiting + stripped
        waiting = ""
    if waiting:
        yield waiting


def read_drop_ins(
    unit: Path, wanted: str, folders: Tuple[Path, ...] = SYSTEM_FOLDERS
) -> Dict[str, List[str]]:
    """Return what each drop-in loosens, by its path; one that cannot be read counts as doing so."""
    found: Dict[str, List[str]] = {}
    for path in drop_ins(unit, folders):
        try:
            names = loosened(read_limited(path).decode("utf-8", "replace"), wanted)
        except Unreadable:
            names = ["unreadable"]
        if names:
            found[str(path)] = names
    return found
