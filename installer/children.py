"""How the installer starts other programs: a bare environment, and no orphans."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable, Mapping, Optional, Sequence

from .filesystem import open_log

# Windows needs its own: without SYSTEMROOT no process can use the network, without COMSPEC none can start another.
_WINDOWS = (
    "SYSTEMROOT",
    "SYSTEMDRIVE",
    "COMSPEC",
    "PATHEXT",
    "WINDIR",
    "LOCALAPPDATA",
    "APPDATA",
    "PROGRAMDATA",
    "USERPROFILE",
)
_KEPT = ("PATH", "HOME", "TEMP", "TMP", "TMPDIR", "USER", "LOGNAME", *_WINDOWS)
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def minimal_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """Return an environment made from nothing but what a child needs, so that no PYTHONPATH, PIP_*, UV_*,
    LD_* or proxy variable of the operator's shell reaches it."""
    environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
    environment.setdefault("PATH", _PATH)
    return {**environment, "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", **extra}


def run_tied(
    command: Sequence[str],
    environment: Mapping[str, str],
    output: Path,
    descriptors: Sequence[int] = (),
    cwd: str = "",
    user: str = "",
    timeout_s: Optional[float] = None,
) -> int:
    """Run a program to its end and return its exit status; its output goes to a file. `user` is who it runs as.

    The child dies with this process, however this process ends, and inherits `descriptors` (the lock):
    what it was writing stays locked until it is really gone. It has a session of its own, so that Ctrl-C
    reaches only us and we end it.

    Raises:
        subprocess.TimeoutExpired: it took longer than `timeout_s` and was ended.
    """
    identity: dict[str, Any] = {}
    if user:
        import pwd

        entry = pwd.getpwnam(user)
        identity = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    with open_log(output) as stream:
        process = subprocess.Popen(
            list(command), env=dict(environment), stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.STDOUT,
            cwd=cwd or None, **_bonds(descriptors), **identity,
        )  # fmt: skip
        try:
            return process.wait(timeout_s)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()


def _bonds(descriptors: Sequence[int]) -> dict[str, Any]:
    """Return what binds a child to this process. Windows has none of it."""
    if sys.platform == "win32":
        return {}
    return {"start_new_session": True, "pass_fds": tuple(descriptors), "preexec_fn": _tie()}


def _tie() -> Callable[[], None] | None:
    """Return what asks the kernel to kill the child when the thread that started it ends (Linux)."""
    if sys.platform != "linux":
        return None
    import ctypes

    prctl = ctypes.CDLL(None).prctl
    death_signal, kill = 1, 9
    return lambda: prctl(death_signal, kill) and None


def tail(path: Path, lines: int = 20, limit: int = 16384) -> str:
    """Return the last lines of a log, or nothing."""
    try:
        with open(path, "rb") as stream:
            stream.seek(max(0, stream.seek(0, os.SEEK_END) - limit))
            return "\n".join(stream.read(limit).decode("utf-8", "replace").splitlines()[-lines:])
    except OSError:
        return ""
