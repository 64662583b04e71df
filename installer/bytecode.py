"""Bytecode of the service: compiled at first use, into `data/cache` (docs/adr/0007), one folder for each release.

An upgrade compiles beforehand what the running release has loaded, so that the restart does not take twice as long.
"""

from __future__ import annotations

import os
from pathlib import Path, PurePath

from .children import minimal_environment, run_tied
from .filesystem import make_directory, remove_tree
from .hosts.interface import ServiceDefinition
from .paths import Prefix

# More than the slowest host needs; this only ends a child that hangs. What is not compiled then is compiled later.
TIMEOUT_S = 120.0
# Arguments: the earlier release's bytecode, and the new release's folder. It runs in the new release's interpreter, as
# the service's user: names found in the earlier folder, which that user may have changed, choose among the new
# release's own files and nothing else.
_COMPILE = r"""
import os, py_compile, sys
known, now = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
for folder, _, names in os.walk(known):
    there = os.path.join(now, os.path.relpath(folder, known))
    for name in names:
        source = os.path.join(there, name.partition(".")[0] + ".py")
        if name.endswith(".pyc") and os.path.isfile(source):
            py_compile.compile(source, doraise=False, quiet=2)
"""


def folder_of(prefix: Prefix, generation: str) -> Path:
    """Return where the interpreter keeps a release's bytecode: below the cache, the release's own path again."""
    place = PurePath(os.path.abspath(prefix.generation(generation)))
    return prefix.data.joinpath("cache", "pycache", *place.parts[1:])


def prepare(prefix: Prefix, before: str, definition: ServiceDefinition, lock: int) -> bool:
    """Compile, as the service's user, what the release `before` has loaded; return whether that went well.

    Raises:
        subprocess.TimeoutExpired: it took too long and was ended.
    """
    known = folder_of(prefix, before)
    if not known.is_dir():
        return True
    cache = prefix.data / "cache" / "pycache"
    command = [definition.command[0], "-I", "-X", f"pycache_prefix={cache}", "-c", _COMPILE]
    make_directory(prefix.scratch)
    try:
        return run_tied(
            [*command, str(known), str(prefix.generation(definition.generation))], minimal_environment({}),
            prefix.scratch / "bytecode.log", (lock,), user=definition.user, timeout_s=TIMEOUT_S,
        ) == 0  # fmt: skip
    finally:
        remove_tree(prefix.scratch)


def forget(prefix: Prefix, generation: str) -> None:
    """Remove a release's bytecode. Where the service's user has put a link on the way there, it stays."""
    folder, data = folder_of(prefix, generation), prefix.data
    if folder.parent.resolve() == data.resolve() / folder.parent.relative_to(data):
        remove_tree(folder)
