"""Write the service's registration again, as this release wants it, and start the service with it."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import List

from bundle.atomic import fsync_directory
from bundle.errors import UsageProblem
from bundle.text import Text

from .. import activation
from ..console import Console
from ..health import Sick, wait_until_healthy
from ..hosts.interface import ServiceError, ServiceHost
from ..hosts.systemd import UNITS, SystemdHost
from ..paths import Prefix
from ..service import define, manifest_of
from ..state import read_state
from ..transaction import translate
from .session import Done, opened, record, require_installation

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
    require_installation(prefix)
    begun = time.monotonic()
    with opened(prefix, console, serve=False, action="restore-unit"):
        state = read_state(prefix)
        settings = state.service
        definition = define(prefix, state.pointer.generation, settings) if state.pointer is not None else None
        if state.pointer is None or settings is None or definition is None:
            raise UsageProblem(
                Text("설치된 서비스가 없습니다", "no service is installed"), where=str(prefix.root)
            )
        host = activation.host_for(settings)
        try:
            for path in _set_aside(host, settings.name):
                console.note(Text(f"옆으로 옮김: {path}", f"moved aside: {path}"))
            host.install_unit(definition)
            if settings.enabled and settings.manager != "none":
                activation.stop(prefix, settings, host)
                host.start(definition)
                wait_until_healthy(definition, host)
        except (OSError, ServiceError, Sick) as error:
            raise translate(
                error, Text("릴리스는 바뀌지 않았습니다", "the release was not changed")
            ) from error
        record(prefix, console, "restore-unit", "ok", to=state.pointer.generation)
        version = manifest_of(prefix, state.pointer.generation).version
        name = state.pointer.generation
    return Done("restore-unit", name, version, settings, time.monotonic() - begun)


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
