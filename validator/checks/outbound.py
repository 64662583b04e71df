"""Security: nothing here ever tries to reach another host."""

from __future__ import annotations

from typing import Tuple

from bundle.text import Text
from validator.checks.ragtrace import QUESTION
from validator.host import outbound
from validator.model import Category, Check, Outcome, Severity, Status, check, passed, unknown
from validator.names import listed
from validator.subject import Subject

SECURITY = Category.SECURITY
POSIX = ("linux", "darwin")
LINUX = ("linux",)


@check(
    "SEC-009",
    SECURITY,
    Text("외부 연결 시도 없음", "No outbound connection attempt"),
    severity=Severity.CRITICAL,
    platforms=LINUX,
    timeout_s=40,
    needs_service=True,
    own_process=True,
)
def no_outbound(subject: Subject) -> Outcome:
    """A traced question does not try to reach another host, and the running service has no connection to one.

    What was established is in the evidence: with ``strace`` every connect and send of the traced process
    and its children; without it only what the interpreter reports, which native code could bypass.
    """
    count, hidden, sockets = outbound.foreign_sockets(subject)
    traced = outbound.traced_question(subject, QUESTION, timeout_s=36)
    snapshot = f"service processes: {count} ({hidden} not visible), foreign connections: {len(sockets)}"
    measured = f"{traced.method or 'no tracer'}: {len(traced.attempts)} attempts; {snapshot}"
    seen = list(traced.attempts) + sockets
    if seen:
        what = Text(
            "외부로 연결하려 했습니다: " + listed(seen), "attempts to reach other hosts: " + listed(seen)
        )
        why = Text("코드나 설정이 바뀌었습니다", "code or configuration was changed")
        return Outcome(Status.FAIL, what, measured, "0 attempts", why, "report-outbound")
    if not traced.method:
        what = Text(f"추적할 수 없었습니다: {traced.complaint}", f"could not be traced: {traced.complaint}")
        return unknown(what, measured=measured, expected="0 attempts")
    if traced.code != 0:
        what = Text(
            f"추적한 질문이 실패했습니다: {traced.complaint}",
            f"the traced question failed: {traced.complaint}",
        )
        return unknown(what, measured=measured, expected="0 attempts")
    return passed(_established(traced.method), measured=measured, expected="0 attempts")


def _established(method: str) -> Text:
    if method == "strace":
        return Text(
            "추적한 질문 하나의 모든 connect/send 호출과 실행 중인 서비스의 소켓을 보았습니다",
            "every connect and send of one traced question, and the running service's sockets, were seen",
        )
    return Text(
        "strace를 쓸 수 없어 Python 수준의 연결 시도와 서비스의 소켓만 보았습니다 (네이티브 코드는 보지 못함)",
        "strace not usable: attempts at Python level and the service's sockets were seen, native code was not",
    )


CHECKS: Tuple[Check, ...] = (no_outbound,)
