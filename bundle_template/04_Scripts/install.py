#!/usr/bin/env python3
"""Install this bundle: a thin entry to `installer.cli`. Its syntax is valid for every Python, old ones too."""

import os
import sys

# What changes how an interpreter starts or which files it loads; a shell may carry it from somewhere else. Of what pip,
# uv and proxies read nothing reaches the programs that are started either (installer/children.py).
HARMFUL = (
    "PYTHONPATH",
    "PYTHONHOME",
    "PYTHONSTARTUP",
    "PYTHONUSERBASE",
    "PYTHONINSPECT",
    "PYTHONOPTIMIZE",
    "PYTHONWARNINGS",
    "PYTHONBREAKPOINT",
    "PYTHONPLATLIBDIR",
    "PYTHONPYCACHEPREFIX",
    "PYTHONEXECUTABLE",
)
HARMFUL_PREFIXES = ("LD_", "DYLD_", "PIP_", "UV_", "CONDA_", "VIRTUAL_ENV")
PROXIES = ("http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy")


def main():  # type: () -> int  # noqa: ANN201
    """Check the interpreter, then hand over."""
    open_standard_streams()
    if sys.version_info < (3, 9):  # noqa: UP036
        sys.stderr.write(
            "error: Python 3.9 or newer is needed, this is %d.%d (%s).\n"
            "  next: sh install.sh, which uses the interpreter in the bundle\n"
            "(Python 3.9 or newer is needed / Python 3.9 isang-i pil-yohamnida)\n"
            % (sys.version_info[0], sys.version_info[1], sys.executable)
        )
        return 12
    start_clean()
    # The bundle must not gain a single file: verification refuses extras.
    sys.dont_write_bytecode = True
    here = os.path.dirname(os.path.realpath(__file__))
    sys.path.insert(0, here)
    from pathlib import Path

    from installer.cli import main as run

    return run(script=Path(here) / "install.py")


def open_standard_streams():  # type: () -> None  # noqa: ANN201
    """Open what the caller closed: else the first file that is opened becomes standard input or output."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number, which is this one, because those below are open by now.
            os.open(os.devnull, os.O_RDWR)
    if sys.stdin is None:
        sys.stdin = open(os.devnull)  # noqa: SIM115
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115


def start_clean():  # type: () -> None  # noqa: ANN201
    """Where the environment decides about this interpreter, begin again without it and isolated; once, for an isolated
    interpreter has nothing of it. One that needs such a variable to find its own library stays as it is."""
    harmful = [name for name in os.environ if name in HARMFUL or name.startswith(HARMFUL_PREFIXES)]
    if sys.flags.isolated or not harmful or not sys.executable:
        return
    import subprocess

    kept = {name: os.environ[name] for name in os.environ if name not in harmful}
    environment = {name: value for name, value in kept.items() if name.lower() not in PROXIES}
    command = [sys.executable, "-I", "-B"]
    needed = any(name.startswith(("LD_", "DYLD_")) for name in harmful)
    if needed and subprocess.call(command + ["-c", ""], env=environment, stderr=subprocess.DEVNULL) != 0:
        return
    command += [os.path.realpath(__file__)] + sys.argv[1:]
    if os.name == "nt":
        # There exec would return to the shell at once.
        sys.exit(subprocess.call(command, env=environment))
    os.execve(sys.executable, command, environment)


if __name__ == "__main__":
    sys.exit(main())
