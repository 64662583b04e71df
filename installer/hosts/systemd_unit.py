"""The text of the systemd unit. Pure: a definition in, a unit file out."""

from __future__ import annotations

import ipaddress
from typing import Sequence

from ..settings import read_variables
from .interface import ServiceDefinition, ServiceError

# A service that listens to the house's network answers private addresses; this variable of config/.env
# (networks separated by spaces or commas) narrows or widens that.
NETWORK_VARIABLE = "RAGTRACE_NETWORK_ALLOW"
# The operator's own limit of the service's memory in MiB, instead of the bundle's; 0 for none.
MEMORY_VARIABLE = "RAGTRACE_MEMORY_MAX_MB"
PRIVATE_NETWORKS = (
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "169.254.0.0/16",
    "fc00::/7",
    "fe80::/10",
)
# An analyzer with 64 workers, 40 threads of the HTTP server and the search engine's own stay far below it.
TASKS_MAX = 512

# What needs no namespace of its own: it holds in a user's own systemd too. Everything here is inherited by children.
# The privileged calls are answered with EPERM instead of a kill, so that a library that only tries goes on.
# Not here: MemoryDenyWriteExecute, because the libraries that run models compile at run time.
COMMON = """\
UMask=0027
NoNewPrivileges=yes
RestrictSUIDSGID=yes
RestrictRealtime=yes
RestrictNamespaces=yes
LockPersonality=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged
SystemCallErrorNumber=EPERM
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
"""

# What only the system's manager can give. Not here: ProcSubset=pid, because the analyzer asks /proc/cpuinfo which
# instructions it may use, and without an answer takes the slowest and largest model.
SYSTEM = """\
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectProc=invisible
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
KeyringMode=private
RemoveIPC=yes
CapabilityBoundingSet=
AmbientCapabilities=
"""


def sysusers_text(definition: ServiceDefinition) -> str:
    """Return the sysusers.d line of the service's user."""
    home = str(definition.data).replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'u {definition.user} - "RAGTrace service" "{home}" /usr/sbin/nologin\n'


def allowed_networks(definition: ServiceDefinition) -> tuple[str, ...]:
    """Return the addresses the service may talk with: its own host, and others only if it listens to them.

    Raises:
        ServiceError: the operator's setting is not a list of networks.
    """
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


def memory_limit(definition: ServiceDefinition) -> int:
    """Return the service's memory limit in MiB: the operator's, else the bundle's; 0 for none.

    Raises:
        ServiceError: the operator's setting is not a number.
    """
    wanted = read_variables(definition.settings_file).get(MEMORY_VARIABLE, "")
    if not wanted:
        return definition.memory_limit_mb
    if not (wanted.isascii() and wanted.isdigit()) or 0 < int(wanted) < 64:
        raise ServiceError(
            f"{MEMORY_VARIABLE} in {definition.settings_file}: {wanted!r} is neither 0 nor MiB from 64 on"
        )
    return int(wanted)


def quoted(text: str) -> str:
    """Return `text` as one word of a unit file: specifiers, variables and quotes are taken literally."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"'


def unit_text(definition: ServiceDefinition, networks: Sequence[str] = (), limit_mb: int = 0) -> str:
    """Return the unit file. ExecStart names the generation itself, so the unit follows the pointer only
    when the installer writes it anew.

    Args:
        definition: what to run.
        networks: addresses the service may talk with; none: the unit is for a user's own systemd, which can limit
            neither those nor what the service sees of the disk.
        limit_mb: the most memory in MiB, 0 for no limit.
    """
    command = " ".join(quoted(word).replace("$", "$$") for word in definition.command)
    environment = "\n".join(
        f"Environment={quoted(f'{k}={v}')}" for k, v in sorted(definition.environment.items())
    )
    raw_data = str(definition.data).replace("%", "%%")
    raw_settings = str(definition.settings_file).replace("%", "%%")
    user = f"User={definition.user}\nGroup={definition.user}\n" if definition.user else ""
    return f"""\
# Written by the RAGTrace installer from current.json; changes here are replaced by the next installation.
# Local changes belong into a drop-in: systemctl {"" if networks else "--user "}edit {definition.name}
[Unit]
Description=RAGTrace ({definition.generation})
After=network.target
StartLimitIntervalSec=120
StartLimitBurst=5

[Service]
Type=exec
{user}ExecStart={command}
WorkingDirectory={raw_data}
{environment}
EnvironmentFile=-{raw_settings}
Restart=on-failure
RestartSec=2
TimeoutStopSec=30
TasksMax={TASKS_MAX}
{_memory(limit_mb)}{COMMON}{_of_the_system(definition, networks) if networks else ""}
[Install]
WantedBy={"multi-user" if networks else "default"}.target
"""


def _memory(limit_mb: int) -> str:
    # Without swap a service over its limit is ended and started again; with it, it would slow the whole host down.
    return f"MemoryMax={limit_mb}M\nMemorySwapMax=0\n" if limit_mb else ""


def _of_the_system(definition: ServiceDefinition, networks: Sequence[str]) -> str:
    return (
        f"{SYSTEM}ReadWritePaths={quoted(str(definition.data))}\n"
        f"IPAddressDeny=any\nIPAddressAllow={' '.join(networks)}\n"
        f"SocketBindDeny=any\nSocketBindAllow=tcp:{definition.port}\n"
    )
