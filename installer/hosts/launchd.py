"""The service under launchd: a daemon with a user of its own as root, else an agent of the user. Written against
recorded answers of `launchctl`; not run on macOS.

launchd has no word for "other generation": a job is what its property list said when it was bootstrapped. So the unit
is the file, which counts from the next boot on, and starting means to bootstrap it anew.
"""

from __future__ import annotations

import os
import plistlib
import re
import time
from pathlib import Path
from typing import Any, Optional

from bundle.atomic import write_atomic
from bundle.text import Text

from ..children import tail
from ..filesystem import make_directories, remove_file
from .interface import ServiceDefinition, ServiceError, ServiceStatus
from .programs import Programs, Run, call, carried, rotate, succeeds

DAEMONS = Path("/Library/LaunchDaemons")
STOP_TIMEOUT_S = 45.0
# Accounts of services have numbers below 500: the login window does not show them.
ACCOUNTS = range(400, 500)
_GENERATION = re.compile(r"/generations/([^/]+)/")


class LaunchdHost:
    """Drives launchctl. `run`, `folder` and `domain` (``system`` or ``gui/UID``) are given by tests."""

    def __init__(self, run: Run, folder: Path, domain: str, patience_s: float = STOP_TIMEOUT_S) -> None:
        self.run = run
        self.folder = folder
        self.domain = domain
        self.patience_s = patience_s

    @classmethod
    def here(cls, user: str) -> LaunchdHost:
        """Return the system's launchd for a service with a `user` of its own, else the one of whoever runs this."""
        if user:
            return cls(Programs(), DAEMONS, "system")
        return cls(Programs(), Path.home() / "Library" / "LaunchAgents", f"gui/{os.geteuid()}")

    def prepare_user(self, definition: ServiceDefinition) -> None:
        """Create a hidden account without a shell, as macOS's own services have; its group has the same number."""
        user = definition.user
        if not user or succeeds(self.run, "dscl", ".", "-read", f"/Users/{user}", "UniqueID"):
            return
        taken = set()
        for kind, key in (("Users", "UniqueID"), ("Groups", "PrimaryGroupID")):
            listed = call(self.run, "dscl", ".", "-list", f"/{kind}", key)
            taken |= {line.split()[-1] for line in listed.splitlines() if line.split()}
        number = next((str(n) for n in ACCOUNTS if str(n) not in taken), "")
        if not number:
            raise ServiceError("no free account number below 500")
        group = {"PrimaryGroupID": number, "RealName": "RAGTrace service", "Password": "*"}
        account = {
            **group,
            "UserShell": "/usr/bin/false",
            "NFSHomeDirectory": str(definition.data),
            "IsHidden": "1",
            # What is looked for above comes last: an account made half is made again.
            "UniqueID": number,
        }
        for path, fields in ((f"/Groups/{user}", group), (f"/Users/{user}", account)):
            call(self.run, "dscl", ".", "-create", path)
            for key, value in fields.items():
                call(self.run, "dscl", ".", "-create", path, key, value)

    def install_unit(self, definition: ServiceDefinition) -> None:
        """Write the property list if it differs. launchd reads it at `start`, and at every boot or login."""
        path, text = self.unit(definition)
        if not path.is_file() or path.read_bytes() != text:
            make_directories(self.folder)
            write_atomic(path, text, 0o644)
        # An earlier `launchctl disable` would survive everything else.
        call(self.run, "launchctl", "enable", self._target(definition.name))

    def unit(self, definition: ServiceDefinition) -> tuple[Path, bytes]:
        """Return where the property list lies and what it says."""
        return self._file(definition.name), plistlib.dumps(properties(definition))

    def remove_unit(self, name: str) -> None:
        """End the job and remove its file."""
        self._unload(name)
        remove_file(self._file(name))

    def start(self, definition: ServiceDefinition) -> None:
        """Bootstrap the job, which starts it; one of another generation, or one that does not run, goes first."""
        status = self.status(definition)
        if status.running and status.generation == definition.generation:
            return
        self._unload(definition.name)
        rotate(definition.log)
        call(self.run, "launchctl", "bootstrap", self.domain, str(self._file(definition.name)))
        # The process is spawned a moment later; whoever looks before that would take the service for ended.
        deadline = time.monotonic() + self.patience_s
        while not self._has_begun(definition) and time.monotonic() < deadline:
            time.sleep(0.05)

    def _has_begun(self, definition: ServiceDefinition) -> bool:
        fields = parse_print(self._printed(definition.name) or "")
        return fields.get("state") == "running" or fields.get("last exit code", "(never")[0] != "("

    def stop(self, definition: ServiceDefinition) -> None:
        """Take the job out of launchd until the next boot."""
        self._unload(definition.name)

    def status(self, definition: ServiceDefinition) -> ServiceStatus:
        """Ask launchd; what it prints is the job as it was bootstrapped, so the generation is the one that runs."""
        printed = self._printed(definition.name)
        if printed is None:
            return ServiceStatus(False, detail="not loaded")
        fields = parse_print(printed)
        pid = int(fields.get("pid", "0")) if fields.get("pid", "0").isdigit() else 0
        running = fields.get("state") == "running" and pid > 0
        found = _GENERATION.search(fields.get("program", ""))
        last = fields.get("last exit code", "")
        detail = f"{self._target(definition.name)}: {fields.get('state', '')} (last exit code {last})"
        return ServiceStatus(running, pid, found.group(1) if running and found else "", detail)

    def logs(self, definition: ServiceDefinition, lines: int = 50) -> str:
        """Return the end of the log file."""
        return tail(definition.log, lines)

    def advice(self, definition: ServiceDefinition) -> Optional[Text]:
        """An agent lives with the user's session."""
        if self.domain == "system":
            return None
        return Text(
            "서비스는 이 사용자가 로그인해 있는 동안만 실행됩니다. 항상 실행하려면 sudo로 설치하십시오",
            "the service runs while this user is logged in; install with sudo to have it run always",
        )

    def _unload(self, name: str) -> None:
        """Boot the job out and wait until launchd has let go of it: a bootstrap before that fails."""
        if self._printed(name) is None:
            return
        self.run(["launchctl", "bootout", self._target(name)])
        deadline = time.monotonic() + self.patience_s
        while self._printed(name) is not None:
            if time.monotonic() > deadline:
                raise ServiceError(f"{self._target(name)} does not end")
            time.sleep(0.05)

    def _printed(self, name: str) -> Optional[str]:
        try:
            done = self.run(["launchctl", "print", self._target(name)])
        except OSError as error:
            raise ServiceError(f"launchctl: {error}") from error
        return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else None

    def _file(self, name: str) -> Path:
        return self.folder / f"{label(name)}.plist"

    def _target(self, name: str) -> str:
        return f"{self.domain}/{label(name)}"


def label(name: str) -> str:
    """Return the job's name; `local` because no domain of the Internet stands behind it."""
    return f"local.{name}"


def properties(definition: ServiceDefinition) -> dict[str, Any]:
    """Return the property list. It may be read by everybody: secrets stay in ``config/.env``, which
    `foreground` reads at each start."""
    script = str(carried(definition, "foreground.py"))
    interpreter = [definition.command[0], "-I", "-S", "-B", script, str(definition.settings_file)]
    made: dict[str, Any] = {
        "Label": label(definition.name),
        "ProgramArguments": [*interpreter, *definition.command],
        "WorkingDirectory": str(definition.data),
        "EnvironmentVariables": {"LANG": "en_US.UTF-8", **definition.environment},
        "RunAtLoad": True,
        # An orderly end is an end; anything else is started again, after ten seconds at the earliest.
        "KeepAlive": {"SuccessfulExit": False},
        "ThrottleInterval": 10,
        "ExitTimeOut": 30,
        "Umask": 0o027,
        "StandardOutPath": str(definition.log),
        "StandardErrorPath": str(definition.log),
        "SoftResourceLimits": {"NumberOfFiles": 4096},
    }
    if definition.user:
        made.update(UserName=definition.user, GroupName=definition.user)
    return made


def parse_print(text: str) -> dict[str, str]:
    """Return the job's own ``key = value`` lines of ``launchctl print``, which are not inside an inner block."""
    fields: dict[str, str] = {}
    depth = 0
    for line in text.splitlines():
        stripped = line.strip()
        key, separator, value = stripped.partition(" = ")
        if stripped.endswith("{"):
            depth += 1
        elif stripped == "}":
            depth -= 1
        elif depth == 1 and separator:
            fields.setdefault(key, value)
    return fields
