"""Run checks in child processes with limits on time, output and memory; one result per check, always.

Checks of one category share a child. A check that hangs, crashes or floods costs only its own result: its
child is killed, and the checks after it continue in a fresh one.
"""

from __future__ import annotations

import contextlib
import subprocess
import threading
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Callable, Dict, Iterator, List, Optional, Sequence, Set, Tuple

from bundle.text import Text
from validator import conditions, limits
from validator.child import Child, Ended, Message
from validator.model import Category, Check, Outcome, Result, Status
from validator.registry import MODULES
from validator.subject import Subject

if TYPE_CHECKING:
    from validator.plugins.protocol import Cleaner
    from validator.plugins.source import Source

# What starting a child may raise: no such interpreter, no memory, no right to become a user, a NUL in a setting.
START_PROBLEMS = (OSError, ValueError, subprocess.SubprocessError)
OnResult = Callable[[Result], None]


def run_checks(
    checks: Sequence[Check],
    subject: Subject,
    *,
    modules: Sequence[str] = MODULES,
    paths: Sequence[str] = (),
    on_result: Optional[OnResult] = None,
    parallel: int = limits.PARALLEL_CHILDREN,
) -> Tuple[Result, ...]:
    """Return exactly one result for every check, in the order of *checks*."""
    run = _Run(subject, tuple(modules), tuple(paths), on_result)
    runnable = [item for item in checks if run.admit(item)]
    together, alone = batches(runnable)
    lanes: List[List[List[Check]]] = [together[start::parallel] for start in range(parallel)]
    threads = [threading.Thread(target=run.lane, args=(lane,), daemon=True) for lane in lanes if lane]
    with _scratch(subject):
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            run.lane(alone)
        finally:
            run.stop()
    return tuple(run.results.get(item.id) or Result(item, _NOTHING) for item in checks)


@contextlib.contextmanager
def _scratch(subject: Subject) -> Iterator[None]:
    """Give the run a private folder; where none can be made, checks do without."""
    import shutil
    import tempfile

    try:
        subject.scratch = Path(tempfile.mkdtemp(prefix="ragtrace-validator-"))
    except OSError:
        subject.scratch = None
    made = subject.scratch
    try:
        yield
    finally:
        subject.scratch = None
        if made is not None:
            shutil.rmtree(made, ignore_errors=True)


def batches(checks: Sequence[Check]) -> Tuple[List[List[Check]], List[List[Check]]]:
    """Return the groups of checks that may run side by side, and those that need the host for themselves."""
    together: List[List[Check]] = []
    alone: List[List[Check]] = []
    for category in Category:
        mine = [item for item in checks if item.category is category and item.plugin is None]
        target = alone if category is Category.PERFORMANCE else together
        shared = [item for item in mine if not item.own_process]
        target.extend([[item] for item in mine if item.own_process])
        if shared:
            target.append(shared)
    # A plugin has a child of its own: it can lie about, or break, nothing but its own checks.
    plugins: Dict[Source, List[Check]] = {}
    for item in checks:
        if item.plugin is not None:
            plugins.setdefault(item.plugin, []).append(item)
    together.extend(plugins.values())
    together.sort(key=lambda group: -sum(item.timeout_s for item in group))
    return together, alone


class _Run:
    """The state of one run: results so far and how to make more."""

    def __init__(
        self,
        subject: Subject,
        modules: Tuple[str, ...],
        paths: Tuple[str, ...],
        on_result: Optional[OnResult],
    ) -> None:
        self.subject = subject
        self.modules = modules
        self.paths = paths
        self.results: Dict[str, Result] = {}
        self._children: Set[Child] = set()
        self._stopped = False
        self._on_result = on_result
        self._lock = threading.Lock()

    def record(self, result: Result) -> None:
        """Keep the first result of a check and tell the listener."""
        with self._lock:
            if result.check.id in self.results:
                return
            self.results[result.check.id] = result
            if self._on_result is not None:
                self._on_result(result)

    def admit(self, item: Check) -> bool:
        """Record what is known without running the check; tell whether it should run."""
        known = item.settled or conditions.unmet(item, self.subject)
        if known is not None:
            self.record(Result(item, known))
        return known is None

    def lane(self, groups: Sequence[Sequence[Check]]) -> None:
        """Run groups one after the other."""
        for group in groups:
            self.group(list(group))

    def stop(self) -> None:
        """End every child that is still running, and let none start any more; only an interrupted run has any."""
        with self._lock:
            self._stopped = True
            left = list(self._children)
        for child in left:
            child.close()

    def group(self, waiting: List[Check]) -> None:
        """Run one group, with a fresh child after each that had to be given up."""
        while waiting and not self._stopped:
            done = self._one_child(waiting)
            waiting = waiting[max(done, 1) :]

    def _one_child(self, waiting: List[Check]) -> int:
        """Run *waiting* in one child; return how many got their result, the one that broke it included."""
        try:
            child = self._start(waiting)
        except START_PROBLEMS as error:
            for item in waiting:
                self.record(Result(item, self._cleaned(item, _not_started(error))))
            return len(waiting)
        if child is None:
            return len(waiting)
        try:
            for count, item in enumerate(waiting, start=1):
                answer = child.result_of(item.id, item.timeout_s)
                if isinstance(answer, Ended):
                    self.record(Result(item, self._cleaned(item, _broken(item, answer)), answer.after_s))
                    return count
                self.record(self._read(item, answer))
        finally:
            child.close()
            with self._lock:
                self._children.discard(child)
        return len(waiting)

    def _start(self, waiting: Sequence[Check]) -> Optional[Child]:
        """Start a child under the lock: a run that is being stopped gets no new one."""
        ids, plugin = [item.id for item in waiting], waiting[0].plugin
        with self._lock:
            if self._stopped:
                return None
            if plugin is None:
                child = Child.start(ids, self.subject, self.modules_for(waiting), self.paths)
            else:
                child = plugin.start(self.subject, ids)
            self._children.add(child)
        return child

    @cached_property
    def _cleaner(self) -> Cleaner:
        from validator.plugins.protocol import Cleaner

        return Cleaner.of(self.subject)

    def _cleaned(self, item: Check, outcome: Outcome) -> Outcome:
        """Return an outcome with what a plugin said in it made harmless."""
        return outcome if item.plugin is None else self._cleaner.outcome(outcome)

    def _read(self, item: Check, answer: Message) -> Result:
        if item.plugin is not None:
            from validator.plugins.protocol import read_outcome

            return Result(item, read_outcome(answer, self._cleaner), _seconds(answer.get("duration_s")))
        try:
            return Result(item, Outcome.from_wire(answer["outcome"]), float(answer["duration_s"]))
        except (KeyError, TypeError, ValueError) as error:
            what = Text("검사 결과를 읽을 수 없습니다", "the check gave an unreadable result")
            return Result(item, Outcome(Status.ERROR, what, measured=str(error)[:200]))

    def modules_for(self, checks: Sequence[Check]) -> Tuple[str, ...]:
        """Return the modules a child needs: those that define the checks, in registry order."""
        mine = {item.function.__module__ for item in checks}
        return tuple(name for name in self.modules if name in mine)


# Never seen, and still not left to chance: a check without a result must not look like one that passed.
_NOTHING = Outcome(Status.ERROR, Text("검사 결과가 없습니다", "the check gave no result"))


def _seconds(value: object) -> float:
    """Return a duration that a plugin's child named; what cannot be one is 0."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 86400:
        return 0.0
    return round(float(value), 4)


def _not_started(error: Exception) -> Outcome:
    said = str(error)[:300]
    return Outcome(
        Status.ERROR,
        Text(f"검사 프로세스를 시작할 수 없습니다: {said}", f"the check's process cannot be started: {said}"),
    )


def _broken(item: Check, ended: Ended) -> Outcome:
    tail = f": {ended.last_output}" if ended.last_output else ""
    if ended.reason == "timeout":
        what = Text(
            "제한 시간 안에 끝나지 않아 중단했습니다", "did not end within its time limit and was stopped"
        )
        return Outcome(Status.ERROR, what, f"> {item.timeout_s:g} s", f"<= {item.timeout_s:g} s")
    if ended.reason == "output":
        what = Text("출력이 한도를 넘어 중단했습니다", "printed more than its output limit and was stopped")
        return Outcome(Status.ERROR, what, expected=f"<= {limits.CHECK_OUTPUT_BYTES} B")
    what = Text(
        f"검사 프로세스가 비정상 종료했습니다 (코드 {ended.code}){tail}",
        f"the check's process ended abnormally (code {ended.code}){tail}",
    )
    return Outcome(Status.ERROR, what, measured=f"exit {ended.code}")
