"""Make what is derived from the pointer agree with it: the `current` link, the unit, the running process."""

from __future__ import annotations

from pathlib import PurePosixPath

from . import hosts
from .filesystem import remove_file, replace_link
from .hosts.interface import ServiceDefinition, ServiceHost, ServiceStatus
from .paths import Prefix
from .pointer import Pointer
from .service import define
from .settings import ServiceSettings


def derive_link(prefix: Prefix, pointer: Pointer | None) -> None:
    """Point `current` at the active release, or remove it."""
    if pointer is None:
        if prefix.link.is_symlink():
            remove_file(prefix.link)
        return
    replace_link(prefix.link, str(PurePosixPath("generations", pointer.generation)))


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
    return hosts.choose(settings.manager if settings is not None else "none")


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
