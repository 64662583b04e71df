"""Run the installer in a process that has lost what Windows does not have: run as a script, with its arguments.

The modules, functions and constants are gone, `sys.platform` is ``win32``, and msvcrt and winreg are stand-ins. Paths
stay those of this machine: `pathlib` cannot be told otherwise.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib
import importlib.abc
import importlib.machinery
import os
import pkgutil
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import types
from collections import namedtuple
from collections.abc import Sequence
from pathlib import Path

MODULES = (
    "fcntl",
    "pwd",
    "grp",
    "termios",
    "resource",
    "tty",
    "pty",
    "syslog",
    "readline",
    "posix",
    "_posixsubprocess",
)
FUNCTIONS = (
    "geteuid", "getegid", "getuid", "getgid", "fork", "killpg", "setsid", "chown", "fchown", "fchmod", "lchown", "pread",
    "pwrite", "statvfs", "fstatvfs", "sysconf", "confstr", "mkfifo", "getpgid", "uname", "O_NOFOLLOW", "O_DIRECTORY",
    "O_NONBLOCK", "O_CLOEXEC", "WNOHANG",
)  # fmt: skip
# What this very script needs of them, kept before they go.
_flock, _EX, _NB = fcntl.flock, fcntl.LOCK_EX, fcntl.LOCK_NB
_Usage = namedtuple("_Usage", "total used free")


class Missing(importlib.abc.MetaPathFinder):
    """Finds none of them."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name in MODULES:
            raise ModuleNotFoundError(f"No module named {name!r} on Windows", name=name)
        return None


def become_windows() -> None:
    """Lose it."""
    platform.machine()  # remembered, for it is asked by a function that goes
    for name in MODULES:
        sys.modules.pop(name, None)
    sys.meta_path.insert(0, Missing())
    # What subprocess and shutil of this machine use of them is not ours: they are given their own copies.
    for module in (subprocess, shutil, tempfile):
        if hasattr(module, "os"):
            copy = types.ModuleType("os")
            copy.__dict__.update(os.__dict__)
            setattr(module, "os", copy)  # noqa: B010
    for name in FUNCTIONS:
        if hasattr(os, name):
            delattr(os, name)
    for name in ("SIGHUP", "SIGKILL", "SIGUSR1", "SIGALRM"):
        if hasattr(signal, name):
            delattr(signal, name)
    sys.platform = "win32"
    msvcrt = types.ModuleType("msvcrt")
    msvcrt.__dict__.update(LK_NBLCK=2, LK_UNLCK=0, locking=lambda fd, mode, size: _flock(fd, _EX | _NB))
    winreg = types.ModuleType("winreg")
    winreg.__dict__.update(
        HKEY_LOCAL_MACHINE=0,
        OpenKey=lambda root, key: contextlib.nullcontext(key),
        QueryValueEx=lambda key, name: (int(os.environ.get("LONG_PATHS", "1")), 4),
    )
    sys.modules.update(msvcrt=msvcrt, winreg=winreg)


def import_everything(root: Path) -> list[str]:
    """Import every module of the isolated side but those that are scripts; return the names."""
    found = []
    for package in ("bundle", "installer"):
        for module in pkgutil.walk_packages([str(root / package)], f"{package}."):
            importlib.import_module(module.name)
            found.append(module.name)
    return found


def main(words: list[str]) -> int:
    """Import everything, then run the command line."""
    script = Path(words[0])
    sys.path.insert(0, str(script.parent))
    become_windows()
    import ctypes

    ctypes.windll = types.SimpleNamespace(shell32=types.SimpleNamespace(IsUserAnAdmin=lambda: 1))  # type: ignore[attr-defined]
    names = import_everything(script.parent)
    print(f"imported {len(names)} modules", file=sys.stderr)
    from installer.cli import main as run

    return run(words[1:], script=script)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
