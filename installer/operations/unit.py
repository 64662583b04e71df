"""Write the service's registration again, as this release wants it, and start the service with it."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import List

from bundle.atomic import fsync_directory
from bundle.text import Text

from .. import activation
from ..console import Console
from ..health import wait_until_healthy
from ..hosts.interface import ServiceHost
from ..hosts.systemd import UNITS, SystemdHost
from ..paths import Prefix
from .serving import serving
from .session import Done

# Where `systemctl set-property` and `systemctl edit --runtime` put what they add.
MORE_FOLDERS = (
    Path("/etc/systemd/system.control"),
    Path("/run/systemd/system.control"),
    Path("/run/systemd/system"),
)


def restore_unit(prefix: Prefix, console: Console) -> Done:
    """Register the service anew; what others added is moved aside, never deleted. Idempotent.

    A service that is meant to run is restarted, so that it runs as registered.

    Raises:
        UsageProblem: there is no service to register.
        RagTraceError: the service manager refused, or the service does not answer; run it again.
    """
    with serving(prefix, console, "restore-unit") as service:
        settings, definition = service.settings, service.required()
        host = activation.host_for(settings)
        for path in _set_aside(host, settings.name):
            console.note(Text(f"옆으로 옮김: {path}", f"moved aside: {path}"))
        host.install_unit(definition)
        if settings.enabled and settings.manager != "none":
            activation.stop(prefix, settings, host)
            host.start(definition)
            wait_until_healthy(definition, host)
    return service.done()


def _set_aside(host: ServiceHost, name: str) -> List[Path]:
    """Move drop-ins and a changed unit to names that systemd does not read; return the new names."""
    if not isinstance(host, SystemdHost):
        return []
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    moved: List[Path] = []
    # A user's own systemd, and the tests', have one folder of units; the system's reads four.
    folders = (UNITS, *MORE_FOLDERS) if host.units == UNITS else (host.units,)
    for folder in folders:
        drop_ins = folder / f"{name}.service.d"
        if os.path.lexists(drop_ins):
            aside = drop_ins.with_name(f"{drop_ins.name}.{stamp}.saved")
            os.rename(drop_ins, aside)
            fsync_directory(folder)
            moved.append(aside)
    return moved
