"""The port `ServiceHost` and what keeps a service running on different hosts, one file each."""

from __future__ import annotations

from .interface import ServiceHost


def choose(manager: str) -> ServiceHost:
    """Return the adapter for a service manager's name (``systemd``, ``process`` or ``none``)."""
    if manager == "systemd":
        from .systemd import SystemdHost

        return SystemdHost()
    if manager == "process":
        from .process import ProcessHost

        return ProcessHost()
    from .unmanaged import UnmanagedHost

    return UnmanagedHost()
