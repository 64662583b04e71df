"""The conversion's child process: one job as a line on standard input, events as lines on standard output.

Standard input stays open while the builder lives; when it closes, the builder is gone and so is this process.
Events: ``{"step": …}``, then one of ``{"versions": …}``, ``{"report": …}``, ``{"refused": …}``, ``{"full": …}``.
Whatever the libraries print goes to standard error.
"""

from __future__ import annotations

import errno
import json
import os
import sys
import threading
import warnings
from collections.abc import Callable
from dataclasses import asdict
from importlib import metadata
from pathlib import Path

from .job import LIBRARIES, Job, Refusal, Report


def main() -> int:
    """Do the one job and return 0 where its outcome has been told, whatever it is."""
    # A copy of the true standard output for us; file descriptor 1 becomes standard error for everybody else.
    told = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def tell(event: dict[str, object]) -> None:
        told.write(json.dumps(event, ensure_ascii=False) + "\n")
        told.flush()

    line = sys.stdin.readline()
    if line.strip() == "versions":
        tell({"versions": versions()})
        return 0
    threading.Thread(target=_die_with_the_builder, daemon=True).start()
    os.umask(0o022)
    warnings.simplefilter("ignore")
    try:
        report = perform(Job.from_line(line), lambda name: tell({"step": name}))
        tell({"report": asdict(report)})
    except Refusal as refusal:
        tell({"refused": refusal.as_dict()})
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        tell({"full": str(error)})
    return 0


def versions() -> dict[str, str]:
    """Return the version of Python and of every library that is installed, without importing one."""
    found = {"python": ".".join(str(part) for part in sys.version_info[:3])}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def perform(job: Job, step: Callable[[str], None]) -> Report:
    """Write the outputs of `job`."""
    for name in job.outputs:
        Path(job.folder, name).parent.mkdir(parents=True, exist_ok=True)
    if job.kind == "safetensors":
        from . import pickles

        return pickles.convert(job)
    from . import onnx_job

    return onnx_job.convert(job, step)


def _die_with_the_builder() -> None:
    # Not through sys.stdin: a thread inside its lock would make the interpreter's end fail.
    while os.read(0, 4096):
        pass
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
