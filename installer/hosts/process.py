"""The service as an ordinary process of the user who installs it; for hosts and users without systemd, and for
containers. A line in the user's crontab brings it back after a reboot; where there is no cron, the operator is told
what to run."""

from __future__ import annotations

import os
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Mapping, Optional

from bundle.text import Text

from ..children import minimal_environment, tail
from ..facts import container_of_host
from ..settings import read_variables
from . import crontab
from .crontab import Crontab
from .interface import ServiceDefinition, ServiceError, ServiceStatus
from .programs import Programs, rotate

if sys.platform != "win32":
    import fcntl

STOP_TIMEOUT_S = 20.0
_LAUNCHER = Path(__file__).with_name("launcher.py")
# struct flock: Linux has type, whence, start, length, pid; macOS start, length, pid, type, whence.
_FLOCK = "qqihh" if sys.platform == "darwin" else "hhqqi4x"
_LAUNCHES = 5


class ProcessHost:
    """Starts a process in a session of its own; finds it again by the kernel lock it holds, not by a file
    with a number in it. `table` is given by tests, and `inside`: the container this is."""

    def __init__(self, table: Optional[Crontab] = None, inside: Optional[str] = None) -> None:
        self.table = table or Crontab(Programs(), crontab.program())
        self.inside = container_of_host() if inside is None else inside

    def prepare_user(self, definition: ServiceDefinition) -> None:
        """The service runs as whoever installs it."""

    def install_unit(self, definition: ServiceDefinition) -> None:
        """Have cron start it after a reboot. A container is started by whoever runs it, and has no cron."""
        if not self.inside:
            self.table.register(definition)

    def remove_unit(self, name: str) -> None:
        """Take that line back."""
        self.table.remove(name)

    def start(self, definition: ServiceDefinition) -> None:
        """Start the service unless this generation runs; another generation is stopped first."""
        status = self.status(definition)
        if status.running and status.generation == definition.generation:
            return
        if status.running:
            self.stop(definition)
        rotate(definition.log)
        settings = read_variables(definition.settings_file)
        command = [definition.command[0], "-I", "-S", "-B", str(_LAUNCHER)]
        command += [str(definition.lock), definition.generation, str(definition.log), *definition.command]
        started = _launch(command, {**definition.environment, **settings}, definition.data)
        if started.returncode != 0:
            said = started.stderr.decode("utf-8", "replace").strip()
            raise ServiceError(said or f"the launcher ended with {started.returncode}")

    def stop(self, definition: ServiceDefinition) -> None:
        """Ask with SIGTERM, then end the whole session with SIGKILL."""
        pid = lock_holder(definition.lock)
        if not pid:
            return
        _signal(pid, signal.SIGTERM)
        if not _gone(definition.lock, pid, STOP_TIMEOUT_S):
            try:
                os.killpg(pid, signal.SIGKILL)
            except ProcessLookupError:
                _signal(pid, signal.SIGKILL)
            if not _gone(definition.lock, pid, STOP_TIMEOUT_S):
                raise ServiceError(f"process {pid} does not end")

    def status(self, definition: ServiceDefinition) -> ServiceStatus:
        """Ask the kernel who holds the lock."""
        pid = lock_holder(definition.lock)
        if not pid:
            return ServiceStatus(False, detail="not running")
        generation = definition.lock.read_text(encoding="ascii", errors="replace").strip()
        return ServiceStatus(True, pid, generation, f"process {pid}")

    def logs(self, definition: ServiceDefinition, lines: int = 50) -> str:
        """Return the end of the log file."""
        return tail(definition.log, lines)

    def advice(self, definition: ServiceDefinition) -> Optional[Text]:
        """Say what has to start the service at boot where cron does not."""
        command = crontab.command_at_boot(definition)
        if self.inside:
            return Text(
                f"컨테이너({self.inside})에는 서비스 관리자가 없습니다. 컨테이너가 시작할 때 실행하게 하십시오: {command}",
                f"a container ({self.inside}) has no service manager; let it run at its start: {command}",
            )
        if not self.table.registered(definition):
            return Text(
                f"재부팅 후에는 서비스가 저절로 시작되지 않습니다(crontab 없음). 부팅할 때 실행하게 하십시오: {command}",
                f"after a reboot the service does not start by itself (no crontab); let this run at boot: {command}",
            )
        if not crontab.cron_runs():
            return Text(
                f"crontab에 @reboot 줄을 등록했지만 cron 데몬이 실행되고 있지 않습니다. 부팅할 때 실행하게 하십시오: {command}",
                f"the crontab has its @reboot line, but no cron daemon runs; let this run at boot: {command}",
            )
        return None


def lock_holder(path: Path) -> int:
    """Return the process that holds the record lock on `path`, or 0."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return 0
    try:
        if sys.platform == "darwin":
            question = struct.pack(_FLOCK, 0, 0, 0, fcntl.F_WRLCK, os.SEEK_SET)
            answer = struct.unpack(_FLOCK, fcntl.fcntl(descriptor, fcntl.F_GETLK, question))
            kind, pid = answer[3], answer[2]
        else:
            question = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
            answer = struct.unpack(_FLOCK, fcntl.fcntl(descriptor, fcntl.F_GETLK, question))
            kind, pid = answer[0], answer[4]
    finally:
        os.close(descriptor)
    return 0 if kind == fcntl.F_UNLCK else int(pid)


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _launch(
    command: list[str], environment: Mapping[str, str], folder: Path
) -> subprocess.CompletedProcess[bytes]:
    """Run the launcher. A Ctrl-C that is meant for the installer reaches it too until it has a session of its own, and
    ends it before it has done anything: then it is run again."""
    for attempt in range(_LAUNCHES):
        try:
            started = subprocess.run(
                command, env=minimal_environment(environment), cwd=str(folder), stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=60, check=False, start_new_session=True,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise ServiceError(str(error)) from error
        if started.returncode >= 0 or attempt == _LAUNCHES - 1:
            break
    return started


def _gone(lock: Path, pid: int, patience_s: float) -> bool:
    deadline = time.monotonic() + patience_s
    while lock_holder(lock) == pid:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
