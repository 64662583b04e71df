"""Loaded by the interpreter of an installer under test: finds, kills or fails mutating operations.

An audit hook sees every operation that changes the file system below RAGTRACE_FAULT_ROOT, and every child that
is started; `os.fsync` and `os.write`, which raise no audit event, are wrapped. The operations are numbered
from 1. RAGTRACE_FAULT_MODE says what happens at number RAGTRACE_FAULT_AT:

    count       nothing; every operation is written to RAGTRACE_FAULT_LOG
    kill        SIGKILL, before the operation is carried out
    ENOSPC, EIO the operation fails with this error, once
    during      (children only) SIGKILL some milliseconds after the child with this number was started
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
import time

ROOT = os.environ.get("RAGTRACE_FAULT_ROOT", "")
MODE = os.environ.get("RAGTRACE_FAULT_MODE", "")
AT = int(os.environ.get("RAGTRACE_FAULT_AT", "0"))
LOG = os.environ.get("RAGTRACE_FAULT_LOG", "")
DELAY = float(os.environ.get("RAGTRACE_FAULT_DELAY", "0.05"))
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
# Event: positions of the path and of its dir_fd among the arguments.
PATHS = {
    "os.rename": (1, 3),
    "os.link": (1, 3),
    "os.symlink": (1, 2),
    "os.mkdir": (0, 2),
    "os.remove": (0, 1),
    "os.rmdir": (0, 1),
    "os.chmod": (0, 2),
    "os.chown": (0, 3),
    "os.truncate": (0, None),
    "os.utime": (0, 3),
}
lock = threading.Lock()
state = {"count": 0, "busy": False, "log": -1}


def place_of(path: object, folder: object = None) -> str:
    """Return the absolute path an operation is about; a descriptor is looked up."""
    if isinstance(path, int):
        try:
            return os.readlink(f"/proc/self/fd/{path}")
        except OSError:
            return ""
    text = os.fsdecode(path)  # type: ignore[arg-type]
    if isinstance(folder, int) and folder >= 0 and not os.path.isabs(text):
        text = os.path.join(place_of(folder), text)
    return os.path.abspath(text)


def audit(event: str, arguments: tuple[object, ...]) -> None:
    """See one event."""
    if event == "open":
        path, _, flags = arguments
        if isinstance(path, (str, bytes)) and isinstance(flags, int) and flags & WRITING:
            happened(event, place_of(path))
    elif event in PATHS:
        first, second = PATHS[event]
        happened(event, place_of(arguments[first], None if second is None else arguments[second]))
    elif event == "subprocess.Popen":
        command = arguments[1]
        happened(
            event,
            ROOT + "/:" + " ".join(map(str, command))[-60:] if isinstance(command, list) else ROOT + "/:",
        )


def happened(event: str, place: str) -> None:
    """Number one operation, and do what was asked for at the chosen number."""
    if not (place + "/").startswith(ROOT + "/"):
        return
    with lock:
        state["count"] += 1
        number = state["count"]
    if MODE == "count":
        os.write(state["log"], f"{number} {event} {os.path.relpath(place, ROOT)}\n".encode())
    elif number == AT:
        strike(event, place)


def strike(event: str, place: str) -> None:
    """Kill this process or fail the operation."""
    if MODE == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if MODE == "during":
        threading.Thread(target=later, daemon=True).start()
        return
    number = getattr(errno, MODE)
    raise OSError(number, f"injected at {AT}: {event}", place)


def later() -> None:
    """Kill this process a little later."""
    time.sleep(DELAY)
    os.kill(os.getpid(), signal.SIGKILL)


def wrap(name: str) -> None:
    """Make an `os` function without audit event an operation too."""
    real = getattr(os, name)

    def wrapped(descriptor: int, *rest: object) -> object:
        if descriptor != state["log"]:
            happened("os." + name, place_of(descriptor))
        return real(descriptor, *rest)

    setattr(os, name, wrapped)


if ROOT and MODE:
    if LOG:
        state["log"] = os.open(LOG, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    wrap("fsync")
    wrap("write")
    sys.addaudithook(audit)
