"""Security: is the audit log whole, and are the files that say whom we trust readable?"""

from __future__ import annotations

from typing import Any, Dict, List, Tuple

from bundle import chaincheck
from bundle.errors import RagTraceError
from bundle.text import Text
from validator.host import accepted
from validator.model import Category, Check, Outcome, Severity, Status, check, passed, skipped
from validator.names import listed
from validator.subject import Subject, Unreadable, checksum_of, read_json_object, read_limited

EXPECTED = "an unbroken chain to its noted end, readable trust files"


@check(
    "SEC-012",
    Category.SECURITY,
    Text("감사 기록의 사슬과 신뢰 파일", "Chain of the audit log, and trust files"),
    severity=Severity.HIGH,
    timeout_s=20,
    needs_installation=True,
)
def audit_chain(subject: Subject) -> Outcome:
    """No record of the audit log was changed, put in or cut off; the files in ``trust`` are as they were written.

    The end is noted in ``audit-head.json``, and the active release has to be in the log: somebody who may write every
    file can still write all of it anew, which only a head noted elsewhere shows (``install.py --audit``).
    """
    if accepted.pending(subject):
        return skipped(
            Text("릴리스가 아직 확정되지 않았습니다", "the release is not accepted yet; its record follows")
        )
    log = chaincheck.read(subject.prefix / "state")
    problems = [finding.text() for finding in log.problems] + _trust_problems(subject)
    measured = f"{len(log.records)} records in {len(log.files)} files, head {log.n}:{log.digest[:16]}"
    if not log.records:
        problems.append(Text("감사 기록이 없습니다", "there is no audit log"))
    if problems:
        what = Text(
            "손상되었습니다: " + listed(item.ko for item in problems),
            "damaged: " + listed(item.en for item in problems),
        )
        why = Text(
            "누군가 고쳤거나 지웠거나, 디스크가 손상되었습니다. 파일을 그대로 두고 보안 담당자에게 알리십시오",
            "somebody changed or removed it, or the disk is damaged; keep the files and tell your security team",
        )
        return Outcome(Status.FAIL, what, measured, EXPECTED, why)
    if not _names_active(subject, log):
        what = Text(
            "활성 릴리스에 관한 기록이 없습니다", "there is no record about the active release in the log"
        )
        why = Text(
            "기록의 끝이 통째로 옛것으로 바뀌었거나, 설치 끝에 기록을 쓰지 못했습니다",
            "the log and its head were put back to an older state, or the record could not be written",
        )
        return Outcome(Status.WARN, what, measured, EXPECTED, why)
    return passed(Text("사슬이 온전합니다", "the chain is intact"), measured=measured, expected=EXPECTED)


def _names_active(subject: Subject, log: chaincheck.Log) -> bool:
    assert subject.generation is not None
    active = accepted.release_of(subject.generation.name)
    return any(accepted.release_of(record.get("to", "")) == active for record in log.records)


def _trust_problems(subject: Subject) -> List[Text]:
    """Return what is wrong with the files in ``trust``; only the record of accepted releases must be there."""
    folder = subject.prefix / "trust"
    problems: List[Text] = []
    for name in ("accepted.json", "records.json"):
        if not (folder / name).exists():
            if name == "accepted.json":
                problems.append(Text(f"trust/{name}: 없습니다", f"trust/{name}: it is missing"))
            continue
        try:
            document = read_json_object(folder / name)
            if document.get("checksum") != checksum_of(document):
                raise Unreadable("its checksum does not match its content")
            if name == "records.json":
                _parse_records(document)
        except (Unreadable, RagTraceError, KeyError, TypeError, ValueError) as error:
            problems.append(_damaged(name, error))
    if (folder / "allowed_signers").exists():
        try:
            _parse_signers(read_limited(folder / "allowed_signers").decode("utf-8"))
        except (Unreadable, RagTraceError, ValueError) as error:
            problems.append(_damaged("allowed_signers", error))
    return problems


def _parse_signers(text: str) -> None:
    from bundle.trust import parse_allowed_signers

    parse_allowed_signers(text)


def _parse_records(document: Dict[str, Any]) -> None:
    from bundle.trustrecords import parse_record

    records = document["records"]
    if not isinstance(records, list) or not records:
        raise ValueError("no records")
    for item in records:
        parse_record(str(item["record"]).encode("utf-8"), "records.json")


def _damaged(name: str, error: Exception) -> Text:
    text = error.summary if isinstance(error, RagTraceError) else Text(str(error)[:200], str(error)[:200])
    return Text(f"trust/{name}: {text.ko}", f"trust/{name}: {text.en}")


CHECKS: Tuple[Check, ...] = (audit_chain,)
