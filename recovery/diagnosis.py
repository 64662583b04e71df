"""Read a validator report strictly: it may come from anywhere, so only ids and statuses are believed."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Tuple

from bundle.errors import UsageProblem
from bundle.text import Text
from validator import limits
from validator.model import Status
from validator.report import FORMAT
from validator.subject import Unreadable, read_limited

_ID = re.compile(r"[A-Z]{2,5}-[0-9]{3}\Z")
_DEPTH = 12


@dataclass(frozen=True)
class Finding:
    """One check of the report that did not simply pass."""

    id: str
    status: Status


@dataclass(frozen=True)
class Diagnosis:
    """What is taken from a report: when, about which prefix, and the open findings."""

    timestamp: str
    prefix: str
    findings: Tuple[Finding, ...]


class _Refused(ValueError):
    """The report is not what a validator writes."""


def read_diagnosis(path: Path) -> Diagnosis:
    """Return the findings of a report file.

    Raises:
        UsageProblem: the file cannot be read, is too large, truncated, of another format or hostile.
    """
    try:
        return parse(read_limited(path, limits.REPORT_BYTES))
    except (Unreadable, _Refused) as error:
        raise UsageProblem(
            Text(f"진단 보고서를 받아들일 수 없습니다: {error}", f"the diagnosis report is refused: {error}"),
            where=str(path),
            state=Text("아무것도 바꾸지 않았습니다", "nothing was changed"),
            hint=Text(
                "보고서를 새로 만드십시오: enterprise_validator.py --output report.json",
                "make a new one: enterprise_validator.py --output report.json",
            ),
        ) from error


def parse(data: bytes) -> Diagnosis:
    """Return the findings of a report's bytes; `_Refused` says what is wrong with it."""
    document = _document(data)
    if document.get("format") != FORMAT:
        raise _Refused(f"not a report of format {FORMAT}")
    entries = document.get("validation_results")
    if not isinstance(entries, list) or len(entries) > limits.REPORT_RESULTS:
        raise _Refused("validation_results is not a list of acceptable length")
    findings: List[Finding] = []
    seen = set()
    for number, entry in enumerate(entries):
        finding = _finding(entry, number)
        if finding.id in seen:
            raise _Refused(f"validation_results[{number}]: {finding.id} appears twice")
        seen.add(finding.id)
        if finding.status not in (Status.PASS, Status.SKIP):
            findings.append(finding)
    return Diagnosis(_text(document, "timestamp", 64), _text(document, "prefix", 4096), tuple(findings))


def _document(data: bytes) -> Dict[str, Any]:
    _check_depth(data)
    try:
        document = json.loads(data.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant)
    except (UnicodeDecodeError, RecursionError) as error:
        raise _Refused("not UTF-8 JSON") from error
    except _Refused:
        raise
    except ValueError as error:
        raise _Refused(f"not JSON, or truncated: {str(error)[:120]}") from error
    if not isinstance(document, dict):
        raise _Refused("not a JSON object")
    return document


def _finding(entry: object, number: int) -> Finding:
    where = f"validation_results[{number}]"
    if not isinstance(entry, dict):
        raise _Refused(f"{where} is not an object")
    identity, status = entry.get("id"), entry.get("raw_status")
    if not isinstance(identity, str) or not _ID.match(identity):
        raise _Refused(f"{where}.id is not a check id")
    if not isinstance(status, str) or status not in {item.value for item in Status}:
        raise _Refused(f"{where}.raw_status is not a status")
    return Finding(identity, Status(status))


def _text(document: Dict[str, Any], key: str, limit: int) -> str:
    value = document.get(key)
    if not isinstance(value, str) or len(value) > limit or not value.isprintable():
        raise _Refused(f"{key} is not an acceptable text")
    return value


def _unique(pairs: "List[Tuple[str, Any]]") -> Dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise _Refused("a key appears twice in one object")
    return made


def _no_constant(name: str) -> None:
    raise _Refused(f"{name} is not a number")


_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)


def _check_depth(data: bytes) -> None:
    """Refuse deep nesting before the recursive parser sees it."""
    depth = 0
    for token in _TOKEN.finditer(data):
        if token.group() in (b"[", b"{"):
            depth += 1
        elif token.group() in (b"]", b"}"):
            depth -= 1
        if depth > _DEPTH:
            raise _Refused("nested too deeply")
