"""The port `ServiceHost` and what keeps a service running on different hosts, one file each."""

from __future__ import annotations

from .interface import ServiceHost


def choose(manager: str, user: str = "") -> ServiceHost:
    """Return the adapter for a service manager's name.

    Args:
        manager: ``systemd``, ``launchd``, ``windows``, ``process`` or ``none``.
        user: the service's own user; without one, systemd and launchd run it as whoever installs it.
    """
    if manager == "systemd":
        from .systemd import SystemdHost, UserSystemdHost

        return SystemdHost() if user else UserSystemdHost.here()
    if manager == "launchd":
        from .launchd import LaunchdHost

        return LaunchdHost.here(user)
    if manager == "windows":
        from .windows import WindowsHost

        return WindowsHost.here()
    if manager == "process":
        from .process import ProcessHost

        return ProcessHost()
    from .unmanaged import UnmanagedHost

    return UnmanagedHost()
