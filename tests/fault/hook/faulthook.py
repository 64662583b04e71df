"""Find, kill, interrupt or fail the mutating operations of this process.

An audit hook sees the operations that change the file system below RAGTRACE_FAULT_ROOT, and every child that
is started. What raises no audit event is wrapped: the functions of `os` that write or synchronise, and the
writes of every file that Python opened for writing. The operations are numbered from 1.
RAGTRACE_FAULT_MODE says what happens at number RAGTRACE_FAULT_AT:

    count            nothing; every operation is written to RAGTRACE_FAULT_LOG
    kill             SIGKILL, before the operation is carried out
    SIGINT, SIGTERM  this signal, delivered before the operation is carried out
    ENOSPC, EIO      the operation fails with this error, once
    during           (children only) SIGKILL some milliseconds after the child with this number was started
    fill             RAGTRACE_FAULT_FILL is filled up until its file system is full, for this operation and all
                     that follow; then everything goes on

Where a log is given, the fault writes a line to it when it strikes. With RAGTRACE_FAULT_LOOSE the real
synchronisation is left out (it is still an operation): what a kill leaves does not depend on it, and power
cuts are another test's business.
"""

from __future__ import annotations

import builtins
import errno
import io
import os
import signal
import sys
import threading
import time
from typing import Any

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
    "os.setxattr": (0, None),
    "os.removexattr": (0, None),
}
# Functions without audit event: which argument is the descriptor that is written to.
WRITERS = {
    "write": 0,
    "writev": 0,
    "pwrite": 0,
    "pwritev": 0,
    "posix_fallocate": 0,
    "sendfile": 0,
    "copy_file_range": 1,
    "splice": 1,
}
SYNCHRONISERS = ("fsync", "fdatasync")
real_write = os.write
real_open = open


class Hook:
    """What is seen and what is done about it; one for a process."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.root = environment.get("RAGTRACE_FAULT_ROOT", "")
        self.mode = environment.get("RAGTRACE_FAULT_MODE", "")
        self.at = int(environment.get("RAGTRACE_FAULT_AT", "0"))
        self.delay = float(environment.get("RAGTRACE_FAULT_DELAY", "0.05"))
        self.fill = environment.get("RAGTRACE_FAULT_FILL", "")
        self.loose = bool(environment.get("RAGTRACE_FAULT_LOOSE"))
        self.lock = threading.Lock()
        self.count = 0
        self.log = -1
        path = environment.get("RAGTRACE_FAULT_LOG", "")
        if path:
            self.log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)

    def audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        """See one event."""
        if event == "open":
            path, _, flags = arguments
            if isinstance(path, (str, bytes)) and isinstance(flags, int) and flags & WRITING:
                self.happened(event, place_of(path))
        elif event in PATHS:
            first, second = PATHS[event]
            self.happened(event, place_of(arguments[first], None if second is None else arguments[second]))
        elif event == "subprocess.Popen":
            command = arguments[1]
            words = " ".join(map(str, command))[-60:] if isinstance(command, list) else ""
            self.happened(event, self.root + "/:" + words)

    def happened(self, event: str, place: str) -> None:
        """Number one operation, and do what was asked for at the chosen number."""
        if not (place + "/").startswith(self.root + "/"):
            return
        with self.lock:
            self.count += 1
            number = self.count
        if self.mode == "count":
            self.tell(f"{number} {event} {os.path.relpath(place, self.root)}")
        elif number == self.at:
            self.tell(f"struck {number} {event} {os.path.relpath(place, self.root)}")
            self.strike(event, place)

    def tell(self, line: str) -> None:
        """Write a line to the log."""
        if self.log >= 0:
            real_write(self.log, (line + "\n").encode("utf-8", "surrogateescape"))

    def strike(self, event: str, place: str) -> None:
        """Kill or interrupt this process, fill the disk, or fail the operation."""
        if self.mode == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        elif self.mode in ("SIGINT", "SIGTERM"):
            # Python looks for pending signals before this returns, so the handler runs right here.
            os.kill(os.getpid(), getattr(signal, self.mode))
        elif self.mode == "during":
            threading.Thread(target=self.later, daemon=True).start()
        elif self.mode == "fill":
            fill(self.fill)
        else:
            raise OSError(getattr(errno, self.mode), f"injected at {self.at}: {event}", place)

    def later(self) -> None:
        """Kill this process a little later."""
        time.sleep(self.delay)
        os.kill(os.getpid(), signal.SIGKILL)

    def wrap(self) -> None:
        """Make what raises no audit event an operation too."""
        for name, position in WRITERS.items():
            if hasattr(os, name):
                setattr(os, name, self.writer(name, position, getattr(os, name)))
        for name in SYNCHRONISERS:
            if hasattr(os, name):
                setattr(os, name, self.synchroniser(name, getattr(os, name)))
        os.sync = self.synchroniser("sync", os.sync)
        builtins.open = io.open = self.opener()

    def writer(self, name: str, position: int, real: Any) -> Any:
        """Return a stand-in for a function that writes to a descriptor."""

        def wrapped(*arguments: Any, **more: Any) -> Any:
            self.happened("os." + name, place_of(arguments[position]))
            return real(*arguments, **more)

        return wrapped

    def synchroniser(self, name: str, real: Any) -> Any:
        """Return a stand-in for a function that synchronises a descriptor, or everything."""

        def wrapped(*descriptors: Any) -> Any:
            self.happened("os." + name, place_of(*descriptors) if descriptors else self.root)
            return None if self.loose else real(*descriptors)

        return wrapped

    def opener(self) -> Any:
        """Return a stand-in for `open` whose files tell of each piece that reaches the operating system."""
        hook = self

        class Raw(io.FileIO):
            def write(self, data: Any) -> Any:
                hook.happened("file.write", place_of(self.fileno()))
                return super().write(data)

            def truncate(self, size: Any = None) -> int:
                hook.happened("file.truncate", place_of(self.fileno()))
                return super().truncate(size)

        def opened(file: Any, mode: str = "r", buffering: int = -1, encoding: Any = None, errors: Any = None,
                   newline: Any = None, closefd: bool = True, opener: Any = None) -> Any:  # fmt: skip
            if not set(mode) & set("wax+"):
                return real_open(file, mode, buffering, encoding, errors, newline, closefd, opener)
            name = file if isinstance(file, int) else os.fspath(file)
            raw = Raw(name, mode.replace("b", "").replace("t", ""), closefd, opener)
            if buffering == 0:
                return raw
            binary = (io.BufferedRandom if "+" in mode else io.BufferedWriter)(raw)
            if "b" in mode:
                return binary
            return io.TextIOWrapper(binary, encoding, errors, newline, buffering == 1)

        return opened


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


def fill(path: str) -> None:
    """Write to `path` until the file system has no byte left."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    size = 1 << 20
    while size:
        try:
            real_write(descriptor, b"\1" * size)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            size //= 2
    os.close(descriptor)


def install() -> None:
    """Begin to watch, where the environment asks for it."""
    if not os.environ.get("RAGTRACE_FAULT_ROOT") or not os.environ.get("RAGTRACE_FAULT_MODE"):
        return
    hook = Hook(dict(os.environ))
    hook.wrap()
    sys.addaudithook(hook.audit)
