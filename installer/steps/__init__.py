"""The steps of every operation, each with `apply` and `undo`; `STEPS` names them for the plan."""

from __future__ import annotations

from typing import Callable

from ..transaction import Step
from .build import (
    CheckGeneration,
    CopyFiles,
    MakeEnvironment,
    MakeGeneration,
    TakeContents,
    UnpackInterpreter,
    WriteReceipt,
)
from .commit import Accept
from .context import Context
from .data import Migrate, RestoreData, TakeSnapshot
from .switch import (
    Configure,
    DeriveUnit,
    PrepareStart,
    Settle,
    Standby,
    StartService,
    SwitchPointer,
    WaitHealthy,
)

STEPS: dict[str, Callable[[Context], Step]] = {
    "generation": MakeGeneration,
    "contents": TakeContents,
    "interpreter": UnpackInterpreter,
    "environment": MakeEnvironment,
    "files": CopyFiles,
    "receipt": WriteReceipt,
    "check": CheckGeneration,
    "standby": Standby,
    "settings": Settle,
    "configure": Configure,
    "bytecode": PrepareStart,
    "snapshot": TakeSnapshot,
    "migrate": Migrate,
    "restore": RestoreData,
    "switch": SwitchPointer,
    "unit": DeriveUnit,
    "start": StartService,
    "health": WaitHealthy,
    "accept": Accept,
}


def make(context: Context) -> list[Step]:
    """Return the steps that the plan names, in its order."""
    return [STEPS[planned.name](context) for planned in context.plan.steps]
