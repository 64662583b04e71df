"""What it takes to run a generation's service, read from the generation itself."""

from __future__ import annotations

from pathlib import Path

from bundle import layout
from bundle.manifest import Manifest, parse_manifest
from bundle.offline import OFFLINE_ENVIRONMENT

from . import store
from .environment import python_of
from .hosts.interface import ServiceDefinition
from .paths import Prefix
from .settings import ServiceSettings


def manifest_of(prefix: Prefix, generation: str) -> Manifest:
    """Return the manifest that the generation was made from; where its own copy is damaged, the store's."""
    data = store.manifest_bytes(prefix, generation)
    return parse_manifest(data or (prefix.generation(generation) / "tools" / layout.MANIFEST).read_bytes())


def define(
    prefix: Prefix, generation: str, settings: ServiceSettings | None, manifest: Manifest | None = None
) -> ServiceDefinition | None:
    """Return how to run the generation's service; None where it has none or nobody was told to run it."""
    if settings is None:
        return None
    spec = (manifest or manifest_of(prefix, generation)).service
    if spec is None:
        return None
    folder = prefix.generation(generation)
    places = {
        "home": str(prefix.root),
        "config": str(prefix.config / "ragtrace.yaml"),
        "data": str(prefix.data),
    }
    return ServiceDefinition(
        name=settings.name,
        generation=generation,
        command=(str(python_of(folder)), "-m", spec.module, *(_fill(a, places) for a in spec.arguments)),
        environment={
            **OFFLINE_ENVIRONMENT,
            "RAGTRACE_HOME": str(prefix.root),
            "RAGTRACE_CONFIG": places["config"],
            "RAGTRACE_GENERATION": generation,
            "PYTHONPYCACHEPREFIX": str(prefix.data / "cache" / "pycache"),
            "PYTHONNOUSERSITE": "1",
            "PYTHONUNBUFFERED": "1",
        },
        settings_file=prefix.settings,
        user=settings.user,
        home=prefix.root,
        data=prefix.data,
        log=prefix.logs / "service.log",
        lock=prefix.service_lock,
        host=settings.host,
        port=settings.port,
        health_path=spec.health_path,
        ready_timeout_s=spec.ready_timeout_s,
        memory_limit_mb=spec.memory_limit_mb,
    )


def _fill(argument: str, places: dict[str, str]) -> str:
    for name, value in places.items():
        argument = argument.replace("{" + name + "}", value)
    return argument


def validator_of(prefix: Prefix, generation: str) -> Path | None:
    """Return the generation's validator, if the bundle carried one."""
    path = prefix.generation(generation) / "tools" / layout.VERIFICATION / "enterprise_validator.py"
    return path if path.is_file() else None
