"""Security: nothing here ever tries to reach another host."""

from __future__ import annotations

from typing import Tuple

from bundle.text import Text
from validator.checks.ragtrace import QUESTION
from validator.host import outbound, tracers
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
    # Little of it is used: a start, a question and a command. A slow host may take its time over them.
    timeout_s=outbound.LIMIT_S + 12,
    needs_service=True,
    own_process=True,
)
def no_outbound(subject: Subject) -> Outcome:
    """A traced start and question try to reach no other host; the running service has no connection to one.

    The service is started once more, with a home, data and port of its own, asked over HTTP and stopped; then a
    question is asked through the command line. What was established is in the evidence: with ``strace`` every
    connect and send, in a network of its own every packet without a route, else only what the interpreter
    reports, which native code could bypass. Networks that ``RAGTRACE_NETWORK_ALLOW`` names do not count.
    """
    if subject.python is None:
        return unknown(Text("가상 환경의 Python이 없습니다 (PKG-004)", "no interpreter (see PKG-004)"))
    count, hidden, sockets = outbound.foreign_sockets(subject)
    traced = outbound.traced_rehearsal(subject, QUESTION)
    allowed = ", ".join(str(network) for network in outbound.allowed_networks(subject))
    measured = (
        f"{' + '.join(traced.methods)}: {len(traced.attempts)} attempts; {traced.facts}; "
        f"service processes: {count} ({hidden} not visible), foreign connections: {len(sockets)}"
        + (f"; allowed: {allowed}" if allowed else "")
    )
    seen = [*traced.attempts, *sockets]
    if seen:
        what = Text(
            "외부로 연결하려 했습니다: " + listed(seen), "attempts to reach other hosts: " + listed(seen)
        )
        why = Text("코드나 설정이 바뀌었습니다", "code or configuration was changed")
        return Outcome(Status.FAIL, what, measured, "0 attempts", why, "report-outbound")
    if traced.complaint:
        what = Text(
            f"추적한 시작이나 질문이 실패했습니다: {traced.complaint}",
            f"the traced start or question failed: {traced.complaint}",
        )
        return unknown(what, measured=measured, expected="0 attempts")
    return passed(_established(traced), measured=measured, expected="0 attempts")


def _established(traced: outbound.Traced) -> Text:
    what = Text("시작과 질문", "a start and a question") if traced.started else Text("질문", "a question")
    if tracers.STRACE in traced.methods:
        seen = Text("의 모든 connect/send 호출", "every connect and send of ")
    elif tracers.NAMESPACE in traced.methods:
        seen = Text("의 모든 패킷(경로 없는 네트워크)", "every packet (in a network without a route) of ")
    else:
        return Text(
            f"{what.ko}의 Python 수준 연결 시도와 서비스의 소켓만 보았습니다 (네이티브 코드는 보지 못함)",
            f"attempts at Python level of {what.en} and the service's sockets were seen, native code was not",
        )
    return Text(
        f"추적한 {what.ko}{seen.ko}과 실행 중인 서비스의 소켓을 보았습니다",
        f"{seen.en}{what.en}, and the running service's sockets, were seen",
    )


CHECKS: Tuple[Check, ...] = (no_outbound,)
