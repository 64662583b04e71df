"""Read the audit log and check its chain: every line that does not follow the one before is named."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional

from .chainlog import (
    BROKEN,
    HEAD,
    NOTHING,
    Head,
    chained,
    file_bytes,
    file_name,
    numbers,
    parsed,
    read_head,
    split_lines,
)
from .text import Text


@dataclass(frozen=True)
class Finding:
    """Something worth saying about one line of the log."""

    file: str
    line: int
    reason: Text

    def text(self) -> Text:
        """Return it with its place."""
        place = f"{self.file}:{self.line}" if self.line else self.file
        return Text(f"{place}: {self.reason.ko}", f"{place}: {self.reason.en}")


@dataclass
class Log:
    """The whole log as read: every record, what breaks the chain, and what is merely worth knowing."""

    records: List[Dict[str, Any]] = field(default_factory=list)
    files: List[str] = field(default_factory=list)
    problems: List[Finding] = field(default_factory=list)
    notices: List[Finding] = field(default_factory=list)
    n: int = 0
    digest: str = NOTHING

    @property
    def intact(self) -> bool:
        """Whether nothing breaks the chain."""
        return not self.problems


def read(folder: Path) -> Log:
    """Read the whole log and check its chain.

    Raises:
        OSError: a file cannot be read.
    """
    log = Log()
    known = numbers(folder)
    head = read_head(folder)
    digests = {0: NOTHING}
    for place, number in enumerate(known, 1):
        name = file_name(number)
        log.files.append(name)
        if number != place:
            _problem(
                log, name, 0, Text(f"{file_name(place)}이(가) 없습니다", f"{file_name(place)} is missing")
            )
        _check_file(log, name, file_bytes(folder / name) or b"", number == known[-1], digests)
    _check_head(log, head, digests, (folder / HEAD).exists())
    return log


def _check_file(log: Log, name: str, data: bytes, last: bool, digests: Dict[int, str]) -> None:
    loose, number = b"", 0
    for number, line in enumerate(split_lines(data), 1):
        record = chained(line)
        if record is None:
            loose += line
            entry = parsed(line)
            if entry is not None:
                log.records.append(entry)
            continue
        _check_record(log, name, number, record, loose)
        loose = b""
        log.records.append(record)
        log.n, log.digest = record["n"], hashlib.sha256(line[:-1]).hexdigest()
        digests[log.n] = log.digest
    if loose and not last:
        _problem(
            log, name, number, Text("사슬에 없는 내용이 끝에 있습니다", "something unchained at the end")
        )
    elif loose and log.n == 0:
        _notice(log, name, number, Text("사슬이 생기기 전의 기록입니다", "written before there was a chain"))
    elif loose:
        text = Text(
            "쓰다 만 줄이 끝에 있습니다 (다음 기록이 닫습니다)",
            "a torn line at the end; the next record closes it",
        )
        _notice(log, name, number, text)


def _check_record(log: Log, name: str, number: int, record: Mapping[str, Any], loose: bytes) -> None:
    expected = log.digest
    if loose and log.n == 0:
        expected = hashlib.sha256(loose).hexdigest()
        text = Text(
            "이 앞은 사슬이 생기기 전의 기록입니다", "what is before this line is older than the chain"
        )
        _notice(log, name, number, text)
    elif loose:
        gap = record.get("gap")
        found = {"bytes": len(loose), "sha256": hashlib.sha256(loose).hexdigest()}
        if gap == found:
            text = Text(
                f"이 앞의 {len(loose)}바이트는 쓰다 만 줄이며 이 기록으로 닫혔습니다",
                f"{len(loose)} bytes of a torn line before it, closed by this record",
            )
            _notice(log, name, number, text)
        else:
            _problem(
                log, name, number, Text("이 앞에 사슬에 없는 줄이 있습니다", "unchained lines before it")
            )
    if record["n"] != log.n + 1:
        text = Text(
            f"번호가 이어지지 않습니다: {log.n} 다음에 {record['n']}",
            f"the numbers do not follow: {record['n']} after {log.n}",
        )
        _problem(log, name, number, text)
    elif record["previous"] != expected:
        text = Text(
            "앞의 줄이 바뀌었거나 이 줄이 그 줄을 따르지 않습니다",
            "the line before it was changed, or this line does not follow it",
        )
        _problem(log, name, number, text)
    elif record.get("action") == BROKEN:
        text = Text(
            "기록한 사람이 사슬의 끝을 믿지 못했습니다", "its writer could not trust the end of the chain"
        )
        _problem(log, name, number, text)


def _check_head(log: Log, head: Optional[Head], digests: Mapping[int, str], exists: bool) -> None:
    if head is None:
        if log.n > 1 or exists:
            text = Text(
                "없거나 손상되어 끝이 잘렸는지 알 수 없습니다",
                "missing or damaged: nobody can say whether the end was cut off",
            )
            _problem(log, HEAD, 0, text)
        return
    if head.n > log.n:
        text = Text(
            f"기록 {log.n + 1}–{head.n}이(가) 없습니다: 끝이 잘렸습니다",
            f"records {log.n + 1} to {head.n} are gone: the end was cut off",
        )
        _problem(log, HEAD, 0, text)
    elif digests.get(head.n) != head.digest:
        text = Text(f"기록 {head.n}이(가) 바뀌었습니다", f"record {head.n} is not the one that was written")
        _problem(log, HEAD, 0, text)


def _problem(log: Log, name: str, number: int, reason: Text) -> None:
    log.problems.append(Finding(name, number, reason))


def _notice(log: Log, name: str, number: int, reason: Text) -> None:
    log.notices.append(Finding(name, number, reason))
