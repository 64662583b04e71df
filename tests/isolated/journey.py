"""The whole way, as steps that gather evidence: a test makes claims about it, a demo shows it.

A step drives the product only by its commands and its HTTP interface.  It does not judge: what ended how, what
answered what and how long it took goes into `Evidence`.  A step that leaves nothing to go on with raises.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from time import sleep
from typing import Any, Literal

from bundle.text import Text, human_size
from tests.support import advisories

from .defects import DEFECTS
from .documents import QUESTIONS, Page, Question, gather
from .machine import IsolatedHost
from .outbound import Attempt, OutboundRecorder
from .releases import REPOSITORY, copy_project
from .service_view import Answer, State, ask, ask_streaming, state_of
from .story import Story
from .tools import Completed, HarnessError, run_here

PREFIX = "/opt/ragtrace"
DOCUMENTS = "/srv/documents"
SIGNERS = "/root/allowed_signers"
CARRIED = "/media/carried"
REPORT = "/root/report.json"
CLI = f"{PREFIX}/current/venv/bin/ragtrace"

BUILDER = (str(Path(sys.executable).resolve()), "create_enterprise_offline.py")

Installation = Literal["empty", "again", "broken", "good"]
TITLES: dict[Installation, Text] = {
    "empty": Text("첫 설치", "Install on the empty host"),
    "again": Text("같은 번들을 다시 설치", "Install the same bundle again"),
    "broken": Text("고장 난 버전으로 업그레이드", "Upgrade to a version that is broken"),
    "good": Text("새 버전으로 업그레이드", "Upgrade to a good version"),
}
# Runs inside the host: how long until this release says that it is ready.
POLL_READY = """
import json, sys, time, urllib.request
began = time.monotonic()
while True:
    try:
        with urllib.request.urlopen("http://127.0.0.1:8400/readyz", timeout=5) as reply:
            if json.load(reply)["generation"] == sys.argv[1] or not sys.argv[1]:
                break
    except OSError as error:
        print(error, file=sys.stderr)
    if time.monotonic() - began > float(sys.argv[2]):
        sys.exit("not ready in time")
    time.sleep(0.05)
print(time.monotonic() - began)
"""


@dataclass(frozen=True)
class Bundle:
    """What one run of the real builder left in its output folder."""

    archive: Path
    allowed_signers: Path
    build: Completed

    @property
    def stem(self) -> str:
        """Name of the folder that the archive unpacks to."""
        return self.archive.name.removesuffix(".tar.gz")


@dataclass
class Evidence:
    """Everything that was seen on the way, by step; what has not happened yet is missing."""

    pages: dict[str, Page] = field(default_factory=dict)
    boots: list[str] = field(default_factory=list)
    installs: dict[str, Completed] = field(default_factory=dict)
    active: dict[str, str] = field(default_factory=dict)
    states: dict[str, State] = field(default_factory=dict)
    commands: dict[str, Completed] = field(default_factory=dict)
    answers: dict[str, Answer] = field(default_factory=dict)
    streams: dict[str, tuple[Answer, list[str]]] = field(default_factory=dict)
    report: dict[str, Any] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    refused: dict[str, Completed] = field(default_factory=dict)
    trees: dict[str, str] = field(default_factory=dict)
    attempts: list[Attempt] | None = None


class Journey:
    """One host, one recorder, one folder, one story: the steps in the order in which they make sense."""

    def __init__(self, host: IsolatedHost, recorder: OutboundRecorder, folder: Path, story: Story) -> None:
        """Take a host that is not booted yet and a recorder that runs already."""
        self.host = host
        self.recorder = recorder
        self.folder = folder
        self.story = story
        self.seen = Evidence()
        self._since = 0

    def _step(self, korean: str, english: str) -> AbstractContextManager[None]:
        return self.story.step(Text(korean, english))

    def build(
        self,
        name: str,
        version: str | None = None,
        change: Callable[[Path], None] | None = None,
        words: Sequence[str] = (),
        program: Sequence[str] = BUILDER,
    ) -> Bundle:
        """Run the real builder: on the project as it is, or on a copy with another version and one change.

        `words` are what else is said on its command line; `program` is what runs it.
        """
        argv = [*program, "build"]
        if version is not None:
            project = copy_project(self.folder / f"project-{name}", version)
            if change is not None:
                change(project)
            # A copy is outside version control: its sources' time, and so its sequence, is now.
            argv += ["--project-root", str(project)]
        output = self.folder / f"dist-{name}"
        argv += ["--output-dir", str(output), "--lang", self.story.lang, *words]
        title = Text(
            f"번들 만들기: {version or '현재 소스'}",
            f"Build the bundle: {version or 'the sources as they are'}",
        )
        with self.story.step(title), advisories.serve() as services:
            # The real pip-audit asks, but the services it knows may be out of reach: OSV is played on loopback.
            self.story.say(
                Text(
                    f"취약점 서비스는 대역입니다: {services.osv_url}",
                    f"the advisory service is a stand-in: {services.osv_url}",
                )
            )
            argv += ["--audit", "osv", "--osv-url", services.osv_url]
            done = run_here(argv, cwd=REPOSITORY, timeout=1200, env=_connected_environment())
            self.story.ran(
                Completed(("python", *argv[1:]), done.returncode, done.stdout, done.stderr, done.seconds)
            )
            done.expect()
            bundle = Bundle(_only(output, "*.tar.gz"), _only(output, "allowed_signers*"), done)
            size = human_size(bundle.archive.stat().st_size)
            self.story.say(Text(f"{bundle.archive.name}, {size}", f"{bundle.archive.name}, {size}"))
        return bundle

    def gather_documents(self) -> None:
        """Fetch real Korean documents and lay them into the host, before it boots."""
        with self._step("실제 한국어 문서 준비", "Gather real Korean documents"):
            folder = self.folder / "documents"
            self.seen.pages = gather(folder)
            self.host.copy_in(folder, DOCUMENTS)
            count = len(self.seen.pages)
            self.story.say(
                Text(f"{count}쪽을 {DOCUMENTS}에 두었습니다", f"{count} pages laid into {DOCUMENTS}")
            )

    def boot(self) -> None:
        """Boot the host without a network; what it attempts from here on is recorded."""
        with self._step(
            "네트워크 없는 데비안 부팅 (systemd-nspawn)", "Boot Debian with no network (systemd-nspawn)"
        ):
            self._since = self.recorder.mark()
            self.seen.boots.append(self.host.boot())
            shown = self.host.run(
                ["sh", "-c", "tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' '"]
            ).stdout.strip()
            self.story.say(
                Text(
                    f"systemd: {self.seen.boots[-1]}, 네트워크 장치: {shown}, 밖으로 나가려는 시도를 기록하는 중",
                    f"systemd: {self.seen.boots[-1]}, network devices: {shown}, outbound attempts are being recorded",
                )
            )

    def carry_in(self, bundle: Bundle) -> str:
        """Carry archive and signers in, unpack with the host's own tar; return the unpacked folder."""
        with self._step(f"반입: {bundle.archive.name}", f"Carry in: {bundle.archive.name}"):
            self.host.copy_in(bundle.archive, f"{CARRIED}/{bundle.archive.name}")
            self.host.copy_in(bundle.allowed_signers, SIGNERS)
            self._run(["tar", "xzf", bundle.archive.name], cwd=CARRIED).expect()
            self.host.run(["rm", f"{CARRIED}/{bundle.archive.name}"]).expect()
        return f"{CARRIED}/{bundle.stem}"

    def install(self, name: Installation, unpacked: str, *arguments: str) -> Completed:
        """Run the installer of an unpacked bundle and look at what runs afterwards."""
        with self.story.step(TITLES[name]):
            done = self._installer(unpacked, *arguments)
            self.seen.installs[name] = done
            self._look(name)
        return done

    def install_by_shell(self, unpacked: str) -> Completed:
        """Install as on a host whose own interpreter does not fit, or that has none: by `install.sh`."""
        with self.story.step(Text("install.sh로 설치", "Install by install.sh")):
            argv = ["sh", "04_Scripts/install.sh", "--prefix", PREFIX, "--lang", self.story.lang]
            done = self._run([*argv, "--allowed-signers", SIGNERS], cwd=unpacked, timeout=600)
            self.seen.installs["empty"] = done
        return done

    def _installer(self, unpacked: str, *arguments: str) -> Completed:
        argv = ["python3", "04_Scripts/install.py", "--prefix", PREFIX, "--lang", self.story.lang]
        argv += arguments or ["--allowed-signers", SIGNERS]
        return self._run(argv, cwd=unpacked, timeout=600)

    def ingest(self) -> None:
        """Load the documents by the installed command line, as an operator would."""
        with self._step("문서 적재", "Ingest the documents"):
            self.seen.commands["ingest"] = self._run([CLI, "ingest", DOCUMENTS], timeout=600)
            self.seen.commands["ingest"].expect()
            self.seen.commands["ingest again"] = self._run([CLI, "ingest", DOCUMENTS], timeout=600)

    def question(self, questions: Sequence[Question] = QUESTIONS) -> None:
        """Ask over HTTP from inside the host, plain and streaming."""
        with self._step("질문과 답변 (HTTP)", "Ask questions over HTTP"):
            for question in questions:
                answer = ask(self.host, question.text)
                self.seen.answers[question.text] = answer
                self._tell(question, answer)
            self.seen.streams = {q.text: ask_streaming(self.host, q.text) for q in questions}
        self._look("first")

    def _tell(self, question: Question, answer: Answer) -> None:
        """Show a question with its answer and its first sources."""
        lines = [f"? {question.text}", f"  {' '.join(answer.text.split())}"]
        lines += [f"  [{number}] {source.title}" for number, source in enumerate(answer.sources[:2], 1)]
        self.story.show([*lines, f"  ({answer.status}, {answer.seconds:.2f} s)"])

    def validate(self, unpacked: str) -> None:
        """Run the bundle's validator and take its report out."""
        with self._step("검증기 보고서", "Validator report"):
            argv = ["python3", "06_Verification/enterprise_validator.py", "--prefix", PREFIX]
            argv += ["--output", REPORT, "--lang", self.story.lang]
            self.seen.commands["validator"] = self._run(argv, cwd=unpacked, timeout=600)
            self.host.copy_out(REPORT, self.folder / "report.json")
            self.seen.report = json.loads((self.folder / "report.json").read_text(encoding="utf-8"))
            counts = _counted(self.seen.report)
            overall = self.seen.report.get("overall_status")
            self.story.say(Text(f"전체 판정 {overall}: {counts}", f"overall {overall}: {counts}"))

    def roll_back(self, unpacked: str) -> None:
        """Go back to the release before; measure from the command's start until that release answers."""
        with self._step("이전 릴리스로 되돌리기", "Roll back to the release before"):
            wanted = self.seen.states["first"].generation
            with ThreadPoolExecutor(1) as beside:
                answered = beside.submit(self._seconds_until_ready, wanted)
                self.seen.installs["rollback"] = self._installer(unpacked, "--rollback")
                self.seen.seconds["rollback until answered"] = seconds = answered.result()
            self.story.say(
                Text(
                    f"명령을 시작한 지 {seconds:.1f}초 만에 이전 릴리스가 다시 답했습니다",
                    f"the earlier release answered again {seconds:.1f} s after the command was given",
                )
            )
            self._tell(QUESTIONS[0], ask(self.host, QUESTIONS[0].text))
            self._look("rollback")

    def refuse(self, unpacked: str) -> None:
        """Try to install the bundle with one defect after the other."""
        with self._step("손상된 번들 설치 시도", "Try to install the bundle with a defect"):
            self.seen.trees["before"] = self._tree()
            for name, defect in DEFECTS.items():
                self.story.say(Text(name, name))
                with defect(self.host.inside(unpacked)):
                    self.seen.refused[name] = self._installer(unpacked)
            self.seen.trees["after"] = self._tree()
            self._look("refused")

    def cut_power(self, name: str, unpacked: str, happened: Callable[[], bool]) -> None:
        """Pull the plug in the middle of an upgrade, as soon as `happened`; boot again and look."""
        with self._step(f"업그레이드 중 정전: {name}", f"Power cut during an upgrade: {name}"):
            with ThreadPoolExecutor(1) as beside:
                upgrade = beside.submit(self._installer, unpacked)
                while not happened():
                    if upgrade.done():
                        raise HarnessError(
                            f"the upgrade ended before the power cut: {upgrade.result().output}"
                        )
                    sleep(0.005)
                self.host.kill()
            self.seen.boots.append(self.host.boot())
            self._seconds_until_ready("")
            self._look(name)

    def generation_begun(self, known: set[str]) -> Callable[[], bool]:
        """Tell when a generation that is not `known` has got its environment's folder."""
        folder = self.host.inside(f"{PREFIX}/generations")
        return lambda: any(path.parent.name not in known for path in folder.glob("*/venv"))

    def pointer_switched(self) -> Callable[[], bool]:
        """Tell when the pointer names another generation than now."""
        pointer = self.host.inside(f"{PREFIX}/current.json")
        before = pointer.read_bytes()
        return lambda: pointer.read_bytes() != before

    def generations(self) -> set[str]:
        """Return the names of the generations on the host's disk."""
        return {path.name for path in self.host.inside(f"{PREFIX}/generations").iterdir()}

    def _tree(self) -> str:
        """Digest names, sizes, modes and times of everything installed; logs, locks and data move by themselves."""
        find = f"cd {PREFIX} && find . -path ./data -prune -o -path ./state -prune -o -printf '%p %s %m %T@\\n' | sort"
        return self.host.run(["sh", "-c", f"{find} | sha256sum"]).expect().stdout

    def restart_host(self) -> None:
        """Power the host off in order and on again: the service must come up by itself."""
        with self._step("호스트 재부팅", "Reboot the host"):
            self.host.shutdown()
            self.seen.boots.append(self.host.boot())
            self._seconds_until_ready(self.seen.states["rollback"].generation)
            self._look("rebooted")

    def _seconds_until_ready(self, generation: str, timeout: float = 120) -> float:
        """Ask inside the host again and again until this release (any, if empty) is ready; return how long that took."""
        argv = ["python3", "-c", POLL_READY, generation, str(timeout)]
        return float(self.host.run(argv, timeout=timeout + 30).expect().stdout)

    def count_attempts(self) -> None:
        """Ask the recorder what any process of the host has attempted since before its boot."""
        with self._step("밖으로 나가려는 시도", "Outbound attempts"):
            self.seen.attempts = self.recorder.attempts(self.host.namespaces, self._since)
            self.story.show([str(attempt) for attempt in self.seen.attempts])
            count = len(self.seen.attempts)
            self.story.say(
                Text(
                    f"부팅 전부터 지금까지 모든 프로세스의 외부 접속 시도: {count}건",
                    f"outbound attempts of all processes since before the boot: {count}",
                )
            )

    def _look(self, name: str) -> None:
        """Note what runs now: the unit's state, release, answers and stored documents."""
        self.seen.active[name] = self.host.run(["systemctl", "is-active", "ragtrace"]).stdout.strip()
        state = state_of(self.host, PREFIX, QUESTIONS[0])
        self.seen.states[name] = state
        active = self.seen.active[name]
        line = f"systemd: {active}, /readyz {state.readiness}, {state.version} {state.generation}"
        self.story.say(Text(f"{line}, 문서 {state.documents}건", f"{line}, {state.documents} documents"))

    def _run(self, argv: Sequence[str], *, cwd: str = "/root", timeout: float = 300) -> Completed:
        """Run a command inside and show it."""
        done = self.host.run(argv, cwd=cwd, timeout=timeout, env={"RAGTRACE_LANG": self.story.lang})
        self.story.ran(done)
        return done


def _only(folder: Path, pattern: str) -> Path:
    """Return the one file of this pattern that the builder left."""
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        raise HarnessError(f"expected one {pattern} in {folder}, found {[path.name for path in found]}")
    return found[0]


def _connected_environment() -> Mapping[str, str]:
    """The environment of the connected box, without what would point a build at this test's environment."""
    return {
        name: value
        for name, value in os.environ.items()
        if not re.match(r"(VIRTUAL_ENV|PYTEST_|PYTHON)", name)
    }


def _counted(report: Mapping[str, Any]) -> str:
    """Count the results of a report by status."""
    statuses = [str(result.get("status")) for result in report.get("validation_results", [])]
    return ", ".join(f"{statuses.count(status)} {status}" for status in sorted(set(statuses)))
