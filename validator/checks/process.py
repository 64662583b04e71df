"""RAGTrace and security: the running service and its registration are what the installer makes of them."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Dict, List, Optional, Tuple

from bundle.text import Text
from validator.host import procfs, unit
from validator.model import Category, Check, Outcome, Severity, Status, check, passed, skipped, unknown
from validator.names import listed
from validator.subject import Subject, Unreadable, read_limited

LINUX = ("linux",)
NO_PROCESS = Text("실행 중인 서비스 프로세스가 없습니다", "no service process is running")
# Set by whoever starts the service, never by the installer: code from elsewhere, and ways out of the house.
HARMFUL = re.compile(r"(PYTHON(PATH|HOME|STARTUP|USERBASE|INSPECT|EXECUTABLE|BREAKPOINT)|(LD|DYLD)_.+)\Z")
PROXY = re.compile(r"(https?|ftp|all|socks)_proxy\Z", re.IGNORECASE)
# A value that the service manager, the service and we read alike; of others only the presence is compared.
_PLAIN = re.compile(r"[^\s\"'\\$`#;]*\Z")


class Seen:
    """What one process has that it should not have, by kind; names only, never values."""

    def __init__(self) -> None:
        self.wrong: List[str] = []
        self.late: List[str] = []

    @property
    def everything(self) -> List[str]:
        """Return all of it, each once."""
        return list(dict.fromkeys([*self.wrong, *self.late]))


@check(
    "RAG-009",
    Category.RAGTRACE,
    Text("실행 중인 서비스의 환경과 명령줄", "Environment and command line of the running service"),
    severity=Severity.HIGH,
    platforms=LINUX,
    needs_service=True,
)
def as_installed(subject: Subject) -> Outcome:
    """The running process is the one that the installer starts: interpreter, command line, folder and variables.

    The variables are those of the unit and of ``config/.env``; nothing that loads other code (``PYTHONPATH``,
    ``LD_PRELOAD``) and no proxy is among them. Only names are shown. SEC-006 looks at the offline switches.
    """
    if subject.noted.get("manager") == "none":
        what = "서비스를 설치 프로그램이 시작하지 않습니다", "the installer does not start the service"
        return skipped(Text(*what))
    running = procfs.service_processes(subject)
    if not running:
        return skipped(NO_PROCESS)
    if subject.settings_hidden:
        what = "config/.env를 볼 권한이 없습니다", "not permitted to see config/.env"
        return unknown(Text(*what))
    seen = Seen()
    for process in running:
        found = procfs.environment(process.pid)
        if found is None and not procfs.exists(process.pid):
            continue
        if found is None:
            what = "프로세스의 환경을 볼 권한이 없습니다", "not permitted to see the process's environment"
            return unknown(Text(*what), measured=f"pid {process.pid}")
        _compare_command(subject, process, seen)
        _compare_place(subject, process.pid, seen)
        _compare_variables(subject, process.pid, found, seen)
    expected = "as the installer starts it"
    if not seen.everything:
        return passed(
            Text("설치 프로그램이 시작한 그대로입니다", "as the installer starts it"),
            measured=", ".join(f"pid {process.pid}" for process in running),
            expected=expected,
        )
    names = listed(seen.everything)
    what = "설치된 것과 다릅니다: " + names, "not as installed: " + names
    why = (
        (
            "다른 방법으로 시작했거나 유닛이 바뀌었습니다",
            "it was started in another way, or its unit was changed",
        )
        if seen.wrong
        else ("시작한 뒤에 바뀌었습니다", "this was changed after it had started")
    )
    status = Status.FAIL if seen.wrong else Status.WARN
    return Outcome(status, Text(*what), names, expected, Text(*why), "restart")


def expected_command(subject: Subject) -> Tuple[str, ...]:
    """Return the command line as the installer's units have it."""
    places = {
        "{home}": subject.prefix,
        "{config}": subject.prefix / "config" / "ragtrace.yaml",
        "{data}": subject.prefix / "data",
    }
    words = []
    for word in subject.service.arguments:
        for name, place in places.items():
            word = word.replace(name, str(place))
        words.append(word)
    return (str(subject.python), "-m", subject.service.module, *words)


def _compare_command(subject: Subject, process: procfs.Process, seen: Seen) -> None:
    if process.command[1:] != expected_command(subject)[1:]:
        seen.wrong.append("command line")
    if not _same_path(process.command[0], str(subject.python)):
        seen.wrong.append("interpreter of another generation")


def _compare_place(subject: Subject, pid: int, seen: Seen) -> None:
    program, folder = procfs.link(pid, "exe"), procfs.link(pid, "cwd")
    # A host's own Python that was upgraded meanwhile: the old one lives on until the restart.
    if program.endswith(" (deleted)"):
        seen.late.append("interpreter file replaced since the start")
    elif program and not _same_path(program, str(subject.python)):
        seen.wrong.append("interpreter")
    if folder and not _same_path(folder, str(subject.prefix / "data")):
        seen.wrong.append("working directory")


def _compare_variables(subject: Subject, pid: int, found: Dict[str, str], seen: Seen) -> None:
    assert subject.generation is not None
    # Lines that are no variables are passed over by every service manager.
    settings = {name: value for name, value in subject.settings.items() if name.isidentifier()}
    unit_gives = {
        "RAGTRACE_HOME": str(subject.prefix),
        "RAGTRACE_CONFIG": str(subject.prefix / "config" / "ragtrace.yaml"),
        "RAGTRACE_GENERATION": subject.generation.name,
        "PYTHONPYCACHEPREFIX": str(subject.prefix / "data" / "cache" / "pycache"),
        "PYTHONNOUSERSITE": "1",
    }
    for name, value in {**unit_gives, **settings}.items():
        same = found.get(name) == value or (
            name in found
            and (not _PLAIN.match(value) or (name in unit_gives and _same_path(found[name], value)))
        )
        if not same:
            late = name in settings and _edited_since(subject.prefix / "config" / ".env", pid)
            (seen.late if late else seen.wrong).append(name)
    for name in sorted(found):
        told = name in settings
        if HARMFUL.match(name) or (PROXY.match(name) and found[name] and not told):
            seen.wrong.append(name)
        elif name.startswith("RAGTRACE_") and not told and name not in unit_gives:
            late = _edited_since(subject.prefix / "config" / ".env", pid)
            (seen.late if late else seen.wrong).append(name)


def _edited_since(path: Path, pid: int) -> bool:
    """Tell whether a file was written after the process began, give or take the clock's grain."""
    try:
        return path.stat().st_mtime > procfs.started(pid) + 1
    except OSError:
        return False


def _same_path(left: str, right: str) -> bool:
    return left == right or os.path.realpath(left) == os.path.realpath(right)


@check(
    "SEC-013",
    Category.SECURITY,
    Text("서비스 등록(유닛)의 원본 일치", "The unit is what the installer writes"),
    severity=Severity.HIGH,
    platforms=("linux", "darwin"),
    timeout_s=20,
    needs_service=True,
)
def unit_as_written(subject: Subject) -> Outcome:
    """Unit, property list or crontab line are what this release's installer would write now; no drop-in loosens it.

    The installer derives them from the pointer, ``state/service.json`` and ``config/.env``. Local drop-ins that
    limit resources or change restarts are the operator's own affair.
    """
    try:
        wanted = unit.expected(subject)
    except unit.Unsaid as error:
        why = Text(f"비교할 수 없습니다: {error}", f"cannot be compared: {error}")
        return skipped(why) if error.absent else unknown(why)
    if wanted.kind == "none":
        return skipped(
            Text(f"등록된 것이 없습니다 ({wanted.manager})", f"nothing is registered here ({wanted.manager})")
        )
    problem = _line_problem(wanted) if wanted.kind == "line" else _file_problem(wanted)
    if problem is None:
        return passed(Text("그대로입니다", "as written"), measured=wanted.place, expected="as written")
    why = Text("설치한 뒤에 누군가 바꿨습니다", "somebody changed it after the installation")
    return Outcome(Status.FAIL, problem, wanted.place, "as written", why, "restore-unit")


def _line_problem(wanted: unit.Registration) -> Optional[Text]:
    if wanted.found == wanted.text:
        return None
    if not wanted.found:
        return Text(
            "재부팅 뒤 서비스를 시작하는 crontab 줄이 없습니다",
            "the crontab's line that starts the service after a reboot is gone",
        )
    return Text("crontab 줄이 바뀌었습니다", "the crontab's line was changed")


def _file_problem(wanted: unit.Registration) -> Optional[Text]:
    place = Path(wanted.place)
    if not os.path.lexists(place):
        return Text(f"유닛이 없습니다: {place}", f"the unit is missing: {place}")
    try:
        found = read_limited(place).decode("utf-8", "replace")
    except Unreadable as error:
        return Text(f"유닛을 읽을 수 없습니다: {error}", f"the unit cannot be read: {error}")
    if found != wanted.text:
        names = listed(unit.changed_lines(wanted.text, found))
        return Text("유닛이 바뀌었습니다: " + names, "the unit was changed: " + names)
    added = unit.read_drop_ins(place, wanted.text)
    if added:
        names = listed(f"{path} ({', '.join(keys)})" for path, keys in added.items())
        return Text("유닛을 바꾸는 drop-in: " + names, "drop-ins that change the unit: " + names)
    return None


CHECKS: Tuple[Check, ...] = (as_installed, unit_as_written)
