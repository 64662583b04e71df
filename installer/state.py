"""What is installed below a prefix: read, never changed, here."""

from __future__ import annotations

import os
from dataclasses import dataclass

from . import accepted as accepted_record
from . import pointer as pointers
from . import receipt, sealed, settings
from .accepted import UNKNOWN, Accepted
from .dataformat import NO_DATA, DataState
from .paths import GENERATION_NAME, Prefix
from .pointer import Pointer
from .settings import ServiceSettings


@dataclass(frozen=True)
class InstallationState:
    """The installation as plan and preflight see it. `data` is read where an operation asks for it. `running` is the generation of the service process,
    or nothing; `address` what the configuration says where nothing else remembers how the service is run."""

    pointer: Pointer | None = None
    pointer_damaged: bool = False
    complete: tuple[str, ...] = ()
    accepted: Accepted = UNKNOWN
    service: ServiceSettings | None = None
    configured: bool = False
    pinned: bool = False
    running: str = ""
    address: tuple[str, int] = ("", 0)
    data: DataState = NO_DATA


def generation_names(prefix: Prefix) -> tuple[str, ...]:
    """Return the folders that carry a release's name, oldest sequence first."""
    try:
        names = os.listdir(prefix.generations)
    except (FileNotFoundError, NotADirectoryError):
        return ()
    return tuple(sorted(name for name in names if GENERATION_NAME.match(name)))


def complete_generations(prefix: Prefix) -> tuple[str, ...]:
    """Return the releases whose receipt was written, which is the last thing written to them."""
    return tuple(name for name in generation_names(prefix) if receipt.exists(prefix.generation(name)))


def read_state(prefix: Prefix, running: str = "") -> InstallationState:
    """Read everything; damage is reported as a value, so that recovery can decide."""
    damaged = False
    try:
        pointer = pointers.read(prefix)
    except sealed.Damaged:
        pointer, damaged = None, True
    complete, known = complete_generations(prefix), accepted_record.read(prefix)
    if pointer is None and not _exists(prefix.uninstalling):
        # A release was accepted here and still lies here whole: the pointer was lost, not taken away.
        damaged = damaged or bool(set(complete) & set(known.generations))
    return InstallationState(
        pointer=pointer,
        pointer_damaged=damaged,
        complete=complete,
        accepted=known,
        service=settings.read(prefix),
        configured=_exists(prefix.settings),
        pinned=_exists(prefix.allowed_signers),
        running=running,
        address=settings.configured_address(prefix),
    )


def _exists(path: os.PathLike[str]) -> bool:
    try:
        return os.path.lexists(path)
    except OSError:
        return False
