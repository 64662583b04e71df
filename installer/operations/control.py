"""Start or stop the service."""

from __future__ import annotations

import time
from dataclasses import replace

from bundle.errors import UsageProblem
from bundle.text import Text

from .. import activation, settings
from ..console import Console
from ..health import Sick, wait_until_healthy
from ..hosts.interface import ServiceError
from ..paths import Prefix
from ..service import define, manifest_of
from ..state import read_state
from ..transaction import translate
from .session import Done, opened, record, require_installation


def control(prefix: Prefix, start: bool, console: Console) -> Done:
    """Start or stop the service, and remember what was wanted.

    Raises:
        UsageProblem: there is no service to control.
    """
    require_installation(prefix)
    begun = time.monotonic()
    with opened(prefix, console, serve=False, action="start" if start else "stop"):
        state = read_state(prefix)
        if state.pointer is None or state.service is None:
            raise UsageProblem(
                Text("설치된 서비스가 없습니다", "no service is installed"), where=str(prefix.root)
            )
        wanted = replace(state.service, enabled=start)
        definition = define(prefix, state.pointer.generation, wanted)
        host = activation.host_for(wanted)
        try:
            settings.write(prefix, wanted)
            if not start or definition is None:
                activation.stop(prefix, wanted, host)
            else:
                host.install_unit(definition)
                host.start(definition)
                wait_until_healthy(definition, host)
        except (OSError, ServiceError, Sick) as error:
            raise translate(
                error, Text("릴리스는 바뀌지 않았습니다", "the release was not changed")
            ) from error
        record(prefix, console, "start" if start else "stop", "ok", to=state.pointer.generation)
        version = manifest_of(prefix, state.pointer.generation).version
    return Done(
        "start" if start else "stop", state.pointer.generation, version, wanted, time.monotonic() - begun
    )
