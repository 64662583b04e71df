"""The builder's commands: one file each, with its name, its options and its run."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Protocol

from . import advisories, build, cache, diff, inspect, interpreters, keys, models, plan, verify

if TYPE_CHECKING:
    from ..console import Console


class Command(Protocol):
    """One command of the command line."""

    NAME: str

    def add(
        self,
        commands: argparse._SubParsersAction[argparse.ArgumentParser],
        speaking: argparse.ArgumentParser,
        lang: str,
    ) -> None:
        """Add the command's parser; `speaking` is the parent with the options that every command has."""

    def run(self, options: argparse.Namespace, console: Console) -> int:
        """Run the command and return its exit code; errors are raised."""


# In the order of the help. `build` is what runs when no command is named.
COMMANDS: tuple[Command, ...] = (
    build,
    plan,
    models,
    interpreters,
    keys,
    advisories,
    inspect,
    verify,
    diff,
    cache,
)
