"""No service manager: somebody else starts the service, with the commands they were shown."""

from __future__ import annotations

from .interface import ServiceDefinition, ServiceStatus


class UnmanagedHost:
    """Does nothing, and says so."""

    def prepare_user(self, definition: ServiceDefinition) -> None:
        """Nothing to prepare."""

    def install_unit(self, definition: ServiceDefinition) -> None:
        """Nothing to register."""

    def remove_unit(self, name: str) -> None:
        """Nothing to take back."""

    def start(self, definition: ServiceDefinition) -> None:
        """Leave starting to others."""

    def stop(self, definition: ServiceDefinition) -> None:
        """Leave stopping to others."""

    def status(self, definition: ServiceDefinition) -> ServiceStatus:
        """Nobody here knows."""
        return ServiceStatus(False, detail="not managed")

    def logs(self, definition: ServiceDefinition, lines: int = 50) -> str:
        """Nothing was collected."""
        return ""
