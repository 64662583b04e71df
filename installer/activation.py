"""Make what is derived from the pointer agree with it: the `current` link, the unit, the running process."""

from __future__ import annotations

import os
from pathlib import PurePosixPath
from typing import Optional

from bundle.atomic import write_atomic
from bundle.text import Text

from . import hosts
from .filesystem import read_plain, remove_file, replace_link
from .hosts.interface import ServiceDefinition, ServiceHost, ServiceStatus
from .paths import Prefix
from .pointer import Pointer
from .service import define
from .settings import ServiceSettings


def derive_link(prefix: Prefix, pointer: Pointer | None, system: str = os.name) -> None:
    """Point `current` at the active release, or remove it. Windows gives links only to administrators: there
    `current.txt` names the folder. It is for people; the truth is `current.json` on every system."""
    if system == "nt":
        _derive_note(prefix, pointer)
    elif pointer is None:
        if prefix.link.is_symlink():
            remove_file(prefix.link)
    else:
        replace_link(prefix.link, str(PurePosixPath("generations", pointer.generation)))


def _derive_note(prefix: Prefix, pointer: Pointer | None) -> None:
    note = prefix.link_note
    if pointer is None:
        remove_file(note)
        return
    text = f"{prefix.generation(pointer.generation)}\r\n".encode()
    if read_plain(note) != text:
        write_atomic(note, text)


def derive(
    prefix: Prefix, pointer: Pointer | None, settings: ServiceSettings | None, host: ServiceHost
) -> None:
    """Make link and unit agree with the pointer."""
    derive_link(prefix, pointer)
    if settings is None:
        return
    definition = None if pointer is None else define(prefix, pointer.generation, settings)
    if definition is None:
        host.remove_unit(settings.name)
    else:
        host.install_unit(definition)


def observed(prefix: Prefix, settings: ServiceSettings | None, host: ServiceHost) -> ServiceStatus:
    """Return what runs, whichever generation it is."""
    if settings is None:
        return ServiceStatus(False)
    return host.status(shell(prefix, settings))


def stop(prefix: Prefix, settings: ServiceSettings | None, host: ServiceHost) -> None:
    """Stop the service, whichever generation runs."""
    if settings is not None:
        host.stop(shell(prefix, settings))


def host_for(settings: ServiceSettings | None) -> ServiceHost:
    """Return the adapter that the settings name."""
    return hosts.choose(settings.manager, settings.user) if settings is not None else hosts.choose("none")


def advice(prefix: Prefix, generation: str, settings: ServiceSettings | None) -> Optional[Text]:
    """Return what the operator still has to do for the service to run after a reboot; None: nothing."""
    definition = define(prefix, generation, settings)
    return None if definition is None else host_for(settings).advice(definition)


def shell(prefix: Prefix, settings: ServiceSettings) -> ServiceDefinition:
    """Return a definition that is enough to ask about or stop a service, without a generation to run."""
    return ServiceDefinition(
        name=settings.name,
        generation="",
        command=(),
        environment={},
        settings_file=prefix.settings,
        user=settings.user,
        home=prefix.root,
        data=prefix.data,
        log=prefix.logs / "service.log",
        lock=prefix.service_lock,
        host=settings.host,
        port=settings.port,
        health_path="/",
        ready_timeout_s=0,
    )
