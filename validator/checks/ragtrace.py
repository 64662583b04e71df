"""RAGTrace: does the installed service have all its parts, and does it answer?"""

from __future__ import annotations

import json
import os
import re
import time
from typing import Any, Dict, List, Optional, Tuple

from bundle.hashing import sha256_file
from bundle.text import Text
from validator.host import commands, http, procfs
from validator.model import Category, Check, Outcome, Severity, Status, check, passed, skipped, unknown
from validator.names import listed
from validator.subject import Subject, Unreadable, read_pointer

RAGTRACE = Category.RAGTRACE
QUESTION = "이 문서들은 무엇에 관한 내용입니까?"
NOT_RUNNING = Text("서비스가 응답하지 않습니다 (RAG-004 참고)", "the service does not answer (see RAG-004)")
# Right after a boot or a restart the service loads what it needs. That is no finding yet: it is waited for, this long.
START_S = 20.0
YOUNG_S = 60.0


@check(
    "RAG-001",
    RAGTRACE,
    Text("활성 세대 포인터", "Pointer to the active generation"),
    severity=Severity.CRITICAL,
)
def pointer(subject: Subject) -> Outcome:
    """``current.json`` is intact, its generation exists with the right manifest, and the link agrees."""
    if not subject.anything_installed:
        what = Text(f"{subject.prefix}에 설치된 것이 없습니다", f"nothing installed at {subject.prefix}")
        return Outcome(Status.SKIP, what, not_installed=True)
    try:
        facts = read_pointer(subject.prefix)
    except Unreadable as error:
        what = Text(f"포인터를 읽을 수 없습니다: {error}", f"the pointer cannot be read: {error}")
        if isinstance(error.__cause__, PermissionError):
            return unknown(what, measured=str(error)[:300])
        why = Text(
            "설치가 도중에 멈췄거나 파일이 손상되었습니다",
            "an installation stopped midway, or the file is damaged",
        )
        return Outcome(Status.FAIL, what, str(error)[:300], "current.json", why, "finish-install")
    problem = _pointer_problem(subject, facts)
    if problem is None:
        return passed(Text("온전합니다", "intact"), measured=str(facts["generation"]))
    why = Text("세대 폴더가 지워졌거나 바뀌었습니다", "the generation's folder was removed or changed")
    return Outcome(Status.FAIL, problem, str(facts["generation"]), "", why, "reinstall")


def _pointer_problem(subject: Subject, facts: Dict[str, Any]) -> Optional[Text]:
    if subject.generation is None or subject.manifest_path is None:
        return Text("가리키는 세대가 없습니다", "the generation it names does not exist")
    try:
        digest = sha256_file(subject.manifest_path)[1]
    except OSError as error:
        return Text(
            f"세대의 매니페스트가 없습니다: {error.strerror}", f"its manifest is missing: {error.strerror}"
        )
    if digest != facts.get("manifest"):
        return Text("매니페스트의 해시가 포인터와 다릅니다", "the manifest's digest is not the pointer's")
    link = subject.prefix / "current"
    if os.path.islink(link) and os.path.realpath(link) != os.path.realpath(subject.generation):
        return Text(
            "current 링크가 다른 세대를 가리킵니다", "the link 'current' points to another generation"
        )
    return None


@check(
    "RAG-002",
    RAGTRACE,
    Text("명령줄", "Command line"),
    severity=Severity.HIGH,
    timeout_s=20,
    needs_service=True,
)
def command_line(subject: Subject) -> Outcome:
    """The service's own command line starts and explains itself."""
    done = commands.run_service(subject, ["--help"], timeout_s=18)
    if done.code == 0 and "usage" in done.output.lower():
        first = done.output.strip().splitlines()[0]
        return passed(Text("실행됩니다", "it runs"), measured=first[:200])
    what = Text("명령줄이 실행되지 않습니다", "the command line does not run")
    why = Text("패키지가 손상되었거나 빠졌습니다", "packages are damaged or missing")
    return Outcome(Status.FAIL, what, done.complaint or f"exit {done.code}", "exit 0", why, "reinstall")


@check(
    "RAG-003",
    RAGTRACE,
    Text("설정", "Configuration"),
    severity=Severity.HIGH,
    timeout_s=20,
    needs_service=True,
)
def configuration(subject: Subject) -> Outcome:
    """The configuration loads and holds no key that the service does not know."""
    done = commands.run_service(subject, ["config", "show", "--json"], timeout_s=18)
    if done.code == 0 and _json_object(done.output) is not None:
        where = str(subject.prefix / "config" / "ragtrace.yaml")
        return passed(Text("모든 키가 유효합니다", "every key is valid"), measured=where)
    what = Text(f"설정을 불러올 수 없습니다: {done.complaint}", f"it does not load: {done.complaint}")
    why = Text(
        "모르는 키, 잘못된 값, 또는 읽을 수 없는 파일", "an unknown key, a wrong value or an unreadable file"
    )
    return Outcome(Status.FAIL, what, f"exit {done.code}", "exit 0", why, "restore-configuration")


def started(subject: Subject, path: str) -> http.Reply:
    """Ask for *path* until the service has either started or said why not, at most `START_S` for all checks."""
    if "starting until" not in subject.remembered:
        subject.remembered["starting until"] = time.monotonic() + START_S
    while True:
        reply = http.ask(subject, "GET", path)
        if not _starting(subject, reply) or time.monotonic() > subject.remembered["starting until"]:
            return reply
        time.sleep(0.2)


def _starting(subject: Subject, reply: http.Reply) -> bool:
    """Tell whether parts are still being loaded, or a young process does not listen yet."""
    if reply.status == 0:
        ages = [procfs.age_s(process.pid) for process in procfs.service_processes(subject)]
        return any(age is not None and age < YOUNG_S for age in ages)
    return reply.status == 503 and reply.body.get("status") == "starting"


@check(
    "RAG-004",
    RAGTRACE,
    Text("서비스 실행", "Service running"),
    severity=Severity.CRITICAL,
    timeout_s=START_S + 10,
    needs_service=True,
)
def running(subject: Subject) -> Outcome:
    """The service answers its health address, and it is the active generation that answers.

    A service that answers but is not ready is running: what it lacks is RAG-005's to say.
    """
    reply = started(subject, subject.service.health_path)
    place = f"http://{subject.service.host}:{subject.service.port}{subject.service.health_path}"
    wanted = subject.generation.name if subject.generation else ""
    if reply.status == 0 and subject.settings_hidden:
        what = Text(
            "config/.env를 읽을 수 없어 주소를 모릅니다",
            "its address is in config/.env, which cannot be read",
        )
        return unknown(what, measured=reply.problem, expected=place)
    if reply.status != 200 and not (reply.status == 503 and "parts" in reply.body):
        what = Text("서비스가 응답하지 않습니다", "the service does not answer")
        why = Text(
            "멈췄거나, 시작하지 못했거나, 다른 주소에 있습니다",
            "stopped, unable to start, or at another address",
        )
        measured = reply.problem or f"HTTP {reply.status}"
        return Outcome(Status.FAIL, what, measured[:300], f"{place} -> 200", why, "restart")
    answered = str(reply.body.get("generation", ""))
    if answered == wanted:
        measured = f"{reply.body.get('status', '')} {answered} ({reply.seconds * 1000:.0f} ms)"
        return passed(
            Text("활성 세대가 응답합니다", "the active generation answers"),
            measured=measured,
            expected=wanted,
        )
    what = Text("다른 세대의 서비스가 실행 중입니다", "a service of another generation is running")
    why = Text("전환 뒤 다시 시작하지 않았습니다", "it was not restarted after the switch")
    return Outcome(Status.FAIL, what, answered[:100] or "no generation", wanted, why, "restart")


@check(
    "RAG-005",
    RAGTRACE,
    Text("부분별 준비 상태", "Readiness by part"),
    severity=Severity.HIGH,
    timeout_s=START_S + 10,
    needs_service=True,
)
def ready(subject: Subject) -> Outcome:
    """Every part that ``/readyz`` names is ready."""
    reply = started(subject, "/readyz")
    if reply.status == 0:
        return skipped(NOT_RUNNING)
    parts = reply.body.get("parts")
    if not isinstance(parts, dict):
        what = Text("/readyz의 답을 이해할 수 없습니다", "the answer of /readyz cannot be understood")
        return unknown(what, measured=reply.problem or f"HTTP {reply.status}", remedy="see-log")
    waiting = [
        f"{name}: {part.get('detail', '') if isinstance(part, dict) else part}"
        for name, part in sorted(parts.items())
        if not (isinstance(part, dict) and part.get("ready") is True)
    ]
    if reply.status == 200 and not waiting:
        return passed(
            Text("모두 준비되었습니다: " + listed(parts), "all ready: " + listed(parts)), measured="ready"
        )
    what = Text("준비되지 않은 부분: " + listed(waiting), "parts not ready: " + listed(waiting))
    why = Text(
        "아직 시작 중이거나 자원을 불러오지 못했습니다", "still starting, or something could not be loaded"
    )
    return Outcome(Status.FAIL, what, f"HTTP {reply.status}", "HTTP 200", why, "see-log")


@check(
    "RAG-006",
    RAGTRACE,
    Text("색인과 기록의 일치", "Index and records agree"),
    severity=Severity.HIGH,
    timeout_s=20,
    needs_service=True,
)
def consistent(subject: Subject) -> Outcome:
    """The index holds exactly the chunks that the records know."""
    done = _status_command(subject)
    status = _json_object(done.output)
    if status is None:
        what = Text(f"상태를 얻을 수 없습니다: {done.complaint}", f"no status: {done.complaint}")
        return unknown(what, measured=f"exit {done.code}", remedy="see-log")
    facts = index_facts(status)
    if facts is None:
        what = Text("상태에 문서와 색인의 수가 없습니다", "the status has no counts of records and index")
        return unknown(what, measured=listed(sorted(status)))
    measured, expected, agree = facts
    if agree:
        return passed(Text("일치합니다", "they agree"), measured=measured, expected=expected)
    what = Text("색인과 기록이 다릅니다", "index and records differ")
    why = Text("색인 중에 멈췄거나 파일이 손상되었습니다", "indexing was cut short, or a file is damaged")
    return Outcome(Status.FAIL, what, measured, expected, why, "rebuild-index")


def index_facts(status: Dict[str, Any]) -> Optional[Tuple[str, str, bool]]:
    """Return measured, expected and whether index and records agree, from ``ragtrace status --json``."""
    told = status.get("index_in_step")
    chunks, indexed = status.get("chunks"), status.get("index_chunks")
    if isinstance(chunks, int) and isinstance(indexed, int):
        agree = chunks == indexed and told is not False
        return f"{indexed} indexed", f"{chunks} recorded", agree
    if isinstance(told, bool):
        return f"in step: {told}", "in step: True", told
    return None


@check(
    "RAG-007",
    RAGTRACE,
    Text("실제 질문 하나", "One real question"),
    severity=Severity.CRITICAL,
    timeout_s=45,
    needs_service=True,
)
def one_question(subject: Subject) -> Outcome:
    """A question over ``POST /query`` is answered, with sources when there are documents."""
    reply = first_with_sources(subject)
    if reply.status == 0 and http.ask(subject, "GET", subject.service.health_path).status == 0:
        return skipped(NOT_RUNNING)
    kinds = answer_kinds(reply.body)
    measured = f"HTTP {reply.status}, {len(kinds)} items, {reply.seconds * 1000:.0f} ms"
    code = reply.body.get("status_code")
    if reply.status != 200 or code not in (200, "200"):
        what = Text("질문에 실패했습니다", "the question failed")
        measured = reply.problem or f"HTTP {reply.status}, {str(reply.body.get('detail', reply.body))[:200]}"
        return Outcome(Status.FAIL, what, measured, "status_code 200", None, "see-log")
    documents = document_count(subject)
    if "R" in kinds:
        return passed(Text("출처와 함께 답했습니다", "answered with sources"), measured=measured)
    if documents == 0:
        return passed(
            Text(
                "답했습니다 (아직 문서가 없어 출처도 없습니다)", "answered (no documents yet, so no sources)"
            ),
            measured=measured,
        )
    if documents is None:
        what = Text(
            "출처 없이 답했고 문서 수를 알 수 없습니다",
            "answered without sources, and the number of documents is unknown",
        )
        return unknown(what, measured=measured)
    what = Text("문서가 있는데 출처가 없습니다", "there are documents, but no sources")
    why = Text(
        "색인이 비었거나 질문과 맞는 내용이 없습니다", "the index is empty, or nothing fits the question"
    )
    return Outcome(Status.WARN, what, measured, f"sources from {documents} documents", why, "index-again")


def ask_question(subject: Subject, *, timeout_s: float, text: str = "") -> http.Reply:
    """Send one question as an existing client does, in a room of the validator's own."""
    body = {
        "qry_id": f"validator-{os.getpid()}-{time.time_ns()}",
        "user_id": "validator",
        "page_id": "validator",
        "qry_contents": text or probe_questions(subject)[0],
        "qry_time": time.strftime("%Y-%m-%d %H:%M:%S"),
    }
    return http.ask(subject, "POST", "/query", body, timeout_s=timeout_s)


def first_with_sources(subject: Subject) -> http.Reply:
    """Ask one question after the other until an answer has sources; return that answer, else the last."""
    reply = http.Reply(0, {}, "", 0.0)
    for text in probe_questions(subject):
        reply = ask_question(subject, timeout_s=9, text=text)
        if reply.status != 200 or "R" in answer_kinds(reply.body):
            break
    return reply


def probe_questions(subject: Subject) -> List[str]:
    """Return questions the documents can answer: titles of some of them, else one general question."""
    if "questions" not in subject.remembered:
        done = commands.run_service(subject, ["documents", "list", "--limit", "3", "--json"], timeout_s=12)
        subject.remembered["questions"] = _titles(_json_object(done.output)) or [QUESTION]
    questions: List[str] = subject.remembered["questions"]
    return questions


def _titles(listing: Optional[Dict[str, Any]]) -> List[str]:
    documents = listing.get("documents") if listing else None
    found = documents if isinstance(documents, list) else []
    titles = [item.get("title") for item in found if isinstance(item, dict)]
    return [title[:200] for title in titles if isinstance(title, str) and title.strip()]


def answer_kinds(body: Dict[str, Any]) -> List[str]:
    """Return the ``rsp_type`` of every item of an answer."""
    items = body.get("data_list")
    if not isinstance(items, list):
        return []
    return [str(item.get("rsp_type", "")) for item in items if isinstance(item, dict)]


def document_count(subject: Subject) -> Optional[int]:
    """Return how many documents are recorded, or nothing when the service's command cannot say."""
    status = _status(subject)
    count = status.get("documents") if status else None
    return count if isinstance(count, int) else None


def _status(subject: Subject) -> Optional[Dict[str, Any]]:
    return _json_object(_status_command(subject).output)


def _status_command(subject: Subject) -> commands.Finished:
    """Run ``ragtrace status --json`` once for all checks of this child."""
    if "status" not in subject.remembered:
        subject.remembered["status"] = commands.run_service(subject, ["status", "--json"], timeout_s=18)
    done: commands.Finished = subject.remembered["status"]
    return done


def _json_object(output: str) -> Optional[Dict[str, Any]]:
    match = re.search(r"^\{", output, re.MULTILINE)
    try:
        value = json.loads(output[match.start() :]) if match else None
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


@check(
    "RAG-008",
    RAGTRACE,
    Text("서비스 프로세스", "Service process"),
    platforms=("linux",),
    needs_service=True,
)
def one_service(subject: Subject) -> Outcome:
    """Not more than one service of this prefix runs; two would fight over one index."""
    found = procfs.service_processes(subject)
    measured = ", ".join(f"pid {process.pid}" for process in found) or "none"
    parents = {process.pid for process in found}
    roots = [process for process in found if procfs.parent(process.pid) not in parents]
    if len(roots) > 1:
        what = Text(
            "같은 설치의 서비스가 둘 이상 실행 중입니다",
            "more than one service of this installation is running",
        )
        why = Text("서비스를 손으로 한 번 더 시작했습니다", "the service was started once more by hand")
        return Outcome(Status.FAIL, what, measured, "<= 1", why, "restart")
    return passed(Text("하나 이하입니다", "not more than one"), measured=measured, expected="<= 1")


CHECKS: Tuple[Check, ...] = (
    pointer,
    command_line,
    configuration,
    running,
    ready,
    consistent,
    one_question,
    one_service,
)
