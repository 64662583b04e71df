"""The service's own checks of its vectors: are they the configured model's, and do they show what the records hold?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from ragtrace.application.following import follows
from ragtrace.application.inspection import Inspection, VectorFacts
from ragtrace.domain.findings import Finding
from ragtrace.errors import NotReady, RagTraceError
from ragtrace.limits import VECTOR_QUIET_S
from ragtrace.text import Text

_NONE_KEPT = Finding("skip", Text("이 설정은 여기에 벡터를 두지 않습니다", "no vectors are kept here"))
_NO_RECORDS = Finding(
    "unknown", Text("기록을 읽을 수 없습니다 (RTS-001)", "records cannot be read (RTS-001)")
)


class Subject(Protocol):
    """What is looked at: the data, and what vectors of the configured model are named (None: there are none)."""

    @property
    def data(self) -> Inspection:
        """Return what looks at the data folder."""
        ...

    @property
    def vectors(self) -> Callable[[], str | None]:
        """Return what tells the name."""
        ...


def vectors_in_step(subject: Subject) -> Finding:
    """The vectors show what the records hold, or somebody is bringing them there."""
    wanted = _wanted(subject)
    if isinstance(wanted, Finding):
        return wanted
    found = _latest(subject.data, wanted)
    if found is None:
        return Finding("skip", Text("이 모델의 벡터가 없습니다 (RTS-010)", "none of this model (RTS-010)"))
    state = subject.data.state()
    if state is None:
        return _NO_RECORDS
    if follows(state, found.mark, wanted):
        return Finding("pass", Text("일치합니다", "they agree"), f"change {state.sequence}")
    measured = _place(found)
    expected = f"change {state.sequence}"
    if found.owner is None:
        return Finding(
            "warn",
            Text(
                "벡터가 기록보다 뒤처져 있고, 만들고 있는 프로세스가 없습니다",
                "the vectors are behind the records, and no process is making them",
            ),
            measured,
            expected,
            Text(
                "서비스를 시작하면 이어서 만듭니다. 그때까지 새 글은 낱말로만 찾습니다",
                "the service goes on with them once it runs; until then new text is found by its words only",
            ),
        )
    if found.quiet_s < VECTOR_QUIET_S:
        return Finding("pass", Text("지금 만드는 중입니다", "being made right now"), measured, expected)
    return Finding(
        "fail",
        Text(
            "벡터가 기록보다 뒤처진 채 아무것도 쓰이지 않습니다",
            "the vectors are behind the records, and nothing is written",
        ),
        f"{measured}, pid {found.owner}, {found.quiet_s:.0f} s",
        f"{expected}, < {VECTOR_QUIET_S:g} s",
        Text(
            "임베딩이 실패하거나 멈췄습니다: 서비스의 로그와 /readyz의 vectors를 보십시오",
            "embedding fails or hangs: see the service's log, and vectors in /readyz",
        ),
    )


def vectors_of_model(subject: Subject) -> Finding:
    """There are vectors, and they were made by the configured embedding model."""
    wanted = _wanted(subject)
    if isinstance(wanted, Finding):
        return wanted
    found = _latest(subject.data, wanted)
    if found is not None:
        complete = found.mark is not None and found.mark.sequence >= 0
        what = (
            Text("설정된 모델의 벡터입니다", "of the configured model")
            if complete
            else Text("처음으로 만드는 중입니다", "being made for the first time")
        )
        return Finding("pass", what, found.name, wanted[:80])
    others = subject.data.vectors()
    state = subject.data.state()
    if state is None:
        return _NO_RECORDS
    if not others and state.sequence == 0:
        return Finding("pass", Text("아직 문서가 없습니다", "there are no documents yet"))
    what = (
        Text("다른 임베딩 모델의 벡터뿐입니다", "there are vectors of another embedding model only")
        if others
        else Text("벡터가 없습니다", "there are no vectors")
    )
    return Finding(
        "warn",
        what,
        ", ".join(f"{each.name}: {each.fingerprint[:60]}" for each in others[-2:]),
        wanted[:80],
        Text(
            "서비스가 실행되면 새 모델의 벡터를 만듭니다. 다 만들 때까지 낱말로만 찾습니다",
            "the service makes those of the new model while it runs; until they are complete, search is by words",
        ),
    )


def _wanted(subject: Subject) -> str | Finding:
    """Return what the vectors should be named, or the finding of whoever has nothing to look at."""
    try:
        wanted = subject.vectors()
    except NotReady:
        raise
    except RagTraceError as problem:
        return Finding("unknown", problem.summary, problem.where[:300], "", problem.hint)
    return _NONE_KEPT if wanted is None or not subject.data.exists() else wanted


def _latest(data: Inspection, wanted: str) -> VectorFacts | None:
    mine = [each for each in data.vectors() if each.fingerprint == wanted]
    return mine[-1] if mine else None


def _place(found: VectorFacts) -> str:
    if found.mark is None:
        return "no mark"
    toward = f", toward {found.mark.toward}" if found.mark.toward > found.mark.sequence else ""
    return f"change {found.mark.sequence}{toward}"
