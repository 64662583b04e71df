"""In-memory twins of the installer's ports, for tests of whoever builds on it."""

from __future__ import annotations

from typing import Optional

from bundle.text import Text

from .hosts.interface import ServiceDefinition, ServiceError, ServiceStatus


class MemoryHost:
    """A service manager without processes. It behaves like the real ones as far as the port says, keeps
    what it was asked for in `calls`, and refuses the calls named in `refuses`."""

    def __init__(self) -> None:
        self.units: dict[str, ServiceDefinition] = {}
        self.running: dict[str, ServiceDefinition] = {}
        self.calls: list[str] = []
        self.refuses: set[str] = set()
        self._pid = 1000

    def prepare_user(self, definition: ServiceDefinition) -> None:
        """Note the call."""
        self._called("prepare_user")

    def install_unit(self, definition: ServiceDefinition) -> None:
        """Remember the definition."""
        self._called("install_unit")
        self.units[definition.name] = definition

    def remove_unit(self, name: str) -> None:
        """Forget it."""
        self._called("remove_unit")
        self.units.pop(name, None)

    def start(self, definition: ServiceDefinition) -> None:
        """Let it run."""
        self._called("start")
        current = self.running.get(definition.name)
        if current is None or current.generation != definition.generation:
            self._pid += 1
            self.running[definition.name] = definition

    def stop(self, definition: ServiceDefinition) -> None:
        """Let it run no more."""
        self._called("stop")
        self.running.pop(definition.name, None)

    def status(self, definition: ServiceDefinition) -> ServiceStatus:
        """Say what runs."""
        current = self.running.get(definition.name)
        if current is None:
            return ServiceStatus(False, detail="not running")
        return ServiceStatus(True, self._pid, current.generation, "in memory")

    def logs(self, definition: ServiceDefinition, lines: int = 50) -> str:
        """Return nothing; nothing was written."""
        return ""

    def advice(self, definition: ServiceDefinition) -> Optional[Text]:
        """Nothing is to be done."""
        return None

    def _called(self, name: str) -> None:
        self.calls.append(name)
        if name in self.refuses:
            raise ServiceError(f"{name} refused")
