"""Start a command with limits and get its exit status and output; nothing outlives the check."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO, Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from bundle.offline import OFFLINE_ENVIRONMENT
from validator import limits
from validator.subject import Subject

_PR_SET_PDEATHSIG = 1


class Finished(NamedTuple):
    """A command that ended, was stopped (``timed_out``) or could not be started (``code`` is then -1)."""

    code: int
    output: str
    errors: str
    timed_out: bool = False

    @property
    def complaint(self) -> str:
        """Return the last line it said, errors first, for a finding."""
        lines = (self.errors.strip() or self.output.strip()).splitlines()
        return lines[-1][:300] if lines else ""


def run(
    argv: Sequence[str],
    *,
    timeout_s: float,
    environment: Optional[Mapping[str, str]] = None,
    owner: Optional[Tuple[int, int]] = None,
    folder: Optional[Path] = None,
    tied: bool = False,
) -> Finished:
    """Run *argv* without a shell; standard input is empty, output is capped.

    Args:
        argv: program and arguments.
        timeout_s: after this the command and everything it started is killed.
        environment: the whole environment; the caller's own when nothing is given.
        owner: user and group to become; only root may ask for it.
        folder: working directory.
        tied: end the command at once when this process is killed (Linux).
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        options: Dict[str, Any] = {}
        if owner is not None:
            options.update(user=owner[0], group=owner[1], extra_groups=[])
        if sys.platform != "win32":
            options.update(start_new_session=True, preexec_fn=_preparation(tied))
        try:
            process = subprocess.Popen(
                list(argv),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=dict(environment) if environment is not None else None,
                cwd=str(folder) if folder else None,
                **options,
            )
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            return Finished(-1, "", str(error))
        timed_out = _wait(process, timeout_s)
        return Finished(process.returncode, _text(out), _text(err), timed_out)


def _wait(process: subprocess.Popen[bytes], timeout_s: float) -> bool:
    timed_out = False
    try:
        process.wait(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        timed_out = True
    if sys.platform != "win32":
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    if process.poll() is None:
        process.kill()
    process.wait()
    return timed_out


def _text(stream: IO[bytes]) -> str:
    stream.seek(0)
    return stream.read(limits.COMMAND_OUTPUT_BYTES).decode("utf-8", "replace")


def _preparation(tied: bool) -> Callable[[], None]:
    """Return what the command does before it begins: it takes limits of its own, and ties its life to ours.

    Everything is brought in before the fork: the user that the command becomes may not be able to read our modules.
    """
    if sys.platform == "win32":
        return lambda: None
    import resource

    prctl = None
    if tied and sys.platform == "linux":
        import ctypes

        prctl = ctypes.CDLL(None).prctl

    def prepare() -> None:
        # Its own address space, not the small one of the check; and no core files.
        for which, wanted in (
            (resource.RLIMIT_AS, limits.COMMAND_MEMORY_MB * 1024 * 1024),
            (resource.RLIMIT_CORE, 0),
        ):
            hard = resource.getrlimit(which)[1]
            resource.setrlimit(which, (wanted if hard < 0 else min(wanted, hard), hard))
        if prctl is not None:
            prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))

    return prepare


def service_environment(subject: Subject) -> Dict[str, str]:
    """Return the environment in which the installed service's own commands run, without writing byte code."""
    environment = {key: os.environ[key] for key in ("PATH", "LANG", "LC_ALL", "TMPDIR") if key in os.environ}
    environment.update(OFFLINE_ENVIRONMENT)
    environment.update(subject.settings)
    environment.update(
        RAGTRACE_HOME=str(subject.prefix),
        RAGTRACE_CONFIG=str(subject.prefix / "config" / "ragtrace.yaml"),
        PYTHONDONTWRITEBYTECODE="1",
        PYTHONPYCACHEPREFIX=str(subject.prefix / "data" / "cache" / "pycache"),
        PYTHONNOUSERSITE="1",
        PYTHONUTF8="1",
    )
    if subject.generation is not None:
        environment["RAGTRACE_GENERATION"] = subject.generation.name
    return environment


def data_owner(subject: Subject) -> Optional[Tuple[int, int]]:
    """Return user and group of the data folder when we are root and it is not ours.

    The service's commands open its database; run as root they would leave files behind that the service
    may not write.
    """
    if sys.platform == "win32" or os.geteuid() != 0:
        return None
    try:
        facts = os.stat(subject.prefix / "data")
    except OSError:
        return None
    return (facts.st_uid, facts.st_gid) if facts.st_uid != 0 else None


def service_command(subject: Subject, arguments: Sequence[str]) -> List[str]:
    """Return the argument vector of one of the installed service's own commands."""
    return [str(subject.python), "-m", subject.service.module, *arguments]


def run_service(subject: Subject, arguments: Sequence[str], *, timeout_s: float) -> Finished:
    """Run ``python -m <service module> arguments`` of the active generation as the owner of the data."""
    return run_python(subject, ["-m", subject.service.module, *arguments], timeout_s=timeout_s)


def run_python(subject: Subject, arguments: Sequence[str], *, timeout_s: float) -> Finished:
    """Run the active generation's interpreter in the service's environment as the owner of the data."""
    if subject.python is None:
        return Finished(-1, "", "the generation has no interpreter")
    return run(
        [str(subject.python), *arguments],
        timeout_s=timeout_s,
        environment=service_environment(subject),
        owner=data_owner(subject),
        folder=Path("/") if sys.platform != "win32" else None,
        tied=True,
    )
