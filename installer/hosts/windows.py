"""The service as a scheduled task of Windows: at boot under the account "local service" for an administrator, at logon
for everybody else. Written against recorded answers of `schtasks`; not run on Windows.

A task, not a Windows service, because a service has to speak the service control protocol, for which the interpreter
has no module. Which process runs is known from the lock that `windows_launcher` holds, not from a number in a file.
"""

from __future__ import annotations

import html
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Optional

from bundle.atomic import write_atomic
from bundle.text import Text

from ..children import tail
from .interface import ServiceDefinition, ServiceError, ServiceStatus
from .programs import Programs, Run, call, carried, rotate, succeeds
from .systemd_unit import memory_limit
from .windows_launcher import STOP_WORD, try_lock

# The well-known identifier of "NT AUTHORITY\LOCAL SERVICE": the same in every language of Windows.
LOCAL_SERVICE = "S-1-5-19"
START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 40.0


class WindowsHost:
    """Drives `schtasks`. `run` and `administrator` are given by tests."""

    def __init__(self, run: Run, administrator: bool, patience_s: float = STOP_TIMEOUT_S) -> None:
        self.run = run
        self.administrator = administrator
        self.patience_s = patience_s

    @classmethod
    def here(cls) -> WindowsHost:
        """Return the one of this host, as whoever runs this may use it."""
        return cls(Programs(), is_administrator())

    def prepare_user(self, definition: ServiceDefinition) -> None:
        """The account is part of Windows."""

    def install_unit(self, definition: ServiceDefinition) -> None:
        """Register the task if it differs, and let its account write what is the service's."""
        path = task_file(definition)
        text = task_text(definition, self.administrator).encode("utf-16")
        registered = succeeds(self.run, "schtasks", "/Query", "/TN", task_name(definition.name))
        if registered and path.is_file() and path.read_bytes() == text:
            return
        if self.administrator:
            definition.lock.touch()
            for place, right in (
                (definition.data, "(OI)(CI)M"),
                (definition.settings_file.parent, "(OI)(CI)R"),
                (definition.lock, "M"),
            ):
                call(self.run, "icacls", str(place), "/grant", f"*{LOCAL_SERVICE}:{right}", "/Q")
        write_atomic(path, text)
        call(
            self.run, "schtasks", "/Create", "/TN", task_name(definition.name), "/XML", str(path), "/F"
        )  # fmt: skip

    def remove_unit(self, name: str) -> None:
        """Take the task out of the scheduler."""
        if succeeds(self.run, "schtasks", "/Query", "/TN", task_name(name)):
            call(self.run, "schtasks", "/Delete", "/TN", task_name(name), "/F")

    def start(self, definition: ServiceDefinition) -> None:
        """Run the task and wait until its process holds the lock, or has ended again."""
        status = self.status(definition)
        if status.running and status.generation == definition.generation:
            return
        if status.running:
            self.stop(definition)
        rotate(definition.log)
        # Emptied, so that what stands there afterwards was written by this start.
        open(definition.lock, "wb").close()
        call(self.run, "schtasks", "/Run", "/TN", task_name(definition.name))
        deadline = time.monotonic() + START_TIMEOUT_S
        while _content(definition.lock)[:1] != [definition.generation]:
            if time.monotonic() > deadline:
                raise ServiceError(f"{task_name(definition.name)} did not start: {self.logs(definition, 5)}")
            time.sleep(0.05)

    def stop(self, definition: ServiceDefinition) -> None:
        """Ask by a line in the lock file; a process that does not listen is ended with all it started."""
        status = self.status(definition)
        if not status.running:
            return
        with open(definition.lock, "ab") as stream:
            stream.write(f"{STOP_WORD}\n".encode("ascii"))
        if self._gone(definition):
            return
        self.run(["schtasks", "/End", "/TN", task_name(definition.name)])
        self.run(["taskkill", "/PID", str(status.pid), "/T", "/F"])
        if not self._gone(definition):
            raise ServiceError(f"process {status.pid} does not end")

    def _gone(self, definition: ServiceDefinition) -> bool:
        deadline = time.monotonic() + self.patience_s
        while held(definition.lock):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True

    def status(self, definition: ServiceDefinition) -> ServiceStatus:
        """Ask the kernel whether the lock is held, and the file by whom."""
        if not held(definition.lock):
            return ServiceStatus(False, detail="not running")
        generation, pid = [*_content(definition.lock), "", ""][:2]
        return ServiceStatus(True, int(pid) if pid.isdigit() else 0, generation, f"process {pid}")

    def logs(self, definition: ServiceDefinition, lines: int = 50) -> str:
        """Return the end of the log file."""
        return tail(definition.log, lines)

    def advice(self, definition: ServiceDefinition) -> Optional[Text]:
        """A task of an ordinary user needs the user."""
        if self.administrator:
            return None
        return Text(
            "서비스는 이 사용자가 로그온할 때 시작됩니다. 부팅할 때 시작하려면 관리자 권한으로 설치하십시오",
            "the service starts when this user logs on; install as an administrator to have it start at boot",
        )


def is_administrator() -> bool:
    """Return whether this process may register tasks that run at boot."""
    if sys.platform != "win32":
        return False
    import ctypes

    return bool(ctypes.windll.shell32.IsUserAnAdmin())


def task_name(name: str) -> str:
    """Return the task's path in the scheduler's library."""
    return f"\\RAGTrace\\{name}"


def task_file(definition: ServiceDefinition) -> Path:
    """Return where the registered text lies, to see whether it differs."""
    return definition.lock.with_name("task.xml")


def held(lock: Path) -> bool:
    """Return whether a process holds the lock; taking it for a moment is the only way to ask."""
    try:
        descriptor = os.open(lock, os.O_RDWR | getattr(os, "O_BINARY", 0))
    except FileNotFoundError:
        return False
    try:
        return not try_lock(descriptor)
    finally:
        os.close(descriptor)


def _content(lock: Path) -> list[str]:
    try:
        return lock.read_bytes()[:4096].decode("ascii", "replace").splitlines()
    except OSError:
        return []


def task_arguments(definition: ServiceDefinition) -> list[str]:
    """Return the words after the interpreter. The environment goes with them, for a task has none of its own;
    secrets do not: the launcher reads ``config/.env``."""
    script = str(carried(definition, "windows_launcher.py"))
    places = [
        definition.lock,
        definition.generation,
        definition.log,
        definition.settings_file,
        definition.data,
    ]
    environment = [f"{name}={value}" for name, value in sorted(definition.environment.items())]
    own = ["-I", "-S", "-B", script, *map(str, places), str(memory_limit(definition))]
    return [*own, *environment, "--", *definition.command]


def task_text(definition: ServiceDefinition, administrator: bool) -> str:
    """Return the task's XML (schema 1.2: Windows 7 and newer)."""
    if administrator:
        trigger = "<BootTrigger><Enabled>true</Enabled></BootTrigger>"
        principal = f"<UserId>{LOCAL_SERVICE}</UserId>"
    else:
        user = html.escape(os.environ.get("USERDOMAIN", ".") + "\\" + os.environ.get("USERNAME", ""))
        trigger = f"<LogonTrigger><Enabled>true</Enabled><UserId>{user}</UserId></LogonTrigger>"
        principal = f"<UserId>{user}</UserId><LogonType>InteractiveToken</LogonType>"
    return f"""\
<?xml version="1.0" encoding="UTF-16"?>
<Task version="1.2" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">
  <RegistrationInfo><Description>RAGTrace ({html.escape(definition.generation)})</Description></RegistrationInfo>
  <Triggers>{trigger}</Triggers>
  <Principals><Principal id="Author">{principal}<RunLevel>LeastPrivilege</RunLevel></Principal></Principals>
  <Settings>
    <MultipleInstancesPolicy>IgnoreNew</MultipleInstancesPolicy>
    <DisallowStartIfOnBatteries>false</DisallowStartIfOnBatteries>
    <StopIfGoingOnBatteries>false</StopIfGoingOnBatteries>
    <StartWhenAvailable>true</StartWhenAvailable>
    <AllowHardTerminate>true</AllowHardTerminate>
    <ExecutionTimeLimit>PT0S</ExecutionTimeLimit>
    <Priority>5</Priority>
    <RestartOnFailure><Interval>PT1M</Interval><Count>5</Count></RestartOnFailure>
  </Settings>
  <Actions Context="Author">
    <Exec>
      <Command>{html.escape(definition.command[0])}</Command>
      <Arguments>{html.escape(subprocess.list2cmdline(task_arguments(definition)))}</Arguments>
      <WorkingDirectory>{html.escape(str(definition.data))}</WorkingDirectory>
    </Exec>
  </Actions>
</Task>
"""
