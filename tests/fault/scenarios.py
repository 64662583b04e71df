"""The ways in which an installation is changed, each with its starting point and what has to come of it."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from bundle import chainlog
from bundle.hashing import sha256_file
from installer import advisory_store, trust_store

from .workshop import FOREIGN, SECRET, Snapshot, Start, Workshop, same

# What else is wrong; the last argument is True once the command has succeeded.
Look = Callable[[Workshop, Snapshot, bool], "list[str]"]
Find = Callable[[Sequence[str]], int]


def nothing_more(workshop: Workshop, begun: Snapshot, done: bool) -> list[str]:
    """Claim nothing beside what every scenario claims."""
    return []


def never(path: str) -> bool:
    """Tell nothing apart."""
    return False


@dataclass(frozen=True)
class Scenario:
    """A starting point and a command.

    `old` and `new` are the releases that may be active (a bundle's name, a release's name, "" for none), `goal`
    the one that is active and answers when all is over. `code` is the exit code of a run that nothing disturbs,
    `again` those of one after a fault. `own` are the treasures that the command itself changes: half-way nothing
    is said about them. `look` says what else is wrong. `recovery`: the starting point is what a kill left; the
    recovery is struck, and struck again. `piecemeal`: what was done before the fault stays done, and the next run
    goes on. `forgets`: once nothing is active any more, the audit log goes too.
    """

    name: str
    start: Start
    words: Callable[[Workshop], Sequence[str]]
    old: str
    new: str
    goal: str
    code: int = 0
    again: tuple[int, ...] = (0,)
    look: Look = nothing_more
    own: Callable[[str], bool] = never
    recovery: bool = False
    piecemeal: bool = False
    forgets: bool = False


def count(workshop: Workshop, name: str) -> list[str]:
    """Carry a scenario out without a fault and return its mutating operations in order."""
    return _count(workshop, SCENARIOS[name])


def _count(workshop: Workshop, scenario: Scenario) -> list[str]:
    workshop.begin(scenario.start)
    log = workshop.folder / "points.txt"
    outcome = workshop.installer(*scenario.words(workshop), MODE="count", LOG=str(log))
    assert outcome.code == scenario.code, outcome
    lines = log.read_text(encoding="utf-8").splitlines()
    return lines[: _recovering(lines)] if scenario.recovery else lines


def _recovering(lines: Sequence[str]) -> int:
    """Return how many operations belong to the recovery, with a few more: it ends with a note in the journal."""
    written = next(n for n, line in enumerate(lines) if line.endswith(" state/journal.jsonl"))
    return min(len(lines), written + 15)


# Places where one operation is like the next: the files of a release, of the store, of a snapshot, of the scratch folder.
_ALIKE = re.compile(
    r"(generations/[^/]+/(?:venv|source|tools|models|config\.default|python)|state/tmp|store/sha256|snapshots/[^/]+/tree)/"
)


def thinned(points: Sequence[str]) -> list[int]:
    """Return the numbers of the operations without those that repeat another: of the same kind, in the same phase,
    on another file of a release. The first two and the last of each kind stay."""
    kinds, phase = [], 0
    for line in points:
        _, event, place = line.split(" ", 2)
        phase += place == "state/journal.jsonl"
        found = _ALIKE.match(place)
        kinds.append((event, found.group(1) if found else place, phase))
    total, seen = Counter(kinds), Counter[tuple[str, str, int]]()
    numbers = []
    for number, kind in enumerate(kinds, 1):
        seen[kind] += 1
        if seen[kind] <= 2 or seen[kind] == total[kind]:
            numbers.append(number)
    return numbers


def killed(base: Scenario, name: str, find: Find) -> Scenario:
    """Return the recovery of what is left when the command is killed at the operation that `find` names."""

    def make(workshop: Workshop) -> None:
        number = find(_count(workshop, base)) + 1
        workshop.begin(base.start)
        outcome = workshop.installer(*base.words(workshop), MODE="kill", AT=str(number))
        assert outcome.code == -9, outcome
        assert not workshop.strays()

    start = Start(f"{base.name}, killed {name}", make, treasures_of=base.start)
    return replace(base, name=f"recovery: {base.name} killed {name}", start=start, recovery=True)


def at(ending: str, occurrence: int = 0, later: int = 0) -> Find:
    """Find the operation whose line ends like this, or one a few later."""

    def find(lines: Sequence[str]) -> int:
        found = [number for number, line in enumerate(lines) if line.endswith(ending)]
        assert found, f"no operation {ending!r}"
        return found[occurrence] + later

    return find


def containing(*parts: str) -> Find:
    """Find the first operation whose line contains all of these."""
    return lambda lines: next(n for n, line in enumerate(lines) if all(part in line for part in parts))


def _provided(path: str) -> bool:
    """Tell what a first installation makes."""
    return path.split("/")[0] in ("config", "data")


def _installed(workshop: Workshop) -> None:
    _do(workshop, *workshop.words("v1"))
    workshop.plant()


def _upgraded(workshop: Workshop) -> None:
    workshop.begin(V1)
    _do(workshop, *workshop.words("v2"))


def _do(workshop: Workshop, *words: str) -> None:
    outcome = workshop.installer(*words)
    assert outcome.code == 0, outcome


def _three(workshop: Workshop) -> None:
    for name in ("oldest", "older", "v1"):
        _do(workshop, *workshop.words(name))
    workshop.plant()


def _damaged(workshop: Workshop) -> None:
    """Damage a file of the environment, one of the sources, one content of the store; lose one more file."""
    workshop.begin(V2)
    folder = workshop.prefix.generation(workshop.release("v2"))
    module = next(folder.glob("venv/lib/python3*/site-packages/ragtrace/__init__.py"))
    for path, data in ((module, b"VERSION = 'another'\n"), (folder / "source" / "README.md", b"")):
        path.unlink()
        path.write_bytes(data)
    (folder / "config.default" / "ragtrace.yaml").unlink()


def _first_format(workshop: Workshop) -> None:
    _do(workshop, *workshop.words("format 1"))
    workshop.plant()


def _second_format(workshop: Workshop) -> None:
    workshop.begin(FORMAT_1)
    _do(workshop, *workshop.words("format 2"))


def _settings(path: str) -> bool:
    return path == "config/.env"


def _data(path: str) -> bool:
    return path.split("/")[0] == "data"


def _bitten(workshop: Workshop) -> None:
    """Damage one content of the store, lose another; the releases that were made from them are intact."""
    workshop.begin(V2)
    objects = [path for path in sorted(workshop.prefix.store.rglob("*")) if path.is_file()]
    objects[0].unlink()
    objects[0].write_bytes(b"bitten")
    objects[-1].unlink()


def _mended(workshop: Workshop, begun: Snapshot, done: bool) -> list[str]:
    objects = [path for path in workshop.prefix.store.rglob("*") if path.is_file()] if done else []
    return [f"not mended: {path.name}" for path in objects if sha256_file(path)[1] != path.name]


def _renewed(workshop: Workshop) -> None:
    _do(workshop, *workshop.words("v1"))
    _do(workshop, "--advisories", str(workshop.snapshot("v1", EARLIER)))
    workshop.plant()


def _believed(workshop: Workshop, begun: Snapshot, done: bool) -> list[str]:
    """Tell of a snapshot that is neither the earlier nor the new one, each with its own signature."""
    prefix = workshop.prefix
    found = advisory_store.held(prefix, trust_store.anchors(prefix, "", ()))
    if found.problem is not None or found.date not in ((LATER,) if done else (EARLIER, LATER)):
        return [f"snapshot: {found.date!r} {found.problem}"]
    return []


def _uninstalled(workshop: Workshop, begun: Snapshot, done: bool) -> list[str]:
    return _left(workshop, {"data", "config", "trust", "state", FOREIGN}) if done else []


def _purged(workshop: Workshop, begun: Snapshot, done: bool) -> list[str]:
    if not done:
        # Until the pointer is gone, nothing is.
        return same(begun.treasures, workshop.treasures()) if workshop.active() else []
    return _left(workshop, {FOREIGN})


def _left(workshop: Workshop, allowed: set[str]) -> list[str]:
    prefix = workshop.prefix
    found = [name for name in os.listdir(prefix.root) if name not in allowed]
    if prefix.state.is_dir():
        found += [f"state/{name}" for name in os.listdir(prefix.state) if not chainlog.owns(name)]
    return [f"left: {name}" for name in found]


def _pruned(workshop: Workshop, begun: Snapshot, done: bool) -> list[str]:
    names = sorted(os.listdir(workshop.prefix.generations))
    return [f"not pruned: {name}" for name in names if name != workshop.release("v1")] if done else []


EARLIER, LATER = "2026-11-01T00:00:00Z", "2026-11-02T00:00:00Z"

EMPTY = Start("empty", lambda workshop: None)
V1 = Start("v1", _installed)
V2 = Start("v2 after v1", _upgraded)
FORMAT_1 = Start("data of format 1", _first_format)
FORMAT_2 = Start("data of format 2", _second_format)
THREE = Start("three releases", _three)
DAMAGED = Start("damaged", _damaged)
BITTEN = Start("damaged store", _bitten)

RENEWED = Start("v1 with a snapshot", _renewed)

INSTALL = Scenario("install", EMPTY, lambda w: w.words("v1"), "", "v1", "v1", own=_provided)
UPGRADE = Scenario("upgrade", THREE, lambda w: w.words("v2"), "v1", "v2", "v2")
UNHEALTHY = Scenario("unhealthy upgrade", V1, lambda w: w.words("bad"), "v1", "bad", "v1", 16, (16,))
ROLLBACK = Scenario("rollback", V2, lambda w: ("--rollback", w.release("v1")), "v2", "v1", "v1")

ARCHIVE = Scenario(
    "install from an archive", EMPTY, lambda w: w.carried("--bundle", w.shipped("v1"), "v1"),
    "", "v1", "v1", own=_provided,
)  # fmt: skip
VOLUMES = Scenario(
    "upgrade from volumes", V1, lambda w: w.carried("--bundle", w.shipped("v2", volume_size=4096), "v2"),
    "v1", "v2", "v2",
)  # fmt: skip
DELTA = Scenario(
    "delta", V1, lambda w: w.carried("--delta", w.shipped("v2", base="v1"), "v2"), "v1", "v2", "v2"
)

REPAIR = Scenario("repair", DAMAGED, lambda w: ("--repair",), "v2", "v2-r*", "v2-r*")
MEND = Scenario(
    "repair of the store", BITTEN, lambda w: ("--repair",), "v2", "v2", "v2", look=_mended, piecemeal=True
)
UNINSTALL = Scenario(
    "uninstall", V2, lambda w: ("--uninstall",), "v2", "", "", again=(0, 2), look=_uninstalled
)
PURGE = Scenario(
    "uninstall with data", V2, lambda w: ("--uninstall", "--purge-data"), "v2", "", "", again=(0, 2),
    forgets=True, look=_purged, own=_provided,
)  # fmt: skip
PRUNE = Scenario(
    "prune", THREE, lambda w: ("--prune", "--keep", "0"), "v1", "v1", "v1", look=_pruned, piecemeal=True
)

CONFIG = Scenario(
    "configuration", V1, lambda w: ("--config", "answer.limit=7", f"answer.token={SECRET}"), "v1", "v1", "v1",
    own=_settings,
)  # fmt: skip
BAD_CONFIG = Scenario(
    "unhealthy configuration", V1, lambda w: ("--config", "answer.limit=0"), "v1", "v1", "v1", 16, (16,),
    own=_settings,
)  # fmt: skip
MIGRATION = Scenario(
    "upgrade with migration", FORMAT_1, lambda w: w.words("format 2"), "format 1", "format 2", "format 2",
    own=_data,
)  # fmt: skip
BAD_MIGRATION = Scenario(
    "unhealthy migration", FORMAT_1, lambda w: w.words("bad format 2"), "format 1", "bad format 2",
    "format 1", 16, (16,), own=_data,
)  # fmt: skip
RESTORE = Scenario(
    "rollback with data", FORMAT_2, lambda w: ("--rollback", w.release("format 1"), "--restore-data"),
    "format 2", "format 1", "format 1", own=_data,
)  # fmt: skip

ADVISORIES = Scenario(
    "advisories", RENEWED, lambda w: ("--advisories", str(w.snapshot("v1", LATER))), "v1", "v1", "v1",
    look=_believed,
)  # fmt: skip

RECOVERIES = (
    killed(INSTALL, "after its switch", at(" os.rename current.json", later=1)),
    killed(UPGRADE, "while uv installs", containing("subprocess.Popen", "require")),
    killed(UPGRADE, "before its switch", at(" os.rename current.json")),
    killed(UPGRADE, "after its switch", at(" os.rename current.json", later=1)),
    killed(UPGRADE, "before its commit", at(" os.rename trust/accepted.json")),
    killed(ROLLBACK, "after its switch", at(" os.rename current.json", later=1)),
    killed(DELTA, "before its switch", at(" os.rename current.json")),
    killed(REPAIR, "after its switch", at(" os.rename current.json", later=1)),
    killed(UNINSTALL, "before its commit point", at(" os.remove current.json")),
    killed(UNINSTALL, "after its commit point", at(" os.remove current.json", later=1)),
    killed(MIGRATION, "while it migrates", containing("subprocess.Popen", " migrate ")),
    killed(MIGRATION, "after its switch", at(" os.rename current.json", later=1)),
    killed(CONFIG, "before its commit", at(" os.rename trust/accepted.json")),
    killed(PURGE, "half-way", at(" os.remove current.json", later=40)),
)

SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        INSTALL,
        UPGRADE,
        UNHEALTHY,
        ROLLBACK,
        ARCHIVE,
        VOLUMES,
        DELTA,
        REPAIR,
        MEND,
        UNINSTALL,
        PURGE,
        PRUNE,
        CONFIG,
        BAD_CONFIG,
        MIGRATION,
        BAD_MIGRATION,
        RESTORE,
        ADVISORIES,
        *RECOVERIES,
    )
}
