"""What every operation on the service alone does around its own work; the release stays what it is."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Iterator, Optional

from bundle.errors import UsageProblem
from bundle.text import Text

from ..console import Console
from ..health import Sick
from ..hosts.interface import ServiceDefinition, ServiceError
from ..lock import Lock
from ..paths import Prefix
from ..service import define, manifest_of
from ..settings import ServiceSettings
from ..state import read_state
from ..transaction import translate
from .session import Done, opened, record, require_installation


@dataclass(frozen=True)
class Serving:
    """The service of the active release, and the lock under which it may be worked on."""

    prefix: Prefix
    action: str
    generation: str
    settings: ServiceSettings
    lock: Lock
    begun: float

    def definition(self, settings: Optional[ServiceSettings] = None) -> Optional[ServiceDefinition]:
        """Return how the release is run with these settings (its own where none are given); None: nothing to run."""
        return define(self.prefix, self.generation, settings or self.settings)

    def required(self) -> ServiceDefinition:
        """Return how the release is run.

        Raises:
            UsageProblem: it has nothing to run.
        """
        found = self.definition()
        if found is None:
            raise no_service(self.prefix)
        return found

    def done(self, settings: Optional[ServiceSettings] = None) -> Done:
        """Return what the operation came to."""
        version = manifest_of(self.prefix, self.generation).version
        seconds = time.monotonic() - self.begun
        return Done(self.action, self.generation, version, settings or self.settings, seconds)


@contextmanager
def serving(prefix: Prefix, console: Console, action: str) -> Iterator[Serving]:
    """Hold the lock for one operation on the service, and record that it went well.

    Raises:
        UsageProblem: there is no installation, or no service.
        RagTraceError: the service manager refused, or the service does not answer.
    """
    require_installation(prefix)
    begun = time.monotonic()
    with opened(prefix, console, serve=False, action=action) as lock:
        state = read_state(prefix)
        if state.pointer is None or state.service is None:
            raise no_service(prefix)
        generation = state.pointer.generation
        try:
            yield Serving(prefix, action, generation, state.service, lock, begun)
        except (OSError, ServiceError, Sick) as error:
            raise translate(
                error, Text("릴리스는 바뀌지 않았습니다", "the release was not changed")
            ) from error
        record(prefix, console, action, "ok", to=generation)


def no_service(prefix: Prefix) -> UsageProblem:
    """Return the refusal of an operation that needs a service."""
    return UsageProblem(Text("설치된 서비스가 없습니다", "no service is installed"), where=str(prefix.root))
