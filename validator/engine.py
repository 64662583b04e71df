"""Run checks in child processes with limits on time, output and memory; one result per check, always.

Checks of one category share a child. A check that hangs, crashes or floods costs only its own result: its
child is killed, and the checks after it continue in a fresh one.
"""

from __future__ import annotations

import sys
import threading
from typing import Callable, Dict, List, Optional, Sequence, Set, Tuple

from bundle.text import Text
from validator import limits
from validator.child import Child, Ended, Message
from validator.model import Category, Check, Outcome, Result, Status
from validator.registry import MODULES
from validator.subject import Subject

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
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        run.lane(alone)
    finally:
        run.stop()
    return tuple(run.results[item.id] for item in checks)


def batches(checks: Sequence[Check]) -> Tuple[List[List[Check]], List[List[Check]]]:
    """Return the groups of checks that may run side by side, and those that need the host for themselves."""
    together: List[List[Check]] = []
    alone: List[List[Check]] = []
    for category in Category:
        mine = [item for item in checks if item.category is category]
        target = alone if category is Category.PERFORMANCE else together
        shared = [item for item in mine if not item.own_process]
        target.extend([[item] for item in mine if item.own_process])
        if shared:
            target.append(shared)
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
        """Record a skip for a check that is not made for this platform; tell whether it should run."""
        if sys.platform in item.platforms:
            return True
        why = Text(
            f"이 플랫폼({sys.platform})의 검사가 아닙니다", f"not a check for this platform ({sys.platform})"
        )
        self.record(Result(item, Outcome(Status.SKIP, why)))
        return False

    def lane(self, groups: Sequence[Sequence[Check]]) -> None:
        """Run groups one after the other."""
        for group in groups:
            self.group(list(group))

    def stop(self) -> None:
        """End every child that is still running; only an interrupted run has any."""
        self._stopped = True
        with self._lock:
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
        child = Child.start(
            [item.id for item in waiting], self.subject, self.modules_for(waiting), self.paths
        )
        with self._lock:
            self._children.add(child)
        try:
            for count, item in enumerate(waiting, start=1):
                answer = child.result_of(item)
                if isinstance(answer, Ended):
                    self.record(Result(item, _broken(item, answer), answer.after_s))
                    return count
                self.record(self._read(item, answer))
        finally:
            child.close()
            with self._lock:
                self._children.discard(child)
        return len(waiting)

    @staticmethod
    def _read(item: Check, answer: Message) -> Result:
        try:
            return Result(item, Outcome.from_wire(answer["outcome"]), float(answer["duration_s"]))
        except (KeyError, TypeError, ValueError) as error:
            what = Text("검사 결과를 읽을 수 없습니다", "the check gave an unreadable result")
            return Result(item, Outcome(Status.ERROR, what, measured=str(error)[:200]))

    def modules_for(self, checks: Sequence[Check]) -> Tuple[str, ...]:
        """Return the modules a child needs: those that define the checks, in registry order."""
        mine = {item.function.__module__ for item in checks}
        return tuple(name for name in self.modules if name in mine)


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
