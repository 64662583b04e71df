"""A minimal Debian root: fetched once into the cache, copied afresh for every run."""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from .control_group import clear_up
from .tools import HarnessError, cache_home, run_here

DNS_SERVER = "192.0.2.53"
"""A name server that cannot exist (RFC 5737): a look-up becomes an attempt that the recorder sees."""


@dataclass(frozen=True)
class HostKind:
    """What distinguishes one isolated host from another before anything of ours is carried in."""

    suite: str = "bookworm"
    packages: tuple[str, ...] = ("systemd", "systemd-sysv", "dbus", "python3")
    hostname: str = "ragtrace-isolated"

    @property
    def key(self) -> str:
        """Name of this kind's template in the cache; changes with the package list."""
        digest = hashlib.sha256(",".join(self.packages).encode()).hexdigest()[:8]
        return f"{self.suite}-{digest}"


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a kernel lock, so that two runs do not fetch the same template at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def template(kind: HostKind) -> Path:
    """Return the cached root of `kind`, fetching it when it is not there (about a minute)."""
    home = cache_home() / "roots"
    ready = home / kind.key
    with locked(home / f"{kind.key}.lock"):
        if ready.is_dir():
            return ready
        building = home / f"{kind.key}.building"
        remove_tree(building)
        include = ",".join(kind.packages)
        run_here(
            ["debootstrap", "--variant=minbase", f"--include={include}", kind.suite, str(building)],
            timeout=900,
        ).expect()
        for path in ("var/cache/apt/archives", "var/lib/apt/lists"):
            for entry in (building / path).glob("*"):
                remove_tree(entry)
        building.rename(ready)
    return ready


def fresh_root(kind: HostKind, destination: Path) -> Path:
    """Copy the template to `destination` and give the copy its own name, hosts file and dead name server."""
    run_here(["cp", "-a", "--reflink=auto", str(template(kind)), str(destination)], timeout=300).expect()
    _personalise(destination, kind)
    return destination


def layered_root(kind: HostKind, destination: Path) -> Path:
    """As `fresh_root`, but only what changes is written: the template lies below as a read-only layer.

    It stays mounted until `release`.
    """
    layers = destination.with_name(f"{destination.name}.layers")
    for folder in (destination, layers / "upper", layers / "work"):
        folder.mkdir(parents=True)
    options = f"lowerdir={template(kind)},upperdir={layers / 'upper'},workdir={layers / 'work'}"
    run_here(["mount", "-t", "overlay", "overlay", "-o", options, str(destination)]).expect()
    _personalise(destination, kind)
    return destination


def release(folder: Path) -> None:
    """Unmount whatever is mounted below `folder`, the innermost first."""
    for mount in reversed(_mounts_below(folder)):
        run_here(["umount", mount]).expect()


def _personalise(root: Path, kind: HostKind) -> None:
    etc = root / "etc"
    _write(etc / "hostname", f"{kind.hostname}\n")
    _write(etc / "hosts", f"127.0.0.1 localhost\n127.0.1.1 {kind.hostname}\n::1 localhost ip6-localhost\n")
    _write(etc / "resolv.conf", f"nameserver {DNS_SERVER}\noptions timeout:1 attempts:1\n")
    _write(etc / "machine-id", "")
    for timer in ("apt-daily.timer", "apt-daily-upgrade.timer"):
        # Debian's own look for updates is not the product's doing; a closed host has it switched off.
        (etc / "systemd/system" / timer).symlink_to("/dev/null")


def _write(path: Path, text: str) -> None:
    """Replace a file of the copy; a symbolic link there is replaced, never followed out of the root."""
    path.unlink(missing_ok=True)
    path.write_text(text, encoding="utf-8")


def remove_tree(path: Path) -> None:
    """Remove a file or a tree; refuse while anything is mounted in it."""
    if not path.is_symlink() and not path.exists():
        return
    inside = _mounts_below(path)
    if inside:
        raise HarnessError(f"still mounted below {path}: {inside}")
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _mounts_below(path: Path) -> list[str]:
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return [mount for mount in mounts if mount == str(path) or mount.startswith(f"{path}/")]


@contextmanager
def run_directory() -> Iterator[Path]:
    """Give one run its own folder, gone afterwards; those of killed runs are removed on the way in."""
    parent = cache_home() / "runs"
    parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as held:
        with locked(cache_home() / "runs.lock"):
            for stale in sorted(parent.iterdir()):
                _remove_if_abandoned(stale)
            folder = parent / f"run-{secrets.token_hex(4)}"  # also a machine name: letters and digits only
            folder.mkdir(mode=0o700)
            held.enter_context(locked(folder / "lock"))
        try:
            yield folder
        finally:
            if os.environ.get("RAGTRACE_KEEP_RUN") != "1":
                # Another run must not take a folder that is just going away for one that was abandoned.
                with locked(cache_home() / "runs.lock"):
                    remove_tree(folder)


def _remove_if_abandoned(folder: Path) -> None:
    """Remove a run's folder when nobody holds its lock, which the kernel drops with the process."""
    with (folder / "lock").open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        for machine in (folder, *folder.iterdir()):
            clear_up(machine.name)
        release(folder)
        remove_tree(folder)
