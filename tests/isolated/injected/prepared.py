"""Prepare a host for the table: the starter bundle built, booted, installed, with real documents in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from ..host_root import HostKind, fresh_root, release, run_directory
from ..journey import BUILDER, Journey
from ..machine import IsolatedHost
from ..outbound import OutboundRecorder
from ..story import Story
from . import surroundings
from .installed import Installed
from .judging import Report
from .secret import SECRET, SECRET_KEY


def prepare(
    folder: Path,
    kind: HostKind,
    words: Sequence[str] = (),
    *,
    program: Sequence[str] = BUILDER,
    shell: bool = False,
    settings: Sequence[str] = (),
) -> Installed:
    """Build, boot, install, load documents; whoever holds `folder` unmounts what is mounted in it.

    Args:
        folder: of this run.
        kind: of Debian.
        words: what else the builder is told.
        program: what runs the builder.
        settings: further lines of the service's environment.
        shell: install by `install.sh`, which brings the bundle's own interpreter where the host's does not fit.
    """
    root = fresh_root(kind, folder / "root")
    surroundings.mount_small(root)
    host = IsolatedHost(root, folder / "console.log")
    # Nothing is recorded here: some of the defects are attempts to reach out.
    journey = Journey(host, OutboundRecorder(folder), folder, Story("en"))
    bundle = journey.build("starter", words=words, program=program)
    journey.gather_documents()
    host.boot()
    unpacked = journey.carry_in(bundle)
    if shell:
        journey.install_by_shell(unpacked).expect()
    else:
        journey.install("empty", unpacked).expect()
    journey.ingest()
    installed = Installed(host)
    with installed.path("config/.env").open("a", encoding="utf-8") as environment:
        environment.writelines(f"{line}\n" for line in (f"{SECRET_KEY}={SECRET}", *settings))
    installed.restart()
    return installed


@contextmanager
def healthy_host(
    request: pytest.FixtureRequest,
    making: Callable[[Path], Installed],
    looking: Callable[[Installed], list[Report]] = lambda installed: [installed.validate(leave_out=())],
) -> Iterator[tuple[Installed, list[Report]]]:
    """Hold a host that `making` prepares in the folder it is given, with what the validator says of it while it is healthy.

    What it is told of building and installing is shown as it goes.
    """
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with run_directory() as folder:
        try:
            with capture.global_and_fixture_disabled():
                installed = making(folder)
                reports = looking(installed)
                installed.remember()
            yield installed, reports
            installed.host.close()
        finally:
            release(folder)
