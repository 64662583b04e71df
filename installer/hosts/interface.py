"""The port: whoever keeps the service running."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Mapping, Optional, Protocol

from bundle.text import Text


@dataclass(frozen=True)
class ServiceDefinition:
    """Everything a host needs to run one generation's service. Paths are absolute.

    `memory_limit_mb` is what the bundle allows the service (0: no limit); the operator's settings may say otherwise.
    """

    name: str
    generation: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    settings_file: Path
    user: str
    home: Path
    data: Path
    log: Path
    lock: Path
    host: str
    port: int
    health_path: str
    ready_timeout_s: int
    memory_limit_mb: int = 0


@dataclass(frozen=True)
class ServiceStatus:
    """Whether the service runs, as which process and generation (empty where unknown)."""

    running: bool
    pid: int = 0
    generation: str = ""
    detail: str = ""


class ServiceError(Exception):
    """The service manager refused or failed; the text is what it said."""


class ServiceHost(Protocol):
    """Registers, starts, stops and observes one service.

    Every call is idempotent. `start` and `stop` return once the process is started or gone; whether it
    answers is the health check's business. `start` wants the very definition that `install_unit` was given last.
    """

    def prepare_user(self, definition: ServiceDefinition) -> None:
        """Make sure that the service's user exists."""

    def install_unit(self, definition: ServiceDefinition) -> None:
        """Register the service so that it runs this generation from its next start on."""

    def remove_unit(self, name: str) -> None:
        """Take the registration back."""

    def start(self, definition: ServiceDefinition) -> None:
        """Start the service; nothing happens where this generation runs already."""

    def stop(self, definition: ServiceDefinition) -> None:
        """Stop whatever generation of the service runs, and wait until it is gone."""

    def status(self, definition: ServiceDefinition) -> ServiceStatus:
        """Say what runs."""

    def logs(self, definition: ServiceDefinition, lines: int = 50) -> str:
        """Return the last lines the service wrote."""

    def advice(self, definition: ServiceDefinition) -> Optional[Text]:
        """Say what the operator has to do for the service to come back after a reboot; None: nothing."""
