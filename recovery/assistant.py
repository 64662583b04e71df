"""The flow: explain every cause, propose its actions, ask, apply, record, check again."""

from __future__ import annotations

from typing import Callable, List, Protocol, Sequence, Set, Tuple

from bundle.text import Text
from recovery.actions import ACTIONS, Action, Done
from recovery.causes import Group, group
from recovery.diagnosis import Diagnosis
from recovery.record import record
from validator.model import Result, Status
from validator.report import exit_code
from validator.subject import Subject


class Talk(Protocol):
    """Where the assistant says things."""

    def line(self, text: str = "") -> None:
        """Write one line."""

    def results(self, results: Sequence[Result], subject: Subject, *, quiet: bool) -> None:
        """Write check results."""


Ask = Callable[[str], bool]
Recheck = Callable[[Sequence[str]], Tuple[Result, ...]]

NOTHING = Text("보고서에 조치할 것이 없습니다.", "The report has no open finding.")
EXPLAIN = Text("뜻", "means")
ADVICE = Text("할 일", "to do")
PROPOSAL = Text("제안", "proposal")
CHANGES = Text("바뀌는 것", "changes")
UNDO = Text("되돌리는 법", "undo")
QUESTION = Text("실행할까요? [y/N] ", "Do it? [y/N] ")
APPLIED = Text("실행했습니다", "done")
FAILED = Text("실행하지 못했습니다", "failed")
DECLINED = Text("건너뛰었습니다", "skipped")
AGAIN = Text("관련 검사를 다시 실행했습니다:", "The checks concerned, run again:")
UNRECORDED = Text(
    "감사 기록을 쓸 수 없어 실행하지 않았습니다", "not done, because the audit log cannot be written"
)


class Assistant:
    """One session about one report."""

    def __init__(self, subject: Subject, lang: str, talk: Talk, ask: Ask, recheck: Recheck) -> None:
        self._subject = subject
        self._lang = lang
        self._talk = talk
        self._ask = ask
        self._recheck = recheck

    def run(self, diagnosis: Diagnosis) -> int:
        """Go through the report; return 0 when nothing is left open, else as the validator's exit codes."""
        groups = group(diagnosis.findings)
        if not groups:
            self._say(NOTHING)
            return 0
        tried: Set[str] = set()
        concerned: List[str] = []
        for item in groups:
            self._explain(item)
            for name in item.cause.actions:
                if name not in tried and name in ACTIONS:
                    tried.add(name)
                    if self._propose(ACTIONS[name], item):
                        concerned.extend(item.cause.checks)
        return self._conclude(diagnosis, list(dict.fromkeys(concerned)))

    def _say(self, text: Text) -> None:
        self._talk.line(text.to(self._lang))

    def _labelled(self, label: Text, text: Text) -> None:
        self._talk.line(f"    {label.to(self._lang)}: {text.to(self._lang)}")

    def _explain(self, item: Group) -> None:
        cause = item.cause
        found = ", ".join(f"{finding.id} {finding.status.value}" for finding in item.findings)
        self._talk.line(f"* {cause.title.to(self._lang)} ({found})")
        self._labelled(EXPLAIN, cause.explanation)
        self._labelled(ADVICE, cause.advice)

    def _propose(self, action: Action, item: Group) -> bool:
        """Offer one action; tell whether it was tried."""
        self._labelled(PROPOSAL, action.title)
        obstacle = action.available(self._subject)
        if obstacle is not None:
            self._labelled(DECLINED, obstacle)
            return False
        self._labelled(CHANGES, action.changes)
        self._labelled(UNDO, action.undo)
        if not self._ask("    " + QUESTION.to(self._lang)):
            self._say(Text("    " + DECLINED.ko, "    " + DECLINED.en))
            return False
        return self._apply(action, item)

    def _apply(self, action: Action, item: Group) -> bool:
        try:
            record(self._subject.prefix, action.id, "started", item.ids)
        except OSError as error:
            self._labelled(UNRECORDED, Text(str(error), str(error)))
            return False
        try:
            done = action.apply(self._subject)
        except OSError as error:
            done = Done(False, str(error))
        record(self._subject.prefix, action.id, "done" if done.ok else "failed", item.ids)
        ending = APPLIED if done.ok else FAILED
        self._talk.line("    " + ": ".join(filter(None, (ending.to(self._lang), done.detail))))
        return True

    def _conclude(self, diagnosis: Diagnosis, concerned: Sequence[str]) -> int:
        """Run the checks of everything that was touched again and judge what is left."""
        results: Tuple[Result, ...] = ()
        if concerned:
            self._say(AGAIN)
            results = self._recheck(concerned)
            self._talk.results(results, self._subject, quiet=False)
        left = {finding.status for finding in diagnosis.findings if finding.id not in concerned}
        codes = [exit_code(results)] if results else []
        codes += [3] if Status.FAIL in left else []
        codes += [5] if left & {Status.ERROR, Status.UNKNOWN} else []
        codes += [4] if Status.WARN in left else []
        for code in (3, 5, 4):
            if code in codes:
                return code
        return 0
