"""Become the service process: run as a script by `hosts.process`, never imported by the product.

It forks, so that the service is no child of the installer, takes the record lock that says "the service
runs" (POSIX record locks survive exec but not fork, so the process that becomes the service must take it
itself), writes the generation's name into the locked file, and executes the service. The parent reports
by its exit status, after the exec: 0 started, 3 lock held by another, 4 the program could not be executed.

Arguments: lock file, generation, log file, then the command. The environment is passed on as it is.
"""

from __future__ import annotations

import os
import signal
import sys


def main(arguments: list[str]) -> int:
    """Start the service and return the exit status."""
    lock, generation, log, command = arguments[0], arguments[1], arguments[2], arguments[3:]
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.close(reader)
        os._exit(become(lock, generation, log, command, writer))
    os.close(writer)
    complaint = os.read(reader, 4096)
    if complaint:
        sys.stderr.write(complaint.decode("utf-8", "replace") + "\n")
        return 3 if complaint.startswith(b"busy") else 4
    return 0


def become(lock: str, generation: str, log: str, command: list[str], writer: int) -> int:
    """Take the lock, then execute; only returns after a failure, which it has reported to `writer`."""
    import fcntl

    try:
        os.setsid()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.write(writer, b"busy: the service is running already")
            return 3
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, generation.encode("ascii"), 0)
        os.set_inheritable(descriptor, True)
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o640)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((nothing, 0), (output, 1), (output, 2)):
            os.dup2(source, target)
        os.execv(command[0], command)
    except OSError as error:
        os.write(writer, ("cannot start: %s" % error).encode("utf-8"))
    return 4


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
