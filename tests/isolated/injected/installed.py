"""An installed host, and what a person does with it: validate it, let the assistant put it right, look at the service."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from time import monotonic, sleep

from ..host_root import remove_tree
from ..journey import POLL_READY, PREFIX
from ..machine import IsolatedHost
from ..tools import Completed, HarnessError, run_here
from .judging import Report

SERVICE = "ragtrace"
UNIT = f"/etc/systemd/system/{SERVICE}.service"
PLANTED = "planted"
"""Unit name of whatever a defect starts beside the service."""
DROP_INS = f"{UNIT}.d"
REPORT = "/root/diagnosis.json"
PATIENCE_S = 400
# Speed is not what is asked here, and it would take most of the time; a traced question is asked where one is planted.
SLOW = ("PERF-*", "SEC-009")

Undo = Callable[[], None]


def is_named(check: str, words: Sequence[str]) -> bool:
    """Tell whether a check is one of these ids, or begins with one that ends with a star."""
    return any(check == word or (word.endswith("*") and check.startswith(word[:-1])) for word in words)


class Installed:
    """A booted host with a healthy installation below `PREFIX`; every path is that of this machine."""

    def __init__(self, host: IsolatedHost) -> None:
        """Take a host on which the installation is complete."""
        self.host = host
        self._tools = ""
        self._known: tuple[str, ...] = ()
        self._pristine = host.root.with_name("pristine")

    # --- places ------------------------------------------------------------------------------------------------

    def path(self, name: str = "") -> Path:
        """Return where a path below the prefix lies on this machine."""
        return self.host.inside(PREFIX) / name

    @property
    def generation_name(self) -> str:
        """Name of the active generation."""
        return str(json.loads(self.path("current.json").read_text())["generation"])

    @property
    def generation(self) -> Path:
        """Folder of the active generation."""
        return self.path("generations") / self.generation_name

    @property
    def packages(self) -> Path:
        """The active generation's site-packages."""
        return next(self.generation.glob("venv/lib/python3.*/site-packages"))

    def package(self, pattern: str) -> Path:
        """Return the first path of this pattern among the packages."""
        found = sorted(self.packages.glob(pattern))
        if not found:
            raise HarnessError(f"nothing like {pattern} in {self.packages}")
        return found[0]

    # --- the two programs --------------------------------------------------------------------------------------

    def _tools_folder(self) -> str:
        """Where the tools of the active release lie; with a damaged pointer, where they lay last."""
        try:
            name = self.generation_name
        except (OSError, ValueError, KeyError):
            name = ""
        if name and (self.path("generations") / name).is_dir():
            self._tools = f"{PREFIX}/generations/{name}/tools"
        return self._tools

    def tool(self, name: str, *arguments: str, **environment: str) -> Completed:
        """Run the installed validator or recovery assistant."""
        tools = self._tools_folder()
        argv = [
            "python3",
            "-B",
            f"{tools}/06_Verification/{name}",
            "--prefix",
            PREFIX,
            "--lang",
            "en",
            *arguments,
        ]
        return self.host.run(argv, timeout=PATIENCE_S, env=environment)

    def known_checks(self) -> tuple[str, ...]:
        """Return the ids of all checks of the installed validator."""
        if not self._known:
            listed = self.tool("enterprise_validator.py", "--list").expect().stdout
            self._known = tuple(line.split()[0] for line in listed.splitlines() if line.strip())
        return self._known

    def validate(self, leave_out: Sequence[str] = SLOW, **environment: str) -> Report:
        """Run the installed validator and read its report; `leave_out` are ids, or beginnings of ids with a star."""
        argv = ["--format", "json", "--output", REPORT]
        for check in self.known_checks():
            if any(
                check == word or (word.endswith("*") and check.startswith(word[:-1])) for word in leave_out
            ):
                argv += ["--skip", check]
        self.host.inside(REPORT).unlink(missing_ok=True)
        done = self.tool("enterprise_validator.py", *argv, **environment)
        if not self.host.inside(REPORT).is_file():
            raise HarnessError(f"no report: exit {done.returncode}\n{done.output}")
        if "Traceback" in done.output:
            raise HarnessError(f"a traceback of the validator:\n{done.output}")
        report = json.loads(self.host.inside(REPORT).read_text(encoding="utf-8"))
        results = {entry["id"]: entry for entry in report["validation_results"]}
        return Report(
            report["overall_status"],
            done.returncode,
            {check: entry["raw_status"] for check, entry in results.items()},
            {
                check: f"{entry['details']} ({entry['evidence']['measured']})"
                for check, entry in results.items()
            },
            done.seconds,
        )

    def recover(self) -> Completed:
        """Let the installed assistant put right what the last report found."""
        return self.tool("recovery_assistant.py", "--diagnosis", REPORT, "--yes")

    def installer(self, *arguments: str) -> Completed:
        """Run the installed installer."""
        return self.host.run(
            ["python3", "-B", f"{self._tools_folder()}/04_Scripts/install.py", "--prefix", PREFIX, *arguments]
        )

    # --- the service -------------------------------------------------------------------------------------------

    def systemctl(self, *words: str) -> Completed:
        """Ask the host's systemd."""
        return self.host.run(["systemctl", *words])

    def forget_starts(self) -> None:
        """Let systemd forget how often the service was started: a table starts it more often than a person would."""
        self.systemctl("reset-failed", SERVICE)

    def stop(self) -> None:
        """Stop the service."""
        self.systemctl("stop", SERVICE)

    def start(self, *, ready: bool = True) -> None:
        """Start the service from what its unit says now; wait until it answers, where it should."""
        self.systemctl("daemon-reload").expect()
        self.forget_starts()
        done = self.systemctl("start", SERVICE)
        if ready:
            done.expect()
            self.wait_until_ready()

    def restart(self, *, ready: bool = True) -> None:
        """Stop and start."""
        self.stop()
        self.start(ready=ready)

    def wait_until_ready(self, seconds: float = 60) -> None:
        """Wait until the service says that it is ready."""
        self.host.run(["python3", "-c", POLL_READY, "", str(seconds)], timeout=seconds + 30).expect()

    def settle(self, *states: str, seconds: float = 30) -> None:
        """Wait until the unit is in one of these states."""
        deadline = monotonic() + seconds
        while (state := self.systemctl("is-active", SERVICE).stdout.strip()) not in states:
            if monotonic() > deadline:
                raise HarnessError(f"the service is {state}, not {states}")
            sleep(0.2)

    def settle_port(self, port: int, seconds: float = 20) -> None:
        """Wait until somebody answers at a port."""
        deadline = monotonic() + seconds
        while self.host.http("GET", f"http://127.0.0.1:{port}/").status == 0:
            if monotonic() > deadline:
                raise HarnessError(f"nobody answers at port {port}")
            sleep(0.2)

    # --- things put back ---------------------------------------------------------------------------------------

    def keep(self, path: Path) -> Undo:
        """Remember a file, link or folder as it is, to put it back later where its folder still exists."""
        away = Path(tempfile.mkdtemp(prefix="kept-", dir=self.host.root.parent))
        there = os.path.lexists(path)
        if there:
            run_here(["cp", "-a", str(path), str(away / "it")]).expect()

        def put_back() -> None:
            if path.parent.is_dir():
                remove_tree(path)
                if there:
                    run_here(["cp", "-a", str(away / "it"), str(path)]).expect()
            shutil.rmtree(away)

        return put_back

    def keep_beside(self, path: Path) -> Undo:
        """As `keep`, for what is in use: the service stands still while it is copied, then goes on."""
        self.stop()
        undo = self.keep(path)
        self.start()
        return undo

    def remember(self) -> None:
        """Keep a copy of everything installed, for `put_everything_back`; the service stands still meanwhile."""
        self.stop()
        remove_tree(self._pristine)
        self._pristine.mkdir()
        run_here(["cp", "-a", str(self.path()), str(self._pristine / "prefix")]).expect()
        run_here(["cp", "-a", str(self.host.inside(UNIT)), str(self._pristine / "unit")]).expect()
        self.start()

    def put_everything_back(self) -> None:
        """Make the installation what it was; only a defect that was neither mended nor undone needs this."""
        self.stop()
        self.systemctl("stop", PLANTED)
        remove_tree(self.host.inside(DROP_INS))
        remove_tree(self.path())
        run_here(["cp", "-a", str(self._pristine / "prefix"), str(self.path())]).expect()
        run_here(["cp", "-a", str(self._pristine / "unit"), str(self.host.inside(UNIT))]).expect()
        self.start()
