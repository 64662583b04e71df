"""Security: secrets where they do not belong."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Dict, List, Tuple

from bundle.text import Text, human_size
from validator.checks.tools import unit_path
from validator.host import commands, procfs
from validator.model import Category, Check, Outcome, Severity, Status, check, passed, unknown
from validator.names import listed
from validator.secrets.known import named_values, unread
from validator.secrets.search import Reading, Searcher, look
from validator.subject import Subject

# The check's own limit lies behind, so that it can say what it did not read.
PATIENCE_S = 12.0
JOURNAL_LINES = 4000
JOURNAL_TIMEOUT_S = 4.0
SYSTEMD = Path("/run/systemd/system")
EXPECTED = "no secret outside config"


@check(
    "SEC-011",
    Category.SECURITY,
    Text("제자리가 아닌 비밀 값", "Secrets where they do not belong"),
    severity=Severity.CRITICAL,
    platforms=("linux", "darwin"),
    timeout_s=20,
    memory_mb=384,
    needs_installation=True,
    own_process=True,
)
def stray_secrets(subject: Subject) -> Outcome:
    """No log, record, readable file or command line holds a secret value of the configuration or a private key."""
    named = named_values(subject.prefix)
    found = look(subject.prefix, named, time.monotonic() + PATIENCE_S)
    searcher = Searcher(named)
    places = [f"{_name(hit.path, subject.prefix)}:{hit.line} ({hit.what})" for hit in found.hits]
    places += _on_command_lines(subject, searcher)
    places += _in_journal(subject, searcher)
    measured = _extent(found, named)
    if places:
        what = Text("비밀 값이 있는 곳: " + listed(places), "a secret stands in: " + listed(places))
        why = Text(
            "이 파일이나 프로세스 목록을 볼 수 있는 사람은 비밀 값을 알 수 있습니다. 값을 지운 뒤 새 값으로 바꾸십시오",
            "whoever may see these files or the list of processes knows the secret; remove it, then replace it by a new one",
        )
        return Outcome(Status.FAIL, what, f"{len(places)}; {measured}", EXPECTED, why, "remove-secret")
    hidden = [*unread(subject.prefix), *(_name(path, subject.prefix) for path in found.unseen)]
    if hidden:
        what = Text("읽을 권한이 없습니다: " + listed(hidden), "not permitted to read: " + listed(hidden))
        return unknown(what, measured=measured, expected=EXPECTED)
    return passed(Text("없습니다", "none"), measured=measured, expected=EXPECTED)


def _extent(found: Reading, named: Dict[str, str]) -> str:
    """Return how much was looked at, and what was not."""
    keys = len(set(named.values()))
    read = f"{keys} secret keys, {found.files} files, {human_size(found.read_bytes)}"
    return read + (f", {human_size(found.left_bytes)} of older logs not read" if found.left_bytes else "")


def _on_command_lines(subject: Subject, searcher: Searcher) -> List[str]:
    """Return processes of the service whose arguments, which every user of the host may see, hold a secret."""
    if not procfs.PROC.is_dir():
        return []
    return [
        f"/proc/{process.pid}/cmdline ({what})"
        for process in procfs.service_processes(subject)
        for _, what in searcher.text(" ".join(process.command))
    ]


def _in_journal(subject: Subject, searcher: Searcher) -> List[str]:
    """Return whether the end of the service's journal holds a secret; without systemd there is none."""
    unit = unit_path(subject)
    if unit is None or not SYSTEMD.is_dir():
        return []
    argv = [
        "journalctl",
        "--no-pager",
        "--quiet",
        "--output=cat",
        f"--lines={JOURNAL_LINES}",
        "--unit",
        unit.name,
    ]
    done = commands.run(argv, timeout_s=JOURNAL_TIMEOUT_S)
    lines = ((done.output.count("\n", 0, at) + 1, what) for at, what in searcher.text(done.output))
    return [f"journalctl -u {unit.name}, line {number} ({what})" for number, what in lines][:3]


def _name(path: Path, prefix: Path) -> str:
    return path.relative_to(prefix).as_posix()


CHECKS: Tuple[Check, ...] = (stray_secrets,)
