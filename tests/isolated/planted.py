"""Make one attempt by every watched system call on every processor: run as a program, never imported.

Usage: planted.py ADDRESS PORT - prints its process id.  A recorder of outbound attempts must see them all.
Standard library only; runs on the oldest supported interpreter, outside and inside an isolated host.
"""

from __future__ import annotations

import ctypes
import os
import socket
import sys
from collections.abc import Callable

IO_URING_SETUP = 425  # the same number on every architecture


class Vector(ctypes.Structure):
    """struct iovec."""

    _fields_ = [("base", ctypes.c_char_p), ("length", ctypes.c_size_t)]


class Header(ctypes.Structure):
    """struct msghdr."""

    _fields_ = [
        ("name", ctypes.c_char_p),
        ("name_length", ctypes.c_uint),
        ("vectors", ctypes.POINTER(Vector)),
        ("vector_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    ]


class Message(ctypes.Structure):
    """struct mmsghdr."""

    _fields_ = [("header", Header), ("sent", ctypes.c_uint)]


def fails_without_network(call: Callable[[], object]) -> None:
    """Make one call; what the kernel answers is of no interest, that it was asked is."""
    try:
        call()
    except OSError as refused:
        print(refused, file=sys.stderr)


def plant(address: str, port: int) -> None:
    """Attempt once by each call; that every one of them fails without a network is expected."""
    peer = (address, port)
    libc = ctypes.CDLL(None, use_errno=True)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        fails_without_network(lambda: datagrams.sendto(b"?", peer))
        fails_without_network(lambda: datagrams.sendmsg([b"?"], [], 0, peer))
        name = socket.AF_INET.to_bytes(2, sys.byteorder) + port.to_bytes(2, "big") + socket.inet_aton(address)
        vector = Vector(b"?", 1)
        messages = (Message * 2)(Message(), Message())
        for message in messages:
            header = message.header
            header.name, header.name_length = name + bytes(8), 16
            header.vectors, header.vector_count = ctypes.pointer(vector), 1
        libc.sendmmsg(datagrams.fileno(), messages, 2, 0)
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as stream:
        stream.setblocking(False)
        stream.connect_ex(peer)
    libc.syscall(IO_URING_SETUP, 1, None)


def main() -> None:
    """Plant on every processor in turn."""
    print(os.getpid())
    for processor in sorted(os.sched_getaffinity(0)):
        os.sched_setaffinity(0, {processor})
        plant(sys.argv[1], int(sys.argv[2]))


if __name__ == "__main__":
    main()
