"""No service manager: somebody else starts the service, with the command they are shown."""

from __future__ import annotations

import shlex
from typing import Optional

from bundle.text import Text

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

    def advice(self, definition: ServiceDefinition) -> Optional[Text]:
        """Show what starts the service. `current` stands for the release, so that the line outlives upgrades."""
        if not definition.command:
            return None
        active = f"{definition.home}/generations/{definition.generation}/"
        words = [
            f"RAGTRACE_HOME={definition.home}",
            *(word.replace(active, f"{definition.home}/current/") for word in definition.command),
        ]
        line = "env " + " ".join(shlex.quote(word) for word in words)
        return Text(
            f"서비스를 등록하지 않았습니다. 직접 시작하는 명령: {line}",
            f"no service was registered; to start it yourself: {line}",
        )
