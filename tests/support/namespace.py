"""A network namespace where only loopback exists: for the tests themselves, or for one command.

``python -m tests.support.namespace COMMAND…`` runs a command without any network.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
import sys

_CLONE_NEWNET = 0x40000000
_SIOCSIFFLAGS = 0x8914
_IFF_UP_RUNNING = 0x41


def enter() -> bool:
    """Move this process into a network namespace with loopback up; False where that is not allowed."""
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        return False
    if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNET) != 0:
        return False
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sH14s", b"lo", _IFF_UP_RUNNING, b""))
    return True


if __name__ == "__main__":
    if not enter():
        sys.exit("a network namespace needs root on Linux")
    os.execvp(sys.argv[1], sys.argv[1:])
