"""What the steps of one operation share."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Dict, Optional

from bundle.manifest import Manifest

from ..console import Console
from ..hosts.interface import ServiceDefinition, ServiceHost
from ..paths import Prefix
from ..plan import Plan
from ..service import define
from ..settings import ServiceSettings
from ..sources.interface import Source
from ..store import Shelf


@dataclass
class Context:
    """What the steps of one operation share. `before` is how the service was run until now, with its host
    `old_host`; `bundle` is None for a rollback; `lock` a descriptor that children inherit."""

    prefix: Prefix
    plan: Plan
    manifest: Manifest
    console: Console
    host: ServiceHost
    old_host: ServiceHost
    before: Optional[ServiceSettings]
    transaction: str
    bundle: Optional[Source] = None
    lock: int = -1
    healthy_after_s: float = 0.0
    earlier_log: str = ""
    # Digests of files of the generation that are names of store objects this run has read or written.
    linked: Dict[str, str] = field(default_factory=dict)
    shelf: Shelf = field(init=False)

    def __post_init__(self) -> None:
        self.shelf = Shelf(self.prefix)

    @property
    def folder(self) -> Path:
        """The folder of the generation this operation is about."""
        return self.prefix.generation(self.plan.generation)

    @property
    def source(self) -> Source:
        """The bundle that is being installed."""
        if self.bundle is None:
            raise ValueError("this operation has no bundle")
        return self.bundle

    def definition(self) -> Optional[ServiceDefinition]:
        """Return how the new generation's service is run."""
        return define(self.prefix, self.plan.generation, self.plan.settings, self.manifest)


class ContextStep:
    """A step over a context; see `transaction.Step`."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.prefix = context.prefix
        self.plan = context.plan

    def undo(self) -> None:
        """Nothing to take back unless a step says otherwise."""
