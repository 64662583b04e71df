"""Wheels from sources: built once on this machine, remembered by the source, refused unless allowed."""

from __future__ import annotations

from typing import Protocol

from ..cache import Cache
from ..plan import BundlePlan
from . import permission, sdist
from .built import BuiltWheel
from .permission import refusals as refusals


class Progress(Protocol):
    """Where a build tells how far it is."""

    def detail(self, line: str) -> None:
        """Tell one thing that only somebody who asked for more wants to know."""


def build_sources(
    cache: Cache, plan: BundlePlan, *, allow_build: frozenset[str] = frozenset(), progress: Progress
) -> list[BuiltWheel]:
    """Build every sdist, git and directory artefact of the plan, in plan order, each once.

    Raises:
        BuildError: a build was not allowed (all are named), a backend failed, or the wheel does not fit.
        IntegrityError: a cached source or wheel is not what its name says.
    """
    permission.require_permission([plan], allow_build)
    return [sdist.build(cache, item) for item in plan.of_kind(*permission.KINDS)]
