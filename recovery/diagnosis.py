"""Read a validator report strictly: it may come from anywhere, so only ids and statuses are believed.

A report of another version is read as far as that goes: checks that this version does not know, statuses that it does
not know (they count as ``unknown``) and keys that it does not know. None of its texts is ever shown, run, or made part
of a command.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import List, Optional

from bundle import strictjson
from bundle.errors import UsageProblem
from bundle.text import Text
from validator import limits
from validator.model import Status
from validator.report import FORMAT
from validator.subject import Unreadable, read_limited

_ID = re.compile(r"[A-Z]{2,5}-[0-9]{3}\Z")
_STATUS = re.compile(r"[A-Za-z_-]{1,20}\Z")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z\Z")
_PREFIX_CHARACTERS = 4096


@dataclass(frozen=True)
class Finding:
    """One check of the report that did not simply pass; a waived one has been accepted by a person."""

    id: str
    status: Status
    waived: bool = False


@dataclass(frozen=True)
class Diagnosis:
    """What is taken from a report: when (empty where it does not say), about which prefix, and the findings."""

    timestamp: str
    prefix: str
    findings: "tuple[Finding, ...]"


def read_diagnosis(path: Path) -> Diagnosis:
    """Return the findings of a report file.

    Raises:
        UsageProblem: the file cannot be read, is too large, truncated, of another format or hostile.
    """
    try:
        return parse(read_limited(path, limits.REPORT_BYTES))
    except (Unreadable, ValueError) as error:
        raise UsageProblem(
            Text(f"진단 보고서를 받아들일 수 없습니다: {error}", f"the diagnosis report is refused: {error}"),
            where=str(path),
            state=Text("아무것도 바꾸지 않았습니다", "nothing was changed"),
            hint=Text(
                "이 호스트의 검증기로 새로 만드십시오: enterprise_validator.py --output report.json",
                "make a new one with this host's validator: enterprise_validator.py --output report.json",
            ),
        ) from error


def parse(data: bytes) -> Diagnosis:
    """Return the findings of a report's bytes.

    Raises:
        ValueError: it is not what a validator writes; the text names the field and holds nothing of the report.
    """
    document = strictjson.parse(data, "report", fractions=True)
    if document.value.get("format") != FORMAT or isinstance(document.value["format"], bool):
        raise ValueError(f"not a report of format {FORMAT}")
    if not isinstance(document.get("validation_results"), list):
        raise ValueError("report.validation_results is not a list")
    if len(document.value["validation_results"]) > limits.REPORT_RESULTS:
        raise ValueError("report.validation_results has too many entries")
    findings: List[Finding] = []
    seen = set()
    for finding in document.items("validation_results", _finding):
        if finding.id in seen:
            raise ValueError("report.validation_results names a check twice")
        seen.add(finding.id)
        if finding.status not in (Status.PASS, Status.SKIP):
            findings.append(finding)
    return Diagnosis(_timestamp(document), _prefix(document), tuple(findings))


def _finding(entry: strictjson.Fields) -> Finding:
    identity = entry.text("id", _ID)
    word = entry.text("raw_status" if "raw_status" in entry.value else "status", _STATUS).lower()
    known = _known(word)
    return Finding(identity, known or Status.UNKNOWN, entry.value.get("waiver") is not None)


def _known(word: str) -> Optional[Status]:
    return next((status for status in Status if status.value == word), None)


def _timestamp(document: strictjson.Fields) -> str:
    value = document.value.get("timestamp")
    return value if isinstance(value, str) and _TIME.match(value) else ""


def _prefix(document: strictjson.Fields) -> str:
    value = document.text("prefix")
    if len(value) > _PREFIX_CHARACTERS or "\0" in value:
        raise ValueError("report.prefix is not a path")
    return value
