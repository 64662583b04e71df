"""RAGTrace: does the running process have the environment and the unit that the installer gave it?"""

from __future__ import annotations

from typing import Tuple

from validator.model import Check

CHECKS: Tuple[Check, ...] = ()
