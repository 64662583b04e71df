"""The service under systemd: a hardened unit, a system user of its own, the network limited to what is
configured."""

from __future__ import annotations

import ipaddress
import subprocess
from pathlib import Path
from typing import Callable, Sequence

from bundle.atomic import write_atomic

from ..children import minimal_environment
from ..filesystem import make_directories, remove_file
from ..settings import read_variables
from .interface import ServiceDefinition, ServiceError, ServiceStatus

UNITS = Path("/etc/systemd/system")
SYSUSERS = Path("/etc/sysusers.d")
# A service that listens to the house's network answers private addresses; this variable of config/.env
# (networks separated by spaces or commas) narrows or widens that.
NETWORK_VARIABLE = "RAGTRACE_NETWORK_ALLOW"
PRIVATE_NETWORKS = (
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "169.254.0.0/16",
    "fc00::/7",
    "fe80::/10",
)
Run = Callable[[Sequence[str]], "subprocess.CompletedProcess[bytes]"]


def _run(command: Sequence[str]) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        list(command), stdin=subprocess.DEVNULL, capture_output=True,
        env=minimal_environment({}), timeout=180, check=False,
    )  # fmt: skip


class SystemdHost:
    """Drives systemd through its commands. `run`, `units` and `sysusers` are given by tests."""

    def __init__(self, run: Run = _run, units: Path = UNITS, sysusers: Path = SYSUSERS) -> None:
        self.run = run
        self.units = units
        self.sysusers = sysusers

    def prepare_user(self, definition: ServiceDefinition) -> None:
        """Create the system user through a sysusers drop-in, as a distribution's package would."""
        if not definition.user or _user_exists(definition.user):
            return
        make_directories(self.sysusers)
        drop_in = self.sysusers / f"{definition.name}.conf"
        write_atomic(drop_in, sysusers_text(definition).encode("utf-8"), 0o644)
        self._call("systemd-sysusers", str(drop_in))

    def install_unit(self, definition: ServiceDefinition) -> None:
        """Write the unit if it differs, and let systemd read it."""
        path = self._unit(definition.name)
        text = unit_text(definition, allowed_networks(definition)).encode("utf-8")
        if not path.is_file() or path.read_bytes() != text:
            make_directories(self.units)
            write_atomic(path, text, 0o644)
        self._call("systemctl", "daemon-reload")
        self._call("systemctl", "enable", "--quiet", path.name)

    def remove_unit(self, name: str) -> None:
        """Disable and remove the unit."""
        path = self._unit(name)
        if path.exists():
            self._call("systemctl", "disable", "--now", "--quiet", path.name)
            remove_file(path)
            self._call("systemctl", "daemon-reload")

    def start(self, definition: ServiceDefinition) -> None:
        """Start the unit, or restart it where another generation runs."""
        status = self.status(definition)
        if status.running and status.generation == definition.generation:
            return
        self.run(["systemctl", "reset-failed", self._unit(definition.name).name])
        self._call("systemctl", "restart", self._unit(definition.name).name)

    def stop(self, definition: ServiceDefinition) -> None:
        """Stop the unit if it is known."""
        if self._unit(definition.name).exists():
            self._call("systemctl", "stop", self._unit(definition.name).name)

    def status(self, definition: ServiceDefinition) -> ServiceStatus:
        """Ask systemd; the generation is read from the running process's command line."""
        name = self._unit(definition.name).name
        shown = self.run(["systemctl", "show", "-p", "ActiveState,SubState,MainPID,Result", name])
        fields = dict(line.split("=", 1) for line in shown.stdout.decode().splitlines() if "=" in line)
        active, pid = fields.get("ActiveState", ""), int(fields.get("MainPID", "0") or 0)
        detail = f"{name}: {active} ({fields.get('SubState', '')}, {fields.get('Result', '')})"
        running = active in ("active", "activating", "reloading") and pid > 0
        return ServiceStatus(running, pid, _generation_of(pid, definition.home) if running else "", detail)

    def logs(self, definition: ServiceDefinition, lines: int = 50) -> str:
        """Return the end of the unit's journal."""
        name = self._unit(definition.name).name
        shown = self.run(["journalctl", "--no-pager", "-q", "-o", "cat", "-n", str(lines), "-u", name])
        return shown.stdout.decode("utf-8", "replace")

    def _unit(self, name: str) -> Path:
        return self.units / f"{name}.service"

    def _call(self, *command: str) -> None:
        try:
            done = self.run(command)
        except (FileNotFoundError, subprocess.TimeoutExpired) as error:
            raise ServiceError(f"{' '.join(command)}: {error}") from error
        if done.returncode != 0:
            said = (done.stderr or done.stdout).decode("utf-8", "replace").strip()
            raise ServiceError(f"{' '.join(command)}: {said or done.returncode}")


def _user_exists(name: str) -> bool:
    import pwd

    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def _generation_of(pid: int, home: Path) -> str:
    try:
        command = Path("/proc", str(pid), "cmdline").read_bytes().split(b"\0")[0].decode("utf-8", "replace")
        return Path(command).relative_to(home / "generations").parts[0]
    except (OSError, ValueError, IndexError):
        return ""


def sysusers_text(definition: ServiceDefinition) -> str:
    """Return the sysusers.d line of the service's user."""
    home = str(definition.data).replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'u {definition.user} - "RAGTrace service" "{home}" /usr/sbin/nologin\n'


def allowed_networks(definition: ServiceDefinition) -> tuple[str, ...]:
    """Return the addresses the service may talk with: its own host, and others only if it listens to them."""
    wanted = read_variables(definition.settings_file).get(NETWORK_VARIABLE, "")
    if wanted:
        networks = wanted.replace(",", " ").split()
        try:
            return ("localhost", *(str(ipaddress.ip_network(network, strict=False)) for network in networks))
        except ValueError as error:
            raise ServiceError(f"{NETWORK_VARIABLE} in {definition.settings_file}: {error}") from error
    try:
        loopback = ipaddress.ip_address(definition.host).is_loopback
    except ValueError:
        loopback = definition.host == "localhost"
    return ("localhost",) if loopback else ("localhost", *PRIVATE_NETWORKS)


def quoted(text: str) -> str:
    """Return `text` as one word of a unit file: specifiers, variables and quotes are taken literally."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"'


def unit_text(definition: ServiceDefinition, networks: Sequence[str]) -> str:
    """Return the unit file. ExecStart names the generation itself, so the unit follows the pointer only
    when the installer writes it anew."""
    command = " ".join(quoted(word).replace("$", "$$") for word in definition.command)
    environment = "\n".join(
        f"Environment={quoted(f'{k}={v}')}" for k, v in sorted(definition.environment.items())
    )
    raw_data = str(definition.data).replace("%", "%%")
    raw_settings = str(definition.settings_file).replace("%", "%%")
    user = f"User={definition.user}\nGroup={definition.user}\n" if definition.user else ""
    return f"""\
# Written by the RAGTrace installer from current.json; changes here are replaced by the next installation.
# Local changes belong into a drop-in: systemctl edit {definition.name}
[Unit]
Description=RAGTrace ({definition.generation})
After=network.target
StartLimitIntervalSec=120
StartLimitBurst=5

[Service]
Type=simple
{user}ExecStart={command}
WorkingDirectory={raw_data}
{environment}
EnvironmentFile=-{raw_settings}
Restart=on-failure
RestartSec=2
TimeoutStopSec=30
UMask=0027
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes
ReadWritePaths={quoted(str(definition.data))}
PrivateTmp=yes
PrivateDevices=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
RestrictSUIDSGID=yes
RestrictRealtime=yes
RestrictNamespaces=yes
LockPersonality=yes
RemoveIPC=yes
CapabilityBoundingSet=
AmbientCapabilities=
SystemCallArchitectures=native
SystemCallFilter=@system-service
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
IPAddressDeny=any
IPAddressAllow={" ".join(networks)}

[Install]
WantedBy=multi-user.target
"""
