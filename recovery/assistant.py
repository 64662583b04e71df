"""The flow: explain every cause, see that it is still there, propose its actions, ask, apply, record, check again."""

from __future__ import annotations

import errno
from dataclasses import replace
from typing import Callable, Dict, List, Optional, Protocol, Sequence, Set

from bundle.text import Text
from recovery import account, privileges
from recovery.account import Account, Case, Step
from recovery.action import Action, Done
from recovery.actions import ACTIONS
from recovery.causes import Group, group
from recovery.diagnosis import Diagnosis
from recovery.engine import Means
from recovery.record import record
from validator.model import Result, Status
from validator.subject import Subject


class Talk(Protocol):
    """Where the assistant says things."""

    def line(self, text: str = "") -> None:
        """Write one line."""

    def results(self, results: Sequence[Result], subject: Subject, *, quiet: bool) -> None:
        """Write check results."""


# The answer to a question: do it, leave it, or leave everything that follows.
YES, NO, QUIT = "y", "n", "q"
Ask = Callable[[str], str]
Recheck = Callable[[Sequence[str]], Sequence[Result]]

NOTHING = Text("보고서에 조치할 것이 없습니다.", "The report has no open finding.")
WAIVED = Text("예외로 승인된 항목(조치하지 않음)", "accepted by a waiver, left alone")
EXPLAIN = Text("뜻", "means")
ADVICE = Text("할 일", "to do")
PROPOSAL = Text("제안", "proposal")
CHANGES = Text("바뀌는 것", "changes")
HERE = Text("이 호스트에서는", "on this host")
UNDO = Text("되돌리는 법", "undo")
COMMAND = Text("명령", "command")
QUESTION = Text("실행할까요? [y/N/q] ", "Do it? [y/N/q] ")
WORKING = Text("실행하는 중입니다. 시간이 걸릴 수 있습니다", "at work; this may take a while")
APPLIED = Text("실행했습니다", "done")
FAILED = Text("실행하지 못했습니다", "failed")
DECLINED = Text("건너뛰었습니다", "skipped")
IMPOSSIBLE = Text("할 수 없습니다", "not possible")
GONE = Text("지금은 나타나지 않습니다. 조치하지 않습니다", "it is not there any more; nothing to do")
SOLVED = Text("원인이 사라졌습니다", "the cause is gone")
REMAINS = Text("아직 남아 있습니다", "it is still there")
AGAIN = Text("보고서의 검사를 다시 실행했습니다:", "The checks of the report, run again:")
STOPPED = Text("나머지는 하지 않았습니다", "the rest was left alone")
UNRECORDED = Text(
    "감사 기록을 쓸 수 없어 실행하지 않았습니다", "not done, because the audit log cannot be written"
)
NOT_RECORDED = Text("감사 기록에 적지 못했습니다", "this could not be written to the audit log")
PLAN = Text("계획만 보여 주며 아무것도 바꾸지 않습니다.", "This is only the plan; nothing is changed.")


class Assistant:
    """One session about one report."""

    def __init__(
        self, means: Means, talk: Talk, ask: Ask, recheck: Recheck, again: str = "recovery_assistant.py"
    ) -> None:
        self._means = means
        self._talk = talk
        self._ask = ask
        self._recheck = recheck
        self._again = again
        self._tried: Set[str] = set()
        self._quit = False

    def run(self, diagnosis: Diagnosis, *, plan: bool = False) -> Account:
        """Go through the report and return what came of it; with *plan* only say what would be done."""
        told = Account(diagnosis)
        waived = [finding.id for finding in diagnosis.findings if finding.waived]
        if waived:
            self._talk.line(f"{WAIVED.to(self._means.lang)}: {', '.join(waived)}")
        groups = group(told.open)
        if not groups:
            self._say(NOTHING)
        elif plan:
            self._say(PLAN)
        for item in groups:
            case = Case(item)
            told.cases.append(case)
            self._explain(item)
            if plan:
                self._plan(case)
            elif not self._quit:
                self._put_right(case, told)
        if told.changed:
            self._conclude(told)
        return told

    # --- one cause -------------------------------------------------------------------------------------------

    def _plan(self, case: Case) -> None:
        for action in self._actions(case.group):
            self._tried.add(action.id)
            step = self._offer(case, action)
            step.state = step.state or account.PLANNED

    def _put_right(self, case: Case, told: Account) -> None:
        """Offer the actions of one cause until it is gone. Nothing is done on the word of a report alone: the checks
        are run first, so an old report, and what an earlier action has put right, lead to nothing."""
        looked = False
        for action in self._actions(case.group):
            if self._quit:
                return
            step = self._offer(case, action)
            if step.state:
                self._note(action, "unavailable", case.group)
                continue
            if not looked and not self._still_there(case, told):
                case.steps.remove(step)
                case.gone = True
                self._say(GONE, indent=True)
                return
            looked = True
            answer = self._ask("    " + QUESTION.to(self._means.lang))
            if answer != YES:
                self._decline(step, case.group, answer)
                continue
            self._tried.add(action.id)
            if self._apply(step, case.group):
                solved = not self._still_there(case, told)
                self._say(SOLVED if solved else REMAINS, indent=True)
                if solved:
                    return

    def _actions(self, item: Group) -> List[Action]:
        return [ACTIONS[name] for name in item.cause.actions if name not in self._tried]

    def _still_there(self, case: Case, told: Account) -> bool:
        """Run the cause's checks and keep what they say; a check that cannot be run is believed to be as it was."""
        results = self._recheck(case.group.ids)
        self._learn(results, told)
        return any(_open(told.now[name]) for name in case.group.ids)

    def _learn(self, results: Sequence[Result], told: Account) -> None:
        known: Dict[str, Status] = {result.check.id: result.counted for result in results}
        told.now.update({name: known[name] for name in told.now if name in known})

    # --- one action ------------------------------------------------------------------------------------------

    def _offer(self, case: Case, action: Action) -> Step:
        """Describe one action; its step has a state already where it cannot be done."""
        means, lang = self._means, self._means.lang
        step = Step(action, "")
        case.steps.append(step)
        self._labelled(PROPOSAL, action.title.to(lang))
        obstacle = action.available(means)
        if obstacle is not None:
            step.state, step.detail = account.UNAVAILABLE, obstacle.to(lang)
            self._labelled(IMPOSSIBLE, step.detail)
            return step
        self._labelled(CHANGES, action.changes.to(lang))
        preview = action.preview(means)
        if preview is not None:
            step.detail = preview.to(lang)
            self._labelled(HERE, step.detail)
        self._labelled(UNDO, action.undo.to(lang))
        rights = privileges.missing(means, action, self._again)
        if rights is not None:
            step.state, step.detail = account.RIGHTS, rights.to(lang)
            self._labelled(IMPOSSIBLE, step.detail)
        return step

    def _decline(self, step: Step, item: Group, answer: str) -> None:
        step.state = account.DECLINED
        self._say(DECLINED, indent=True)
        self._note(step.action, "declined", item)
        if answer == QUIT:
            self._quit = True
            self._say(STOPPED)

    def _apply(self, step: Step, item: Group) -> bool:
        """Do it, between two records; return whether it was tried."""
        action = step.action
        try:
            record(self._means.subject.prefix, action.id, "started", item.ids)
        except OSError as error:
            # Where the disk is full, making room is what lets the record be written.
            if not (action.makes_room and error.errno in (errno.ENOSPC, errno.EDQUOT)):
                step.state, step.detail = account.UNRECORDED, str(error)
                self._labelled(UNRECORDED, step.detail)
                return False
        self._say(WORKING, indent=True)
        try:
            done = action.apply(self._means)
        except OSError as error:
            done = Done(False, str(error))
        except KeyboardInterrupt:
            step.state = account.INTERRUPTED
            self._note(action, "interrupted", item)
            raise
        step.state, step.detail = account.DONE if done.ok else account.FAILED, done.detail
        # What was read before may have been replaced: another release may be active now.
        self._means = replace(self._means, subject=Subject.from_wire(self._means.subject.to_wire()))
        self._note(action, "done" if done.ok else "failed", item)
        ending = APPLIED if done.ok else FAILED
        self._talk.line("    " + ": ".join(filter(None, (ending.to(self._means.lang), done.detail))))
        return True

    def _note(self, action: Action, outcome: str, item: Group) -> None:
        """Record what is over; trouble here is said, and no reason to stop."""
        try:
            record(self._means.subject.prefix, action.id, outcome, item.ids)
        except OSError as error:
            self._labelled(NOT_RECORDED, f"{action.id} {outcome}: {error.strerror or error}")

    # --- the end ---------------------------------------------------------------------------------------------

    def _conclude(self, told: Account) -> None:
        """Run every check of the report again: one action may have put right, or wrong, more than its own cause."""
        results = self._recheck([finding.id for finding in told.open])
        self._learn(results, told)
        self._say(AGAIN)
        self._talk.results(results, self._means.subject, quiet=False)

    # --- talk ------------------------------------------------------------------------------------------------

    def _explain(self, item: Group) -> None:
        cause, lang = item.cause, self._means.lang
        found = ", ".join(f"{finding.id} {finding.status.value}" for finding in item.findings)
        self._talk.line(f"* {cause.title.to(lang)} ({found})")
        self._labelled(EXPLAIN, cause.explanation.to(lang))
        self._labelled(ADVICE, cause.advice.to(lang))

    def _say(self, text: Text, *, indent: bool = False) -> None:
        self._talk.line(("    " if indent else "") + text.to(self._means.lang))

    def _labelled(self, label: Text, text: str) -> None:
        self._talk.line(f"    {label.to(self._means.lang)}: {text}")


def _open(status: Optional[Status]) -> bool:
    return status not in (None, Status.PASS, Status.SKIP)
