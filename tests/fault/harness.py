"""Strike an operation, look, run again, look again; every line that comes back is something wrong."""

from __future__ import annotations

from collections.abc import Callable

from installer import audit, pointer
from installer.recovery import leftovers
from installer.state import complete_generations

from .scenarios import Scenario, never
from .workshop import Snapshot, Workshop, same
from .zygote import HOOK, Outcome

__all__ = ["HOOK", "MODES", "strike"]
MODES = ("kill", "SIGINT", "SIGTERM", "ENOSPC", "EIO")
SIGNALS = ("SIGINT", "SIGTERM")
Between = Callable[[int, str], "list[str]"]
INTERRUPTED, UNFIT, RESTORED, STUCK, UNHEALTHY = 130, 12, 13, 14, 16


def nothing(code: int, err: str) -> list[str]:
    """Do nothing between two runs."""
    return []


def strike(
    workshop: Workshop, scenario: Scenario, number: int, mode: str, between: Between = nothing, **fault: str
) -> tuple[list[str], bool]:
    """Carry the scenario out with one fault at operation `number`; return what is wrong, and whether it struck.

    `between` is called before the second run, with exit code and error output of the first.
    """
    begun = workshop.begin(scenario.start)
    words = scenario.words(workshop)
    runs = [workshop.installer(*words, MODE=mode, AT=str(number), **fault)]
    problems = after_fault(workshop, scenario, begun, runs[0], mode)
    problems += between(runs[0].code, runs[0].err)
    if scenario.recovery:
        # Killed, struck, and killed once more: somewhere else each time, the same place every time.
        runs.append(workshop.installer(*words, MODE="kill", AT=str(1 + number * 7 % 60)))
        problems += [
            f"killed again: {line}" for line in after_fault(workshop, scenario, begun, runs[1], "kill")
        ]
    runs.append(workshop.installer(*words))
    problems += [f"second run: {line}" for line in after_rerun(workshop, scenario, begun, runs[-1])]
    if problems:
        problems += [
            f"  run {n}: {run.code} {run.struck}: {run.out[-200:]}{run.err[-500:]}"
            for n, run in enumerate(runs, 1)
        ]
    return problems, bool(runs[0].struck)


def after_fault(
    workshop: Workshop, scenario: Scenario, begun: Snapshot, run: Outcome, mode: str
) -> list[str]:
    """Return what is wrong after a run that was struck."""
    active, answering = workshop.active(), workshop.answering()
    old, new, goal = (workshop.release(name) for name in (scenario.old, scenario.new, scenario.goal))
    done = run.code in (scenario.code, *scenario.again)
    problems = always(workshop, scenario, begun, run, done)
    if run.code not in _allowed(scenario, run, mode):
        problems.append(f"exit code {run.code}")
    if active != old and not _is(active, new):
        problems.append(f"active: {active!r}")
    if done and not (_is(active, goal) and answering == active):
        problems.append(f"{run.code} says done, but {active!r} is active and {answering!r} answers")
    if "nothing was changed" in run.err and not scenario.recovery:
        changed = sorted(set(begun.installed) ^ set(workshop.installed()))
        problems += [f"it says that nothing was changed, but {path} was" for path in changed[:3]]
    if _restored(scenario, run):
        if (active, answering) != (old, begun.running):
            problems.append(f"{run.code} says restored, but {active!r} is active and {answering!r} answers")
        problems += tidy(workshop, begun) if not scenario.piecemeal else []
    return problems


def _allowed(scenario: Scenario, run: Outcome, mode: str) -> tuple[int, ...]:
    """Return the exit codes a run may have: its own where the fault hit nothing, or nothing that matters."""
    own = (scenario.code, *scenario.again)
    if not run.struck:
        return own
    if mode in ("kill", "during"):
        return (-9,)
    if mode == "fill":
        # A disk that is really full is noticed before anything begins, or by the service that finds no room.
        return (*own, UNFIT, UNHEALTHY, RESTORED, STUCK)
    return (*own, INTERRUPTED) if mode in SIGNALS else (*own, RESTORED, STUCK)


def _restored(scenario: Scenario, run: Outcome) -> bool:
    """Tell whether the run claims that everything is as it was; a recovery does not begin from anything whole."""
    own = (scenario.code, *scenario.again)
    return (
        run.code in (RESTORED, UNFIT, UNHEALTHY, INTERRUPTED)
        and run.code not in own
        and not scenario.recovery
    )


def after_rerun(workshop: Workshop, scenario: Scenario, begun: Snapshot, run: Outcome) -> list[str]:
    """Return what is wrong after the run that nothing disturbed."""
    active, answering, goal = workshop.active(), workshop.answering(), workshop.release(scenario.goal)
    problems = always(workshop, scenario, begun, run, True) + tidy(workshop, begun)
    if run.code not in (scenario.code, *scenario.again):
        problems.append(f"exit code {run.code}")
    if not (_is(active, goal) and answering == active):
        problems.append(f"{active!r} is active, {answering!r} answers")
    problems += [line for line in workshop.damage() if line in begun.damage]
    found = pointer.read(workshop.prefix)
    kept = found.kept if found else ()
    problems += [f"not kept: {name}" for name in complete_generations(workshop.prefix) if name not in kept]
    return problems


def _is(release: str, wanted: str) -> bool:
    """Compare a release with the wanted one; a repair begun twice may take a name for each."""
    return release.startswith(wanted[:-1]) if wanted.endswith("*") else release == wanted


def always(workshop: Workshop, scenario: Scenario, begun: Snapshot, run: Outcome, done: bool) -> list[str]:
    """Return what is wrong whatever has happened: bytes, other people's files, secrets, words."""
    # What a repair is there to mend may be damaged until it is done.
    problems = [line for line in workshop.damage() if line not in begun.damage]
    now = workshop.treasures()
    wanted = begun.treasures if not done else workshop.finished[scenario.name]
    problems += same(wanted, now, never if done or _restored(scenario, run) else scenario.own)
    problems += scenario.look(workshop, begun, done)
    if not scenario.forgets or workshop.active():
        problems += [f"audit log: {finding.text().en}" for finding in audit.read(workshop.prefix).problems]
    problems += [f"the secret can be read in {place}" for place in workshop.leaks(run)]
    if "Traceback" in run.text or "Error:" in run.text.replace("OSError:", "").replace("ServiceError:", ""):
        problems.append("a traceback, or an error of Python's own")
    if run.code > 0:
        problems += [
            f"the message lacks {part!r}"
            for part in ("error RT-", "state: ", "next: ")
            if part not in run.err
        ]
    return problems


def tidy(workshop: Workshop, begun: Snapshot) -> list[str]:
    """Return what should not be there once an operation is over, well or not."""
    prefix = workshop.prefix
    problems = [f"undeclared: {name}" for name in workshop.undeclared() if name not in begun.undeclared]
    problems += [
        f"half written: {path.name}"
        for folder in (prefix.root, prefix.state, prefix.trust, prefix.config)
        for path in leftovers(folder)
    ]
    if prefix.scratch.is_dir() and any(prefix.scratch.iterdir()):
        problems.append("the scratch folder is not empty")
    problems += [f"a process is left: {line}" for line in workshop.strays()]
    if workshop.locked():
        problems.append("the lock is held")
    return problems
