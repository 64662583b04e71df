"""The service under systemd: a hardened unit, a system user of its own, the network limited to what is
configured; or, without root, in the user's own systemd."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Optional, Sequence

from bundle.atomic import write_atomic
from bundle.text import Text

from ..filesystem import make_directories, remove_file
from .interface import ServiceDefinition, ServiceError, ServiceStatus
from .programs import Programs, Run, call
from .systemd_unit import allowed_networks, memory_limit, sysusers_text, unit_text

UNITS = Path("/etc/systemd/system")
SYSUSERS = Path("/etc/sysusers.d")
LINGERING = Path("/var/lib/systemd/linger")


class SystemdHost:
    """Drives systemd through its commands. `run`, `units` and `sysusers` are given by tests."""

    # What goes between the command and its words.
    scope: tuple[str, ...] = ()

    def __init__(self, run: Optional[Run] = None, units: Path = UNITS, sysusers: Path = SYSUSERS) -> None:
        self.run: Run = run or Programs()
        self.units = units
        self.sysusers = sysusers

    def prepare_user(self, definition: ServiceDefinition) -> None:
        """Create the system user through a sysusers drop-in, as a distribution's package would."""
        if not definition.user or _user_exists(definition.user):
            return
        make_directories(self.sysusers)
        drop_in = self.sysusers / f"{definition.name}.conf"
        write_atomic(drop_in, sysusers_text(definition).encode("utf-8"), 0o644)
        call(self.run, "systemd-sysusers", str(drop_in))

    def install_unit(self, definition: ServiceDefinition) -> None:
        """Write the unit if it differs, and let systemd read it."""
        path, text = self.unit(definition)
        if not path.is_file() or path.read_bytes() != text:
            make_directories(self.units)
            write_atomic(path, text, 0o644)
        self._systemctl("daemon-reload")
        self._systemctl("enable", "--quiet", path.name)

    def unit(self, definition: ServiceDefinition) -> tuple[Path, bytes]:
        """Return where the unit lies and what it says."""
        text = unit_text(definition, self.networks(definition), memory_limit(definition))
        return self._unit(definition.name), text.encode("utf-8")

    def networks(self, definition: ServiceDefinition) -> Sequence[str]:
        """Return what the unit may talk with; nothing where this manager cannot limit it."""
        return allowed_networks(definition)

    def remove_unit(self, name: str) -> None:
        """Disable and remove the unit."""
        path = self._unit(name)
        if path.exists():
            self._systemctl("disable", "--now", "--quiet", path.name)
            remove_file(path)
            self._systemctl("daemon-reload")

    def start(self, definition: ServiceDefinition) -> None:
        """Start the unit, or restart it where another generation runs."""
        status = self.status(definition)
        if status.running and status.generation == definition.generation:
            return
        self.run(["systemctl", *self.scope, "reset-failed", self._unit(definition.name).name])
        self._systemctl("restart", self._unit(definition.name).name)

    def stop(self, definition: ServiceDefinition) -> None:
        """Stop the unit if it is known."""
        if self._unit(definition.name).exists():
            self._systemctl("stop", self._unit(definition.name).name)

    def status(self, definition: ServiceDefinition) -> ServiceStatus:
        """Ask systemd; the generation is read from the running process's command line."""
        name = self._unit(definition.name).name
        words = ["systemctl", *self.scope, "show", "-p", "ActiveState,SubState,MainPID,Result", name]
        try:
            shown = self.run(words).stdout.decode("utf-8", "replace")
        except OSError as error:
            return ServiceStatus(False, detail=f"{name}: {error}")
        fields = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
        active, pid = fields.get("ActiveState", ""), int(fields.get("MainPID", "0") or 0)
        detail = f"{name}: {active} ({fields.get('SubState', '')}, {fields.get('Result', '')})"
        running = active in ("active", "activating", "reloading") and pid > 0
        return ServiceStatus(running, pid, _generation_of(pid, definition.home) if running else "", detail)

    def logs(self, definition: ServiceDefinition, lines: int = 50) -> str:
        """Return the end of the unit's journal."""
        name = self._unit(definition.name).name
        words = ["journalctl", *self.scope, "--no-pager", "-q", "-o", "cat", "-n", str(lines), "-u", name]
        try:
            return self.run(words).stdout.decode("utf-8", "replace")
        except OSError as error:
            return str(error)

    def advice(self, definition: ServiceDefinition) -> Optional[Text]:
        """Systemd starts it."""
        return None

    def _unit(self, name: str) -> Path:
        return self.units / f"{name}.service"

    def _systemctl(self, *words: str) -> None:
        call(self.run, "systemctl", *self.scope, *words)


class UserSystemdHost(SystemdHost):
    """The same in the systemd of an unprivileged user. The user's own manager has no right to limit addresses and
    to hide parts of the disk; everything else of the unit holds. Without lingering it ends when the user logs out."""

    scope = ("--user",)

    def __init__(self, run: Run, units: Path, user: str, lingering: Path = LINGERING) -> None:
        super().__init__(run, units)
        self.user = user
        self.lingering = lingering

    @classmethod
    def here(cls) -> UserSystemdHost:
        """Return the one of the user who runs this."""
        uid, user, home = _who()
        runtime = f"/run/user/{uid}"
        found = {"XDG_RUNTIME_DIR": runtime, "DBUS_SESSION_BUS_ADDRESS": f"unix:path={runtime}/bus"}
        return cls(Programs(found), Path(home, ".config", "systemd", "user"), user)

    def prepare_user(self, definition: ServiceDefinition) -> None:
        """The service runs as whoever installs it."""

    def install_unit(self, definition: ServiceDefinition) -> None:
        """Write the unit where it is the user's own.

        Raises:
            ServiceError: root runs this on the installation of somebody else.
        """
        if definition.home.is_dir() and definition.home.stat().st_uid != os.geteuid():
            raise ServiceError(f"{definition.home} belongs to another user: run this as that user")
        super().install_unit(definition)

    def networks(self, definition: ServiceDefinition) -> Sequence[str]:
        """A user's manager cannot limit them."""
        return ()

    def advice(self, definition: ServiceDefinition) -> Optional[Text]:
        """Without lingering the service lives no longer than the user's sessions."""
        if (self.lingering / self.user).exists():
            return None
        command = f"loginctl enable-linger {self.user}"
        return Text(
            f"로그아웃하면 서비스가 멈추고 재부팅 후에는 로그인해야 시작됩니다. 막으려면 관리자가 실행: {command}",
            f"the service ends when you log out and starts only when you log in; to change that, as root: {command}",
        )


def user_manager() -> tuple[bool, bool]:
    """Return whether this user has a systemd of its own, and whether it runs without a login."""
    uid, user, _ = _who()
    runs = Path(f"/run/user/{uid}/systemd/private").exists()
    return runs, runs and (LINGERING / user).exists()


def _who() -> tuple[int, str, str]:
    import pwd

    uid = os.geteuid()
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        return uid, str(uid), os.environ.get("HOME", "/nonexistent")
    return uid, entry.pw_name, entry.pw_dir


def _user_exists(name: str) -> bool:
    import pwd

    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def _generation_of(pid: int, home: Path) -> str:
    """Return the generation whose interpreter the process runs. One that is just being executed has no command
    line yet, for a few microseconds."""
    for _ in range(50):
        try:
            words = Path("/proc", str(pid), "cmdline").read_bytes().split(b"\0")
            if words[0]:
                return Path(os.fsdecode(words[0])).relative_to(home / "generations").parts[0]
        except (OSError, ValueError, IndexError):
            return ""
        time.sleep(0.01)
    return ""
