"""A process that has imported the installer once and forks for every run: a sweep makes ten thousand runs.

What runs in the fork is what an operator runs: `installer.cli.main` with its arguments, its environment, its
own standard output and error, and its own death. Only the start of the interpreter is saved.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import pkgutil
import select
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.bundles import REPOSITORY

HOOK = Path(__file__).parent / "hook"
TIMEOUT_S = 120.0


@dataclass(frozen=True)
class Outcome:
    """What one run of the installer came to. `struck` is the operation that the fault hit, if it hit one."""

    code: int
    out: str
    err: str
    struck: str = ""

    @property
    def text(self) -> str:
        """Everything it printed."""
        return self.out + self.err


class Zygote:
    """The parent's side."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.process = subprocess.Popen(
            [sys.executable, "-B", "-m", "tests.fault.zygote"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=REPOSITORY,
        )

    def run(self, words: list[str], script: str, environment: dict[str, str]) -> Outcome:
        """Run the installer once, to its end, however it ends."""
        out, err, log = (self.folder / name for name in ("out.txt", "err.txt", "struck.txt"))
        log.unlink(missing_ok=True)
        given = {"RAGTRACE_FAULT_LOG": str(log), **environment}
        order = {"words": words, "script": script, "environment": given, "out": str(out), "err": str(err)}
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(order).encode() + b"\n")
        self.process.stdin.flush()
        pid = int(self._answer(TIMEOUT_S))
        try:
            code = int(self._answer(TIMEOUT_S))
        except TimeoutError:
            os.kill(pid, signal.SIGKILL)
            raise
        struck = log.read_text(encoding="utf-8", errors="replace").strip() if log.exists() else ""
        return Outcome(code, _read(out), _read(err), struck)

    def _answer(self, timeout: float) -> str:
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], timeout)
        if not ready:
            raise TimeoutError(f"no end within {timeout:.0f} s")
        line = self.process.stdout.readline().decode()
        assert line, "the zygote has ended"
        return line

    def close(self) -> None:
        """End it."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


def serve() -> None:
    """The zygote: read an order, fork, tell the process number, tell the exit status."""
    preload()
    answers = os.dup(1)
    for line in sys.stdin.buffer:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            become(order)
        os.write(answers, b"%d\n" % pid)
        _, status = os.waitpid(pid, 0)
        os.write(answers, b"%d\n" % os.waitstatus_to_exitcode(status))


def preload() -> None:
    """Import everything a run may import."""
    import bundle
    import installer

    for package in (bundle, installer):
        for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
            if not module.name.endswith(("launcher", "unpack_cli", "__main__")):
                # A module for another system cannot be imported here.
                with contextlib.suppress(ImportError):
                    importlib.import_module(module.name)
    for name in ("http.client", "getpass", "pwd", "ctypes", "zipfile", "tarfile", "encodings.idna"):
        importlib.import_module(name)


def become(order: dict[str, Any]) -> None:
    """In the fork: be a fresh installer, and never return."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    writing = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    for source, target in (
        (nothing, 0),
        (os.open(order["out"], writing, 0o600), 1),
        (os.open(order["err"], writing, 0o600), 2),
    ):
        os.dup2(source, target)
    # What runs in the background of a shell ignores SIGINT, and so would everything forked from it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    os.environ.clear()
    os.environ.update(order["environment"])
    sys.stdin, sys.stdout, sys.stderr = os.fdopen(0), os.fdopen(1, "w"), os.fdopen(2, "w")
    sys.argv = ["install.py", *order["words"]]
    code: object = 70
    try:
        sys.path.insert(0, str(HOOK))
        importlib.import_module("faulthook").install()
        from installer.cli import main

        code = main(script=Path(order["script"]))
    except SystemExit as ended:
        code = ended.code
    except BaseException:
        # What the interpreter would do with it.
        sys.excepthook(*sys.exc_info())
        code = 1
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 0 if code is None else 1)


if __name__ == "__main__":
    serve()
