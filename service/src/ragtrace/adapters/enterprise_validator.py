"""The enterprise validator of the generation that this service belongs to, run as a child with limits.

Nothing of a request reaches its command line. It runs as the service's user inside the service's own limits, so only
the categories that can see their objects from there are asked for: not Tools and Security (the service manager, other
users' files) and not Performance (it would measure the load of the service).
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ragtrace.application.validation import ValidatorReport, read_report
from ragtrace.offline import OFFLINE_ENVIRONMENT
from ragtrace.text import Text

CATEGORIES = ("System", "Packages", "RAGTrace")
TIMEOUT_S = 120.0
OUTPUT_BYTES = 4 << 20
_NICE = 10
_GENERATION = re.compile(r"[0-9]{6,12}-[0-9a-z-]{1,40}")
_ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "TMPDIR", "HOME")


@dataclass(frozen=True)
class EnterpriseValidator:
    """The validator of `generation` below `home`; both come from the service's own environment."""

    home: Path
    generation: str
    environment: Mapping[str, str]
    timeout_s: float = TIMEOUT_S

    @property
    def script(self) -> Path:
        """Return where the installer put it."""
        return (
            self.home
            / "generations"
            / self.generation
            / "tools"
            / "06_Verification"
            / "enterprise_validator.py"
        )

    def absence(self) -> Text | None:
        """Return why there is none: a development tree and a container have no generation."""
        if _GENERATION.fullmatch(self.generation) and self.script.is_file():
            return None
        return Text(
            "이 서비스에는 검증기가 함께 설치되어 있지 않습니다(개발 환경 또는 컨테이너).",
            "No validator is installed with this service (a development tree or a container).",
        )

    def command(self) -> list[str]:
        """Return the whole command line."""
        words = [sys.executable, "-B", "-s", str(self.script), "--prefix", str(self.home), "--format", "json"]
        for name in CATEGORIES:
            words += ["--category", name]
        return [*words, "--lang", "ko" if self.environment.get("RAGTRACE_LANG") == "ko" else "en"]

    def run(self) -> ValidatorReport:
        """Run it; killed with all it started when its time is up, read to a limit."""
        environment = {name: self.environment[name] for name in _ENVIRONMENT if name in self.environment}
        environment |= {**OFFLINE_ENVIRONMENT, "PYTHONUTF8": "1", "PYTHONDONTWRITEBYTECODE": "1"}
        try:
            process = subprocess.Popen(
                self.command(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                env=environment, cwd="/" if os.name == "posix" else None, start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            return _failed(
                Text(
                    f"검증기를 시작할 수 없습니다: {error.strerror}",
                    f"The validator cannot start: {error.strerror}",
                )
            )
        # A unit may forbid it, and then it runs at the service's own priority.
        with suppress(OSError, AttributeError):
            os.setpriority(os.PRIO_PROCESS, process.pid, _NICE)
        late = threading.Event()

        def stop() -> None:
            late.set()
            _kill(process)

        timer = threading.Timer(self.timeout_s, stop)
        timer.start()
        try:
            assert process.stdout is not None
            output = process.stdout.read(OUTPUT_BYTES + 1)
        finally:
            timer.cancel()
            _kill(process)
            process.wait()
            assert process.stdout is not None
            process.stdout.close()
        if late.is_set():
            return _failed(
                Text(
                    f"검증기가 {self.timeout_s:g}초 안에 끝나지 않아 중단했습니다.",
                    f"The validator did not end within {self.timeout_s:g} s and was stopped.",
                )
            )
        try:
            if len(output) > OUTPUT_BYTES:
                raise ValueError("too long")
            return read_report(json.loads(output))
        except (ValueError, RecursionError):
            return _failed(Text("검증기가 보고서를 내지 않았습니다.", "The validator gave no report."))


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End it and all it started; most often nothing is left of them."""
    if process.returncode is not None:
        return
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _failed(problem: Text) -> ValidatorReport:
    return ValidatorReport("", "", 0.0, (), problem)
