"""Break what runs: the unit, its environment, the process, the port, a second service, another listener."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..host_root import remove_tree
from ..journey import PREFIX
from .files import Injection, replace
from .installed import DROP_INS, PLANTED, SERVICE, UNIT, Installed, Undo

PORT = 8400


def stopped(host: Installed) -> Undo:
    """Somebody stopped the service."""
    host.stop()
    return host.start


def killed_with_a_stale_unit(host: Installed) -> Undo:
    """The process died, and its unit still names the interpreter of a release that is gone: it cannot come back."""
    unit = host.host.inside(UNIT)
    undo = host.keep(unit)
    replace(unit, unit.read_bytes().replace(host.generation_name.encode(), b"000001-0123456789ab"))
    host.systemctl("daemon-reload").expect()
    host.systemctl("kill", "--signal=KILL", SERVICE).expect()
    host.settle("failed", "activating")

    def back() -> None:
        undo()
        host.restart()

    return back


def unit_changed(change: Callable[[str], str]) -> Injection:
    """The unit's file is another one; systemd has read it, the process runs on."""

    def inject(host: Installed) -> Undo:
        unit = host.host.inside(UNIT)
        undo = host.keep(unit)
        before = unit.read_text()
        after = change(before)
        if after == before:
            raise LookupError("the unit does not hold what is to be changed")
        replace(unit, after.encode())
        host.systemctl("daemon-reload").expect()

        def back() -> None:
            undo()
            host.systemctl("daemon-reload").expect()

        return back

    return inject


def drop_in(text: str, *, restart: bool = False) -> Injection:
    """A drop-in changes the unit; the service was started with it, or not yet."""

    def inject(host: Installed) -> Undo:
        folder = host.host.inside(DROP_INS)
        folder.mkdir()
        (folder / "local.conf").write_text(f"[Service]\n{text}\n")
        host.systemctl("daemon-reload").expect()
        if restart:
            host.restart()

        def back() -> None:
            remove_tree(folder)
            host.systemctl("daemon-reload").expect()
            if restart:
                host.restart()

        return back

    return inject


def settings(change: Callable[[str], str]) -> Injection:
    """`config/.env` says something else."""

    def inject(host: Installed) -> Undo:
        path = host.path("config/.env")
        undo = host.keep(path)
        replace(path, change(path.read_text()).encode())

        def back() -> None:
            undo()
            # The unit allows the port of the settings only: it has to be written again, too.
            host.installer("--stop").expect()
            host.installer("--start").expect()

        return back

    return inject


def started_with(old: str, new: str) -> Injection:
    """The service was started with one setting, and the file was put back since."""

    def inject(host: Installed) -> Undo:
        path = host.path("config/.env")
        text = path.read_text()
        replace(path, text.replace(old, new).encode())
        host.restart()
        replace(path, text.encode())
        return host.restart

    return inject


def started_beside(arguments: list[str], *, environment: dict[str, str] | None = None) -> Injection:
    """A program was started beside the service, by hand."""

    def inject(host: Installed) -> Undo:
        argv = [
            "systemd-run",
            "--quiet",
            f"--unit={PLANTED}",
            "--property=User=ragtrace",
            "--service-type=exec",
        ]
        argv += [f"--setenv={name}={value}" for name, value in (environment or {}).items()]
        host.host.run(
            [*argv, *[word.replace("{release}", inside(host.generation)) for word in arguments]]
        ).expect()

        def back() -> None:
            host.systemctl("stop", PLANTED)

        return back

    return inject


def inside(path: Path) -> str:
    """Return a path below the prefix as the host sees it."""
    parts = path.parts
    return str(Path(PREFIX, *parts[len(parts) - parts[::-1].index("generations") - 1 :]))


def port_taken(host: Installed) -> Undo:
    """The service was down for a moment, and another program took its port."""
    host.stop()
    argv = ["systemd-run", "--quiet", f"--unit={PLANTED}", "--service-type=exec"]
    host.host.run(
        [*argv, "python3", "-m", "http.server", str(PORT), "--bind", "127.0.0.1", "-d", "/srv"]
    ).expect()
    host.settle_port(PORT)

    def back() -> None:
        host.systemctl("stop", PLANTED)
        host.restart()

    return back
