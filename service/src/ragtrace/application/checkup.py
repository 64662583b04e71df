"""The service's own checks. Each is one function from what is known to a finding, used by the running service
(`/readyz`, the status page) and by the enterprise validator (`ragtrace.checks`, its plugin).

They look without changing anything and hold no lock. What passes by itself, such as documents being taken in right
now, is no finding.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from ragtrace.application.inspection import Inspection
from ragtrace.application.ports import LexicalAnalyzer
from ragtrace.application.reconcile import shows
from ragtrace.application.vector_checks import vectors_in_step, vectors_of_model
from ragtrace.domain.findings import Finding, human_size
from ragtrace.errors import NotReady, RagTraceError
from ragtrace.limits import (
    CHECK_SECONDS,
    FREE_BYTES_LEAST,
    FREE_BYTES_WANTED,
    LOCK_QUIET_S,
    STEP_PAUSE_S,
    STEP_TRIES,
)
from ragtrace.text import Text

# Every analyzer finds these in the sentence; what it finds besides differs by version and is no concern here.
SENTENCE = "휴가 신청은 3일 전 팀장에게 합니다"
EXPECTED = {"kiwi": ("휴가", "신청", "팀장")}
_NO_DATA = Finding("skip", Text("아직 데이터가 없습니다", "there is no data yet"))


@dataclass(frozen=True)
class Subject:
    """What is looked at."""

    data: Inspection
    analyzer: Callable[[], LexicalAnalyzer]
    # What vectors of the configured model are named; None where none are kept here.
    vectors: Callable[[], str | None] = lambda: None


@dataclass(frozen=True)
class Check:
    """One check. A failing check with a `part` makes that part of `/readyz` not ready.

    One that `loads` something big is asked of the running service, where there is one that has it loaded.
    """

    id: str
    title: Text
    severity: str
    look: Callable[[Subject], Finding]
    part: str = ""
    timeout_s: float = 5.0
    loads: bool = False


def records_whole(subject: Subject) -> Finding:
    """The database can be read, and SQLite finds no damage in it."""
    facts = subject.data.records(CHECK_SECONDS)
    if facts.damage:
        return Finding(
            "fail",
            Text("기록 데이터베이스가 손상되었습니다", "the records database is damaged"),
            facts.damage[:300],
            "quick_check: ok",
            Text(
                "파일이 잘렸거나 디스크가 고장났습니다. 스스로 고치지 않습니다: 스냅숏이나 백업을 되돌리십시오",
                "the file was cut short or the disk fails; it is never mended by itself: put a snapshot or backup back",
            ),
        )
    if facts.unseen:
        return Finding(
            "unknown",
            Text("지금은 기록을 볼 수 없습니다", "the records cannot be seen now"),
            facts.unseen[:300],
        )
    if facts.size == 0:
        return _NO_DATA
    if not facts.complete:
        return Finding(
            "pass",
            Text(
                f"{CHECK_SECONDS:g}초 동안 본 부분에 손상이 없습니다",
                f"no damage in what was read in {CHECK_SECONDS:g} s",
            ),
            human_size(facts.size),
        )
    return Finding("pass", Text("손상이 없습니다", "no damage"), human_size(facts.size), "quick_check: ok")


def index_in_step(subject: Subject) -> Finding:
    """The index shows what the records hold, or somebody is bringing it there right now."""
    if not subject.data.exists():
        return _NO_DATA
    fingerprint = subject.analyzer().fingerprint
    tries = 0
    while True:
        tries += 1
        before = _writing(subject)
        state, mark = subject.data.state(), subject.data.mark()
        if state is None:
            return Finding(
                "unknown", Text("기록을 읽을 수 없습니다 (RTS-001)", "records cannot be read (RTS-001)")
            )
        if shows(state, mark, fingerprint) or (mark is None and state.sequence == 0):
            return Finding("pass", Text("일치합니다", "they agree"), f"change {state.sequence}")
        if before or _writing(subject):
            what = Text("지금 문서를 바꾸는 중입니다", "documents are being changed right now")
            return Finding("pass", what, f"{len(state.pending)} pending")
        if tries == STEP_TRIES:
            break
        time.sleep(STEP_PAUSE_S)
    found = f"change {mark.sequence} by {mark.analyzer}" if mark else "no mark"
    return Finding(
        "fail",
        Text("색인이 기록과 다릅니다", "the index does not show what the records hold"),
        found,
        f"change {state.sequence} by {fingerprint}",
        Text(
            "색인 중에 멈췄거나 색인 파일이 손상되었습니다. 서비스를 다시 시작하면 맞춰집니다",
            "indexing was cut short or its files are damaged; a restart of the service brings it in step",
        ),
    )


def index_readable(subject: Subject) -> Finding:
    """Every file of the index is as it was written."""
    facts = subject.data.index(CHECK_SECONDS)
    if facts.damaged:
        more = f" (+{len(facts.damaged) - 3})" if len(facts.damaged) > 3 else ""
        return Finding(
            "fail",
            Text("색인 파일이 손상되었습니다", "files of the index are damaged"),
            ", ".join(facts.damaged[:3]) + more,
            "CRC-32 of each file",
            Text(
                "디스크 고장이나 외부에서 바꾼 파일입니다. 서비스를 다시 시작하면 기록에서 다시 만듭니다",
                "the disk fails or the files were changed; a restart of the service makes it anew from the records",
            ),
        )
    if facts.total == 0:
        return _NO_DATA
    if facts.read < facts.total:
        what = Text("읽은 부분에 손상이 없습니다", "no damage in what was read")
        return Finding("pass", what, f"{human_size(facts.read)} / {human_size(facts.total)}")
    return Finding(
        "pass", Text("읽을 수 있습니다", "readable"), f"{facts.chunks} chunks, {human_size(facts.total)}"
    )


def folder_writable(subject: Subject) -> Finding:
    """The data folder belongs to one user, the service's, and can be written to."""
    if not subject.data.exists():
        return _NO_DATA
    facts = subject.data.ownership()
    if facts.strangers or facts.closed or facts.read_only:
        named = [*facts.strangers, *(name for name in facts.closed if name not in facts.strangers)]
        measured = "read-only file system" if facts.read_only else ", ".join(named[:5])
        return Finding(
            "fail",
            Text("데이터 폴더에 쓸 수 없습니다", "the data folder cannot be written to"),
            measured,
            f"owner {facts.owner}",
            Text(
                "다른 사용자로 명령을 실행했거나 권한이 바뀌었습니다",
                "a command ran as another user, or permissions were changed",
            ),
        )
    if not facts.mine:
        what = Text(
            "소유자는 하나입니다. 쓰기는 이 사용자로 볼 수 없습니다",
            "one owner; this user cannot see whether it is writable",
        )
        return Finding("unknown", what, f"owner {facts.owner}")
    return Finding("pass", Text("쓸 수 있습니다", "writable"), f"owner {facts.owner}")


def data_format(subject: Subject) -> Finding:
    """The data has the format that this release reads."""
    if not subject.data.exists():
        return _NO_DATA
    try:
        found, wanted = subject.data.format()
    except RagTraceError as problem:
        return Finding("fail", problem.summary, problem.where[-300:], "FORMAT.json", problem.hint)
    if found in (None, wanted):
        return Finding("pass", Text("형식이 맞습니다", "the right format"), str(wanted), str(wanted))
    what = Text("이 판의 데이터 형식이 아닙니다", "not the data format of this release")
    cause = Text(
        "다른 판이 만든 데이터이거나 변환이 멈췄습니다: ragtrace migrate 또는 맞는 판을 설치하십시오",
        "another release made it, or a migration was stopped: ragtrace migrate, or install the release it belongs to",
    )
    return Finding("fail", what, str(found), str(wanted), cause)


def analyzer_works(subject: Subject) -> Finding:
    """The analyzer loads and finds the words of a known sentence."""
    try:
        analyzer = subject.analyzer()
        terms = analyzer.analyze([SENTENCE])[0]
    except NotReady:
        raise
    except RagTraceError as problem:
        return Finding("fail", problem.summary, problem.where[:300], "", problem.hint)
    wanted = EXPECTED.get(analyzer.fingerprint.partition("-")[0], ("휴가",))
    missing = [word for word in wanted if word not in terms]
    if not missing:
        what = Text("낱말을 바르게 찾습니다", "it finds the right words")
        return Finding("pass", what, analyzer.fingerprint)
    return Finding(
        "fail",
        Text("분석 결과가 다릅니다", "its words are not the expected ones"),
        " ".join(terms)[:200],
        " ".join(wanted),
        Text("분석기의 모델이 손상되었거나 다른 판입니다", "its model is damaged or of another version"),
    )


def free_space(subject: Subject) -> Finding:
    """There is room for more documents."""
    free, _total = subject.data.space()
    measured, expected = human_size(free), f">= {human_size(FREE_BYTES_WANTED)}"
    if free >= FREE_BYTES_WANTED:
        return Finding("pass", Text("충분합니다", "sufficient"), measured, expected)
    return Finding(
        "fail" if free < FREE_BYTES_LEAST else "warn",
        Text("데이터 폴더의 공간이 부족합니다", "little space is left for the data"),
        measured,
        expected,
        Text("문서를 더 받아들일 수 없게 됩니다", "soon no more documents can be taken in"),
    )


def lock_not_stuck(subject: Subject) -> Finding:
    """Nobody holds the write lock without writing."""
    try:
        writer = subject.data.writer()
    except LookupError:
        return Finding("skip", Text("이 시스템에서는 볼 수 없습니다", "this system does not tell"))
    if writer is None:
        return Finding("pass", Text("잡혀 있지 않습니다", "free"))
    measured = f"pid {writer.process}, {writer.quiet_s:.0f} s"
    if writer.quiet_s < LOCK_QUIET_S:
        return Finding("pass", Text("문서를 바꾸는 중입니다", "documents are being changed"), measured)
    return Finding(
        "warn",
        Text("쓰기 잠금을 잡은 채 아무것도 쓰지 않습니다", "the write lock is held, and nothing is written"),
        measured,
        f"< {LOCK_QUIET_S:g} s",
        Text(
            "멈춘 ingest일 수 있습니다. 그 프로세스를 확인하십시오",
            "perhaps a stuck ingest; look at that process",
        ),
    )


def _writing(subject: Subject) -> bool:
    try:
        return subject.data.writer() is not None
    except LookupError:
        return False


CHECKS: tuple[Check, ...] = (
    Check("RTS-001", Text("기록이 온전함", "Records are whole"), "critical", records_whole, "records"),
    Check("RTS-002", Text("색인과 기록의 단계", "Index in step with the records"), "high", index_in_step),
    Check("RTS-003", Text("색인을 읽을 수 있음", "Index is readable"), "high", index_readable, "index"),
    Check("RTS-004", Text("데이터 폴더의 쓰기와 소유", "Data folder writable and owned"), "high", folder_writable, "data"),
    Check("RTS-005", Text("데이터의 형식", "Format of the data"), "critical", data_format, "data"),
    Check("RTS-006", Text("형태소 분석기", "Analyzer"), "high", analyzer_works, "analyzer", 30.0, loads=True),
    Check("RTS-007", Text("데이터 폴더의 여유 공간", "Free space of the data folder"), "medium", free_space),
    Check("RTS-008", Text("쓰기 잠금", "Write lock"), "medium", lock_not_stuck),
    Check("RTS-009", Text("벡터와 기록의 단계", "Vectors in step with the records"), "high", vectors_in_step, "", 60.0, loads=True),
    Check("RTS-010", Text("벡터의 임베딩 모델", "Embedding model of the vectors"), "medium", vectors_of_model, "", 60.0, loads=True),
)  # fmt: skip


def examine(check: Check, subject: Subject) -> Finding:
    """Return what a check finds; what may not be seen is `unknown`, a check that breaks is an `error`."""
    try:
        return check.look(subject)
    except NotReady:
        return Finding("skip", Text("아직 불러오는 중입니다", "still being loaded"))
    except PermissionError as error:
        what = Text("볼 권한이 없습니다", "not permitted to see it")
        return Finding("unknown", what, str(error.filename or error))
    except Exception as error:  # noqa: BLE001 - one broken check must not take the others with it
        what = Text("검사 자체가 실패했습니다", "the check itself failed")
        return Finding("error", what, f"{type(error).__name__}: {str(error)[:200]}")
