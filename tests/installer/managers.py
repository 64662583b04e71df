"""Service managers played by one object each: they take the commands, keep what the real ones keep and answer in
their words, but the processes they start are real. What they say was written after the manuals and published
transcripts of the real programs; `launchctl` and `schtasks` themselves were never run for this."""

from __future__ import annotations

import os
import plistlib
import shlex
import signal
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path

Completed = subprocess.CompletedProcess[bytes]


def answer(code: int = 0, out: str = "", err: str = "") -> Completed:
    """Return what a program came to."""
    return subprocess.CompletedProcess([], code, out.encode(), err.encode())


class Manager(ABC):
    """What they have in common: commands seen, processes started."""

    def __init__(self) -> None:
        self.seen: list[list[str]] = []
        self.fails = ""
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def __call__(self, command: Sequence[str], stdin: bytes = b"") -> Completed:
        """Take one command."""
        words = list(command)
        self.seen.append(words)
        if self.fails and self.fails in words:
            return answer(1, err="refused")
        return self.carry_out(words, stdin)

    @abstractmethod
    def carry_out(self, words: list[str], stdin: bytes) -> Completed:
        """Do it."""

    def spawn(
        self, name: str, command: list[str], environment: Mapping[str, str], folder: str, log: str = ""
    ) -> None:
        """Start a process in a session of its own; the one before has ended, or is about to."""
        if name in self.processes:
            self.processes[name].wait(20)
        with open(log or os.devnull, "ab") as output:
            self.processes[name] = subprocess.Popen(
                command, env={"PATH": os.environ["PATH"], **environment}, cwd=folder, stdin=subprocess.DEVNULL,
                stdout=output, stderr=output, start_new_session=True,
            )  # fmt: skip

    def pid(self, name: str) -> int:
        """Return the number of a process that lives, or 0."""
        process = self.processes.get(name)
        return process.pid if process is not None and process.poll() is None else 0

    def end(self, name: str, number: int = signal.SIGTERM) -> None:
        """End a process and wait."""
        process = self.processes.get(name)
        if process is not None and process.poll() is None:
            process.send_signal(number)
            process.wait(20)

    def close(self) -> None:
        """End everything."""
        for process in self.processes.values():
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(20)


class FakeSystemd(Manager):
    """`systemctl`: it runs what it read at the last ``daemon-reload``, not what lies on the disk since."""

    def __init__(self, units: Path) -> None:
        super().__init__()
        self.units = units
        self.loaded: dict[str, str] = {}

    def carry_out(self, words: list[str], stdin: bytes) -> Completed:
        if words[0] != "systemctl":
            return answer()
        verb, *rest = [word for word in words[1:] if word not in ("--quiet", "--user")]
        name = rest[-1] if rest else ""
        if verb == "daemon-reload":
            self.loaded = {path.name: path.read_text() for path in self.units.glob("*.service")}
        elif verb == "show":
            pid = self.pid(name)
            state, sub = ("active", "running") if pid else ("inactive", "dead")
            return answer(0, f"Result=success\nMainPID={pid}\nActiveState={state}\nSubState={sub}\n")
        elif name not in self.loaded and verb != "reset-failed":
            return answer(5, err=f"Failed to {verb} {name}: Unit {name} not found.")
        elif verb in ("stop", "disable") and (verb == "stop" or "--now" in rest):
            self.end(name)
        elif verb == "restart":
            self.end(name)
            self._start(name)
        return answer()

    def _start(self, name: str) -> None:
        lines = [line.partition("=") for line in self.loaded[name].splitlines() if "=" in line]
        fields = {key: value for key, _, value in lines}
        environment = [shlex.split(value)[0].split("=", 1) for key, _, value in lines if key == "Environment"]
        command = [word.replace("$$", "$").replace("%%", "%") for word in shlex.split(fields["ExecStart"])]
        self.spawn(name, command, dict(environment), fields["WorkingDirectory"].replace("%%", "%"))


# What `launchctl print` says of a daemon on macOS 14, as far as anybody reads it.
PRINTED = """\
{target} = {{
\tactive count = {active}
\tpath = {path}
\ttype = LaunchDaemon
\tstate = {state}

\tprogram = {program}
\targuments = {{
{arguments}
\t}}

\tworking directory = {folder}

\tdefault environment = {{
\t\tPATH => /usr/bin:/bin:/usr/sbin:/sbin
\t}}

\tdomain = system
\tminimum runtime = 10
\texit timeout = 30
\truns = {runs}
{pid}\tlast exit code = {last}

\tspawn type = daemon (3)
\tjetsam priority = 40
\tjetsam memory limit (active) = (unlimited)

\tproperties = runatload | inferred program
}}
"""


class FakeLaunchd(Manager):
    """`launchctl`: a job is what its property list said when it was bootstrapped."""

    def __init__(self) -> None:
        super().__init__()
        self.jobs: dict[str, dict[str, object]] = {}
        self.files: dict[str, str] = {}
        self.disabled: set[str] = set()

    def carry_out(self, words: list[str], stdin: bytes) -> Completed:
        if words[0] == "dscl":
            return answer(56 if "-read" in words else 0, "root 0\n" if "-list" in words else "", "")
        verb, *rest = words[1:]
        if verb == "enable":
            self.disabled.discard(rest[0])
            return answer()
        if verb == "bootstrap":
            return self._bootstrap(*rest)
        target = rest[0]
        if target not in self.jobs:
            domain, _, label = target.rpartition("/")
            unknown = f'Bad request.\nCould not find service "{label}" in domain for {domain}\n'
            return (
                answer(113, err=unknown)
                if verb == "print"
                else answer(3, err="Boot-out failed: 3: No such process")
            )
        if verb == "print":
            return self._print(target)
        if verb == "bootout":
            self.end(target)
            del self.jobs[target]
            return answer()
        raise AssertionError(words)

    def _bootstrap(self, domain: str, path: str) -> Completed:
        try:
            job = plistlib.loads(Path(path).read_bytes())
        except OSError:
            return answer(5, err="Bootstrap failed: 5: Input/output error")
        target = f"{domain}/{job['Label']}"
        if target in self.jobs or target in self.disabled:
            return answer(5, err="Bootstrap failed: 5: Input/output error")
        self.jobs[target] = job
        self.files[target] = path
        environment = {key: value for key, value in job["EnvironmentVariables"].items() if key != "LANG"}
        self.spawn(
            target, job["ProgramArguments"], environment, job["WorkingDirectory"], job["StandardOutPath"]
        )
        return answer()

    def _print(self, target: str) -> Completed:
        job, pid = self.jobs[target], self.pid(target)
        words = job["ProgramArguments"]
        assert isinstance(words, list)
        status = self.processes[target].returncode
        return answer(
            0,
            PRINTED.format(
                target=target, active=int(bool(pid)), path=self.files[target], program=words[0], runs=1,
                state="running" if pid else "not running", folder=job["WorkingDirectory"],
                arguments="\n".join(f"\t\t{word}" for word in words),
                pid=f"\tpid = {pid}\n" if pid else "", last="(never exited)" if pid else status,
            ),
        )  # fmt: skip


class FakeScheduler(Manager):
    """`schtasks`, `taskkill` and `icacls`: ending a task ends the process it started, not that one's children."""

    def __init__(self) -> None:
        super().__init__()
        self.tasks: dict[str, ElementTree.Element] = {}

    def carry_out(self, words: list[str], stdin: bytes) -> Completed:
        if words[0] == "icacls":
            return answer(0, "Successfully processed 1 files; Failed processing 0 files")
        if words[0] == "taskkill":
            os.killpg(int(words[words.index("/PID") + 1]), signal.SIGKILL)
            return answer(0, "SUCCESS")
        verb, name = words[1], words[words.index("/TN") + 1]
        if verb == "/Create":
            # schtasks wants UTF-16, or fails with "(1,40)::ERROR: unable to switch the encoding".
            self.tasks[name] = ElementTree.fromstring(
                Path(words[words.index("/XML") + 1]).read_bytes().decode("utf-16").partition("?>")[2]
            )
            return answer(0, f'SUCCESS: The scheduled task "{name}" has successfully been created.')
        if name not in self.tasks:
            return answer(1, err="ERROR: The system cannot find the file specified.")
        if verb == "/Delete":
            del self.tasks[name]
        elif verb == "/End":
            self.end(name, signal.SIGKILL)
        elif verb == "/Run":
            self._run(name)
        return answer(0, "SUCCESS")

    def _run(self, name: str) -> None:
        def text(tag: str) -> str:
            found = self.tasks[name].find(f".//{{*}}{tag}")
            assert found is not None and found.text is not None
            return found.text

        self.spawn(name, [text("Command"), *split(text("Arguments"))], {}, text("WorkingDirectory"))


def split(line: str) -> list[str]:
    """Split a command line as the C runtime of Windows does, for words without a backslash before a quote."""
    words, word, inside, begun = [], "", False, False
    for character in line:
        if character == '"':
            inside, begun = not inside, True
        elif character in " \t" and not inside:
            if word or begun:
                words.append(word)
            word, begun = "", False
        else:
            word += character
    return [*words, word] if word or begun else words


class FakeCrontab(Manager):
    """`crontab -l`, `-r` and `-`, as Debian's says it."""

    def __init__(self, text: str | None = None) -> None:
        super().__init__()
        self.text = text

    def carry_out(self, words: list[str], stdin: bytes) -> Completed:
        if words[1] == "-l":
            return answer(1, err="no crontab for somebody") if self.text is None else answer(0, self.text)
        self.text = None if words[1] == "-r" else stdin.decode()
        return answer()


def interpreter_in(generation: Path) -> str:
    """Put an interpreter and the installer's tools where a generation has them; return the interpreter."""
    place = generation / "venv" / "bin" / "python"
    if not place.exists():
        place.parent.mkdir(parents=True)
        place.symlink_to(sys.executable)
        tools = generation / "tools" / "04_Scripts"
        tools.mkdir(parents=True)
        repository = Path(__file__).resolve().parents[2]
        for package in ("bundle", "installer"):
            (tools / package).symlink_to(repository / package)
    return str(place)
