"""`--audit`: print the audit log and verify its chain."""

from __future__ import annotations

import argparse
import unicodedata
from typing import Any, Mapping, Sequence

from bundle.chaincheck import Finding, Log
from bundle.errors import IntegrityError
from bundle.text import Text

from .. import audit
from ..console import Console
from ..operations.session import UNCHANGED, require_installation
from ..paths import Prefix

_COLUMNS = (
    ("n", Text("번호", "no.")),
    ("time", Text("시각 (UTC)", "time (UTC)")),
    ("actor", Text("누가", "who")),
    ("host", Text("호스트", "host")),
    ("action", Text("작업", "action")),
    ("outcome", Text("결과", "outcome")),
    ("seconds", Text("초", "s")),
    ("release", Text("릴리스", "release")),
    ("signed", Text("번들 서명", "bundle signed by")),
)
_FINGERPRINT_CHARACTERS = 19
# What a person sees where a column would be too wide; --json has it whole.
_WIDEST = 44


def run(options: argparse.Namespace, prefix: Prefix, console: Console) -> int:
    """Carry out the command; a broken chain is an integrity error, after everything was printed."""
    require_installation(prefix)
    log = audit.read(prefix)
    text = Text(describe(log, "ko"), describe(log, "en"))
    if log.intact:
        console.report(text, {"ok": True, **_document(log)})
        return 0
    error = _broken(log, prefix)
    if console.as_json:
        console.report(text, {"ok": False, **error.as_dict(console.lang), **_document(log)})
        return error.exit_code
    console.report(text, {})
    raise error


def _document(log: Log) -> dict[str, Any]:
    return {
        "intact": log.intact,
        "files": log.files,
        "head": {"n": log.n, "sha256": log.digest},
        "problems": [_finding(item) for item in log.problems],
        "notices": [_finding(item) for item in log.notices],
        "records": log.records,
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {"file": finding.file, "line": finding.line, "reason": finding.reason.en}


def _broken(log: Log, prefix: Prefix) -> IntegrityError:
    first = log.problems[0]
    return IntegrityError(
        Text(
            f"감사 기록의 사슬이 끊겼습니다: {len(log.problems)}건",
            f"the chain of the audit log is broken: {len(log.problems)} finding(s)",
        ),
        where=f"{prefix.state / first.file}:{first.line}" if first.line else str(prefix.state / first.file),
        details=[finding.text() for finding in log.problems[:20]],
        state=UNCHANGED,
        hint=Text(
            "기록 파일을 그대로 보존하고, 누가 바꾸었는지 조사하십시오",
            "keep the files as they are, and find out who changed them",
        ),
    )


def describe(log: Log, lang: str) -> str:
    """Return the log as a table, and what there is to say about its chain."""
    rows = [[title.to(lang) for _, title in _COLUMNS]]
    rows += [[_cell(name, record) for name, _ in _COLUMNS] for record in log.records]
    widths = [max(_width(row[column]) for row in rows) for column in range(len(_COLUMNS))]
    lines = ["  ".join(_padded(cell, size) for cell, size in zip(row, widths)).rstrip() for row in rows]
    lines += [f"  * {finding.text().to(lang)}" for finding in log.notices]
    if log.intact:
        head = log.digest[:16]
        text = Text(
            f"사슬이 온전합니다: 기록 {log.n}건, 끝 {head}… (다른 곳에 적어 두면 잘린 것을 알 수 있습니다)",
            f"the chain is intact: {log.n} records, head {head}… (noted elsewhere, it tells of anything cut off)",
        )
        lines.append(text.to(lang))
    return "\n".join(lines)


def _cell(name: str, record: Mapping[str, Any]) -> str:
    if name == "release":
        ends = [str(record.get(key) or "") for key in ("from", "to")]
        value = " → ".join(end for end in ends if end) + (
            f" ({record['version']})" if record.get("version") else ""
        )
    elif name == "signed":
        value = ", ".join(key[:_FINGERPRINT_CHARACTERS] for key in _strings(record.get("signers")))
        if value and record.get("origin") != "verified":
            value += " ?"
    else:
        value = str(record.get(name, ""))
    # Names of users and hosts come from outside: nothing in them may drive a terminal.
    value = "".join(character if character.isprintable() else "?" for character in value)
    return value if len(value) <= _WIDEST or name == "release" else value[: _WIDEST - 1] + "…"


def _strings(value: object) -> Sequence[str]:
    return [str(item) for item in value] if isinstance(value, list) else []


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def _padded(text: str, width: int) -> str:
    return text + " " * (width - _width(text))
