"""Start or stop the service."""

from __future__ import annotations

from dataclasses import replace

from .. import activation, settings
from ..console import Console
from ..health import wait_until_healthy
from ..paths import Prefix
from .serving import serving
from .session import Done


def control(prefix: Prefix, start: bool, console: Console) -> Done:
    """Start or stop the service, and remember what was wanted.

    Raises:
        UsageProblem: there is no service to control.
    """
    with serving(prefix, console, "start" if start else "stop") as service:
        wanted = replace(service.settings, enabled=start)
        definition = service.definition(wanted)
        host = activation.host_for(wanted)
        settings.write(prefix, wanted)
        if not start or definition is None:
            activation.stop(prefix, wanted, host)
        else:
            host.install_unit(definition)
            host.start(definition)
            wait_until_healthy(definition, host)
    return service.done(wanted)
