"""The service as an ordinary process of the user who installs it; for hosts and users without systemd."""

from __future__ import annotations

import fcntl
import os
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

from ..children import minimal_environment, tail
from ..settings import read_variables
from .interface import ServiceDefinition, ServiceError, ServiceStatus

STOP_TIMEOUT_S = 20.0
ROTATE_BYTES = 16 * 1024 * 1024
_LAUNCHER = Path(__file__).with_name("launcher.py")
# struct flock: Linux has type, whence, start, length, pid; macOS start, length, pid, type, whence.
_FLOCK = "qqihh" if sys.platform == "darwin" else "hhqqi4x"


class ProcessHost:
    """Starts a process in a session of its own; finds it again by the kernel lock it holds, not by a file
    with a number in it."""

    def prepare_user(self, definition: ServiceDefinition) -> None:
        """The service runs as whoever installs it."""

    def install_unit(self, definition: ServiceDefinition) -> None:
        """There is nothing to register."""

    def remove_unit(self, name: str) -> None:
        """There is nothing to take back."""

    def start(self, definition: ServiceDefinition) -> None:
        """Start the service unless this generation runs; another generation is stopped first."""
        status = self.status(definition)
        if status.running and status.generation == definition.generation:
            return
        if status.running:
            self.stop(definition)
        _rotate(definition.log)
        settings = read_variables(definition.settings_file)
        command = [definition.command[0], "-I", "-S", "-B", str(_LAUNCHER)]
        command += [str(definition.lock), definition.generation, str(definition.log), *definition.command]
        try:
            started = subprocess.run(
                command, env=minimal_environment({**definition.environment, **settings}),
                cwd=str(definition.data), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE, timeout=60, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise ServiceError(str(error)) from error
        if started.returncode != 0:
            raise ServiceError(started.stderr.decode("utf-8", "replace").strip())

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


def _gone(lock: Path, pid: int, patience_s: float) -> bool:
    deadline = time.monotonic() + patience_s
    while lock_holder(lock) == pid:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _rotate(log: Path) -> None:
    try:
        if log.stat().st_size > ROTATE_BYTES:
            os.replace(log, log.with_name(log.name + ".1"))
    except FileNotFoundError:
        return
