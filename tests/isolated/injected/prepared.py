"""Prepare a host for the table: the starter bundle built, booted, installed, with real documents in it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..host_root import HostKind, fresh_root
from ..journey import BUILDER, Journey
from ..machine import IsolatedHost
from ..outbound import OutboundRecorder
from ..story import Story
from . import surroundings
from .installed import Installed
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
