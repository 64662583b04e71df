"""Hold the service: run as a script by Task Scheduler (see `windows`), never imported by the product.

Windows has no exec: whoever replaces itself ends, and the task with it. So this process stays, and stands for the
service: it holds a lock on one byte far behind the lock file's end as long as the service runs, writes generation and
its own number into the file, starts the service anew when it fails, and ends it when a line ``stop`` appears there.

Arguments: lock file, generation, log file, environment file, data folder, memory limit in MiB, ``NAME=VALUE`` words,
``--``, the command. Ends with 0 when asked to stop, 3 where another one holds the lock, else with the service's own
status. Not run on Windows; its twin of POSIX calls is.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

# Windows locks are mandatory: the locked byte must be none that anybody reads.
LOCKED_BYTE = 1 << 30
POLL_S = 0.2
STOP_TIMEOUT_S = 20.0
# Whoever asks whether the lock is held has it for a moment.
LOCK_PATIENCE_S = 2.0
# A service that lived shorter than this is not started again at once: the installer waits for its end.
SHORTEST_LIFE_S = 60.0
STOP_WORD = "stop"


def try_lock(descriptor: int) -> bool:
    """Lock the byte for this process, unless another one has it."""
    if sys.platform == "win32":
        import msvcrt

        os.lseek(descriptor, LOCKED_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
    import fcntl

    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, LOCKED_BYTE)
    except OSError:
        return False
    return True


def main(arguments: list[str]) -> int:
    """Run the service until it ends or is to end."""
    cut = arguments.index("--")
    lock, generation, log, settings, data, limit = arguments[:6]
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
    from pathlib import Path

    from installer.settings import read_variables

    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o644)
    deadline = time.monotonic() + LOCK_PATIENCE_S
    while not try_lock(descriptor):
        if time.monotonic() > deadline:
            return 3
        time.sleep(POLL_S)
    with open(log, "ab") as output:
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, f"{generation}\n{os.getpid()}\n".encode("ascii"))
        environment = {**os.environ, **dict(word.split("=", 1) for word in arguments[6:cut])}
        environment.update(read_variables(Path(settings)))
        while True:
            begun = time.monotonic()
            child = subprocess.Popen(
                arguments[cut + 1 :], env=environment, cwd=data, stdin=subprocess.DEVNULL,
                stdout=output, stderr=subprocess.STDOUT, creationflags=_group_flag(),
            )  # fmt: skip
            _hold(child, int(limit), output.fileno())
            status = _watch(child, descriptor)
            if status is None or status == 0:
                return 0
            if time.monotonic() - begun < SHORTEST_LIFE_S:
                return status


def _watch(child: subprocess.Popen[bytes], descriptor: int) -> int | None:
    """Wait for the child's end and return its status; None where it was asked to stop."""
    while child.poll() is None:
        if asked_to_stop(descriptor):
            end(child)
            return None
        time.sleep(POLL_S)
    return child.returncode


def asked_to_stop(descriptor: int) -> bool:
    """Return whether somebody wrote the line. Read through the descriptor that holds the lock: on POSIX, closing
    another one of the same file would let go of it."""
    os.lseek(descriptor, 0, os.SEEK_SET)
    return STOP_WORD in os.read(descriptor, 4096).decode("ascii", "replace").splitlines()[2:]


def end(child: subprocess.Popen[bytes]) -> None:
    """Ask the service to end (Ctrl-Break, which its server takes for SIGTERM); make it end after a while."""
    child.send_signal(getattr(signal, "CTRL_BREAK_EVENT", signal.SIGTERM))
    try:
        child.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _group_flag() -> int:
    # Ctrl-Break is sent to a process group, and this process must not be in it.
    return getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)


def _hold(child: subprocess.Popen[bytes], limit_mb: int, log: int) -> None:
    """Put the child into a job object: it dies with this process, and gets no more memory than allowed."""
    if sys.platform != "win32":
        return
    try:
        _job(child, limit_mb)
    except OSError as error:
        os.write(log, f"no job object: {error}\n".encode())


def _job(child: subprocess.Popen[bytes], limit_mb: int) -> None:
    """JOBOBJECT_EXTENDED_LIMIT_INFORMATION, as winnt.h has it; the handle lives as long as this process."""
    import ctypes

    class Basic(ctypes.Structure):
        _fields_ = [
            ("PerProcessUserTimeLimit", ctypes.c_int64),
            ("PerJobUserTimeLimit", ctypes.c_int64),
            ("LimitFlags", ctypes.c_uint32),
            ("MinimumWorkingSetSize", ctypes.c_size_t),
            ("MaximumWorkingSetSize", ctypes.c_size_t),
            ("ActiveProcessLimit", ctypes.c_uint32),
            ("Affinity", ctypes.c_size_t),
            ("PriorityClass", ctypes.c_uint32),
            ("SchedulingClass", ctypes.c_uint32),
        ]

    class Extended(ctypes.Structure):
        _fields_ = [
            ("BasicLimitInformation", Basic),
            ("IoInfo", ctypes.c_uint64 * 6),
            ("ProcessMemoryLimit", ctypes.c_size_t),
            ("JobMemoryLimit", ctypes.c_size_t),
            ("PeakProcessMemoryUsed", ctypes.c_size_t),
            ("PeakJobMemoryUsed", ctypes.c_size_t),
        ]

    job_memory, kill_on_close, extended_limits = 0x200, 0x2000, 9
    wanted = Extended()
    wanted.BasicLimitInformation.LimitFlags = kill_on_close | (job_memory if limit_mb else 0)
    wanted.JobMemoryLimit = limit_mb * 1024 * 1024
    kernel = ctypes.WinDLL("kernel32", use_last_error=True)  # type: ignore[attr-defined]
    kernel.CreateJobObjectW.restype = ctypes.c_void_p
    kernel.CreateJobObjectW.argtypes = [ctypes.c_void_p, ctypes.c_wchar_p]
    kernel.SetInformationJobObject.argtypes = [
        ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p, ctypes.c_uint32,
    ]  # fmt: skip
    kernel.AssignProcessToJobObject.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
    job = kernel.CreateJobObjectW(None, None)
    handle = int(child._handle)  # type: ignore[attr-defined]
    set_up = job and kernel.SetInformationJobObject(
        job, extended_limits, ctypes.byref(wanted), ctypes.sizeof(wanted)
    )
    if not set_up or not kernel.AssignProcessToJobObject(job, handle):
        raise ctypes.WinError(ctypes.get_last_error())  # type: ignore[attr-defined]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
